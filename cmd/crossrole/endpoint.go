package main

import (
	"context"
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
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/credentials"
)

// served is one role that the endpoint returns sessions of.
type served struct {
	name     string
	digest   [sha256.Size]byte // of its authorization token
	required bool              // for readiness

	mu      sync.Mutex // guards what follows
	current *credentials.Chain
	leave   context.CancelFunc // ends the keeping of current; nil: nothing keeps it
}

func newServed(name, token string, c *credentials.Chain, required bool) *served {
	return &served{name: name, current: c, digest: sha256.Sum256([]byte(token)), required: required}
}

// chain returns the chain that requests are answered from now.
func (s *served) chain() *credentials.Chain {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// replace puts another chain in the place of the current one.
func (s *served) replace(c *credentials.Chain) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = c
	if s.leave != nil {
		s.leave()
	}
}

func (s *served) path() string { return "/v1/" + s.name }

// endpoint returns credentials as the SDKs ask containers' endpoints for them
// (https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html):
// a GET of the role's path with the content of its token file as Authorization.
type endpoint struct {
	roles     map[string]*served // by path
	beyondPod bool               // peers and hosts other than loopback are answered too
	name      string             // host that the listener was configured with; empty: none
	observe   func(role string, status int)
	refused   func(reason, role string)
}

func newEndpoint(roles []*served, beyondPod bool) *endpoint {
	e := &endpoint{
		roles: map[string]*served{}, beyondPod: beyondPod,
		observe: func(string, int) {}, refused: func(string, string) {},
	}
	for _, s := range roles {
		e.roles[s.path()] = s
	}
	return e
}

// ServeHTTP reads nothing of a request but its first line and two headers. What
// it does not expect it refuses: a query, a path in another spelling, a second
// Authorization.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The target as it came: a path that needs cleaning is no role's.
	s := e.roles[r.RequestURI]
	answer, reason := e.answer(r, s)
	name := ""
	if s != nil {
		name = s.name
	}
	if reason != "" {
		e.refused(reason, name)
	}
	e.observe(name, answer.status)
	answer.write(w)
}

// answer is the reply, and the reason if the caller may not have another.
func (e *endpoint) answer(r *http.Request, s *served) (reply, string) {
	switch {
	case !e.beyondPod && !isLoopback(r.RemoteAddr):
		return refusal(http.StatusForbidden, "PeerRefused", "this endpoint answers callers of the same pod only")
	case !e.isOurHost(r):
		return refusal(http.StatusForbidden, "HostRefused", "the Host header is not the address of this endpoint; use the URL as serve prints it")
	case r.Method != http.MethodGet:
		return refusal(http.StatusMethodNotAllowed, "MethodRefused", "credentials are read with GET")
	}
	presented := r.Header["Authorization"]
	if len(presented) != 1 || presented[0] == "" {
		return refusal(http.StatusUnauthorized, "NoAuthorization", "the Authorization header must hold the content of the role's token file; set AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE to its path or, for older SDKs, AWS_CONTAINER_AUTHORIZATION_TOKEN to its content")
	}
	// A path that no role has is answered as a wrong token, in the same time.
	var want [sha256.Size]byte
	if s != nil {
		want = s.digest
	}
	got := sha256.Sum256([]byte(presented[0]))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 || s == nil {
		return refusal(http.StatusForbidden, "AuthorizationRefused", "the Authorization header does not hold the token of this path's role")
	}
	creds, err := s.retrieve(r.Context())
	if err != nil {
		return failure(err), ""
	}
	return handout(creds, s.chain().RoleARN()), ""
}

// isOurHost reports whether the Host header is an address or a name of this
// listener. Any other is a name of an attacker's, with which a web page could ask
// (DNS rebinding).
func (e *endpoint) isOurHost(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	at, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return false
	}
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil && at.Port() == 80 { // clients leave out the port of http
		host, port, err = net.SplitHostPort(r.Host + ":80")
	}
	if err != nil || port != strconv.Itoa(int(at.Port())) {
		return false
	}
	switch host = strings.ToLower(host); host {
	case "127.0.0.1", "localhost", "::1":
		return true
	case "":
		return false
	case strings.ToLower(e.name):
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

const (
	// hurry is how long a request waits while there may be a valid session:
	// some SDKs give up after a second.
	hurry = 500 * time.Millisecond
	// patience is how long it waits while there is none.
	patience = 10 * time.Second
)

// retrieve returns a valid session at once, whatever STS does, and waits for one
// otherwise.
func (s *served) retrieve(ctx context.Context) (aws.Credentials, error) {
	chain := s.chain()
	for _, wait := range []time.Duration{hurry, patience} {
		brief, cancel := context.WithTimeout(ctx, wait)
		creds, err := chain.Retrieve(brief)
		late := brief.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil || !late {
			return creds, err
		}
	}
	return aws.Credentials{}, errStillTrying
}

// reply is what the endpoint answers.
type reply struct {
	status     int
	retryAfter time.Time // zero: not sent
	body       any
}

func (a reply) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json") // the Go SDK compares it as it is
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if left := time.Until(a.retryAfter); left > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(left.Seconds()))))
	}
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body) // the client may have left
}

// handout is a session as the SDKs read it.
func handout(creds aws.Credentials, role string) reply {
	end := creds.Expires
	if !creds.CanExpire {
		// The SDKs insist on an end. This one has them ask again.
		end = time.Now().Add(time.Hour)
	}
	return reply{status: http.StatusOK, body: struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
		Expiration      string
		RoleARN         string `json:"RoleArn,omitempty"`
		AccountID       string `json:"AccountId,omitempty"`
	}{
		creds.AccessKeyID, creds.SecretAccessKey, creds.SessionToken,
		end.UTC().Truncate(time.Second).Format(time.RFC3339), role, creds.AccountID,
	}}
}

// fault is an error as the SDKs read it: some in small letters, the JavaScript
// SDK in capitals.
type fault struct {
	Code     string `json:"code"`
	Message  string `json:"message"`
	Code2    string `json:"Code"`
	Message2 string `json:"Message"`
}

func refusal(status int, code, message string) (reply, string) {
	return reply{status: status, body: fault{code, message, code, message}}, code
}

var errStillTrying = errors.New("there is no session yet, and STS has not answered")

// failure says why there is no session. A failure that may go away by itself is a
// 5xx, which the SDKs retry. One that a person must fix is a 4xx.
func failure(err error) reply {
	a := reply{status: http.StatusServiceUnavailable}
	code := "NotReady"
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		code, a.retryAfter = string(e.Kind), e.NextAttempt
		if !passing(e.Kind) {
			a.status = http.StatusBadRequest
		}
	}
	message := fmt.Sprintf("no session: %v", err)
	a.body = fault{code, message, code, message}
	return a
}

// passing reports whether a failure of this kind may end by itself.
func passing(k credentials.Kind) bool {
	switch k {
	case credentials.Throttled, credentials.STSUnreachable, credentials.IssuerUnreachable, credentials.RefreshTimeout,
		credentials.CredentialsExpired, credentials.TokenUnreadable, credentials.TokenMalformed, credentials.TokenExpired,
		credentials.Unknown:
		return true
	}
	return false
}
