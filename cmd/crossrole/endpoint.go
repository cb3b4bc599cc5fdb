package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/credentials"
)

// served is one role that the endpoint hands out.
type served struct {
	name     string
	chain    *credentials.Chain
	digest   [sha256.Size]byte // of its authorization token
	required bool              // for readiness
}

func newServed(name, token string, c *credentials.Chain, required bool) *served {
	return &served{name, c, sha256.Sum256([]byte(token)), required}
}

func (s *served) path() string { return "/v1/" + s.name }

// endpoint hands out credentials as the SDKs ask containers' endpoints for them
// (https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html):
// a GET of the role's path with the content of its token file as Authorization.
type endpoint struct {
	roles     map[string]*served // by path
	beyondPod bool               // peers and hosts other than loopback are answered too
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
		return refusal(http.StatusUnauthorized, "NoAuthorization", "the Authorization header must hold the content of the role's token file; set AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE to its path")
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
	return handout(creds, s.chain.RoleARN()), ""
}

// isOurHost refuses names that somebody else lets point here, with which a web
// page could ask (DNS rebinding).
func (e *endpoint) isOurHost(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	address, port, err := net.SplitHostPort(local.String())
	if err != nil {
		return false
	}
	host, hostPort, err := net.SplitHostPort(r.Host)
	if err != nil || hostPort != port {
		return false
	}
	switch strings.ToLower(host) {
	case "127.0.0.1", "localhost", "::1":
		return true
	}
	return e.beyondPod && host == address
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
	for _, wait := range []time.Duration{hurry, patience} {
		brief, cancel := context.WithTimeout(ctx, wait)
		creds, err := s.chain.Retrieve(brief)
		late := brief.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil || !late {
			return creds, err
		}
	}
	return aws.Credentials{}, errStillTrying
}
