package credserver

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/credentials"
)

// endpoint serves credentials over the protocol of container credential endpoints
// (https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html):
// a client sends a GET of the role's path with the content of its token file as
// Authorization.
type endpoint struct {
	roles     map[string]*Role // by path
	beyondPod bool             // peers and hosts other than loopback are served too
	host      string           // that the listener was configured with; empty: none
	counter   requestCounter
	refusals  *refusalLog
}

func (s *Server) newEndpoint(counter requestCounter) *endpoint {
	e := &endpoint{
		roles: map[string]*Role{}, beyondPod: s.BeyondPod, host: s.Host,
		counter: counter, refusals: newRefusalLog(s.RefusalLog),
	}
	for _, r := range s.Roles {
		e.roles[r.Path()] = r
	}
	return e
}

// ServeHTTP reads only a request's first line and two headers. It refuses anything
// unexpected: a query, a path in another spelling, a second Authorization.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	// The request target as it was sent: a path that needs cleaning matches no role.
	role := e.roles[req.RequestURI]
	resp, reason := e.respond(req, role)
	name := ""
	if role != nil {
		name = role.name
	}
	if reason != "" {
		e.refusals.log(reason, name)
	}
	e.counter.count(name, resp.status)
	resp.write(w)
}

// respond returns the response and, if the request is refused, the reason.
func (e *endpoint) respond(req *http.Request, role *Role) (response, string) {
	switch {
	case !e.beyondPod && !isLoopback(req.RemoteAddr):
		return refuse(http.StatusForbidden, "PeerRefused", "this endpoint serves callers of the same pod only")
	case !e.isOurHost(req):
		return refuse(http.StatusForbidden, "HostRefused", "the Host header is not the address of this endpoint; use the URL as serve prints it")
	case req.Method != http.MethodGet:
		return refuse(http.StatusMethodNotAllowed, "MethodRefused", "credentials are read with GET")
	}
	presented := req.Header["Authorization"]
	if len(presented) != 1 || presented[0] == "" {
		return refuse(http.StatusUnauthorized, "NoAuthorization", "the Authorization header must hold the content of the role's token file; set AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE to its path or, for older SDKs, AWS_CONTAINER_AUTHORIZATION_TOKEN to its content")
	}
	// A path without a role gets the response of a wrong token, in the same time.
	var want [sha256.Size]byte
	if role != nil {
		want = role.digest
	}
	got := sha256.Sum256([]byte(presented[0]))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 || role == nil {
		return refuse(http.StatusForbidden, "AuthorizationRefused", "the Authorization header does not hold the token of this path's role")
	}
	creds, err := role.retrieve(req.Context())
	if err != nil {
		return errorResponse(err), ""
	}
	return sessionResponse(creds, role.chain().RoleARN()), ""
}

// isOurHost reports whether the Host header is an address or a name of this
// listener. Any other may be an attacker's name that resolves to it, so that a web page
// can send requests (DNS rebinding).
func (e *endpoint) isOurHost(req *http.Request) bool {
	local, ok := req.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	at, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return false
	}
	ownPort := strconv.Itoa(int(at.Port()))
	host, port, err := net.SplitHostPort(req.Host)
	if err != nil {
		// The AWS Common Runtime leaves out every port, other clients that of http. A
		// page of an attacker's site cannot do so: its Host is the site's name.
		host, port, err = net.SplitHostPort(req.Host + ":" + ownPort)
	}
	if err != nil || port != ownPort {
		return false
	}
	switch host = strings.ToLower(host); host {
	case "127.0.0.1", "localhost", "::1":
		return true
	case "":
		return false
	case strings.ToLower(e.host):
		return true
	}
	// Clients leave out the zone of an address.
	address, err := netip.ParseAddr(host)
	own := at.Addr().Unmap().WithZone("")
	return err == nil && address.Unmap().WithZone("") == own && (e.beyondPod || own.IsLoopback())
}

func isLoopback(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	return err == nil && net.ParseIP(host).IsLoopback()
}

// response is a response of the endpoint.
type response struct {
	status     int
	retryAfter time.Time // zero: not sent
	body       any
}

func (r response) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json") // the Go SDK compares it as it is
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if left := time.Until(r.retryAfter); left > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(left.Seconds()))))
	}
	w.WriteHeader(r.status)
	_ = json.NewEncoder(w).Encode(r.body) // the client may have left
}

// sessionResponse returns a session in the form that the SDKs read.
func sessionResponse(creds aws.Credentials, role string) response {
	expires := creds.Expires
	if !creds.CanExpire {
		// The SDKs require an expiry. With this one they ask again in an hour.
		expires = time.Now().Add(time.Hour)
	}
	return response{status: http.StatusOK, body: struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
		Expiration      string
		RoleARN         string `json:"RoleArn,omitempty"`
		AccountID       string `json:"AccountId,omitempty"`
	}{
		creds.AccessKeyID, creds.SecretAccessKey, creds.SessionToken,
		expires.UTC().Truncate(time.Second).Format(time.RFC3339), role, creds.AccountID,
	}}
}

// errorBody is an error in the form that the SDKs read: most read the fields in lower
// case, the JavaScript SDK the capitalized ones.
type errorBody struct {
	Code     string `json:"code"`
	Message  string `json:"message"`
	Code2    string `json:"Code"`
	Message2 string `json:"Message"`
}

// refuse returns the response to a refused request, and the code again as the reason.
func refuse(status int, code, message string) (response, string) {
	return response{status: status, body: errorBody{code, message, code, message}}, code
}

// errNotYet marks the error of a request that stopped waiting while the chain still tries
// to get a session.
var errNotYet = errors.New("there is no session yet")

// errorResponse says why there is no session. A failure that may go away by itself is a
// 5xx, which the SDKs retry. One that needs a change of the settings is a 4xx.
func errorResponse(err error) response {
	r := response{status: http.StatusServiceUnavailable}
	code := "NotReady"
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		code, r.retryAfter = string(e.Kind), e.NextAttempt
		if !temporary(e.Kind) && !errors.Is(err, errNotYet) {
			r.status = http.StatusBadRequest
		}
	}
	message := fmt.Sprintf("no session: %v", err)
	r.body = errorBody{code, message, code, message}
	return r
}

// temporary reports whether a failure of this kind may go away by itself.
func temporary(k credentials.Kind) bool {
	switch k {
	case credentials.Throttled, credentials.STSUnreachable, credentials.IssuerUnreachable, credentials.RefreshTimeout,
		credentials.CredentialsExpired, credentials.TokenUnreadable, credentials.TokenMalformed, credentials.TokenExpired,
		credentials.Unknown:
		return true
	}
	return false
}
