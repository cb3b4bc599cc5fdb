// Package shortsession is a proxy in front of an STS that makes it issue sessions of a
// few seconds. Clients cannot request these: the shortest session of AWS lasts 900
// seconds, and careful clients refuse to request less.
//
// A changed duration invalidates the signature of a request, so the proxy signs the
// request again, with a session that the STS issued through it before. It does not
// verify the client's own signature; only the server could do that.
package shortsession

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Proxy is a running proxy. Its methods may be called from any goroutine.
type Proxy struct {
	URL string // use it as the STS endpoint

	upstream string
	life     time.Duration
	server   http.Server

	sessions *sync.Map // aws.Credentials by access key id, of all proxies of the STS

	mu     sync.Mutex
	handed map[string]int // number of sessions issued, by action
}

// Start listens on a free port of 127.0.0.1. Every session that the STS at upstream
// issues through it lasts life, in whole seconds.
func Start(upstream string, life time.Duration) (*Proxy, error) {
	return start(upstream, life, &sync.Map{})
}

// Another starts a second proxy, in front of another endpoint of the same STS. A session
// that one of them issued signs requests to both.
func (p *Proxy) Another(upstream string) (*Proxy, error) { return start(upstream, p.life, p.sessions) }

func start(upstream string, life time.Duration, sessions *sync.Map) (*Proxy, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("shortsession: %w", err)
	}
	p := &Proxy{
		URL:      "http://" + l.Addr().String(),
		upstream: upstream,
		life:     life,
		sessions: sessions,
		handed:   map[string]int{},
	}
	p.server.Handler = p
	go p.server.Serve(l) // ends with http.ErrServerClosed, at Close
	return p, nil
}

// Close stops the proxy.
func (p *Proxy) Close() error { return p.server.Close() }

// Handed returns how many sessions were issued, by action.
func (p *Proxy) Handed() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.handed)
}

// ServeHTTP forwards one STS request.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, "shortsession: "+err.Error(), http.StatusBadRequest)
		return
	}
	form := r.PostForm
	action := form.Get("Action")
	if strings.HasPrefix(action, "AssumeRole") {
		form.Set("DurationSeconds", strconv.Itoa(int(p.life.Seconds())))
	}
	req, err := p.request(r, form)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		http.Error(w, "shortsession: "+err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		http.Error(w, "shortsession: "+err.Error(), http.StatusBadGateway)
		return
	}
	if resp.StatusCode == http.StatusOK {
		p.remember(action, body)
	}
	for name, values := range resp.Header {
		w.Header()[name] = slices.Clone(values)
	}
	w.WriteHeader(resp.StatusCode)
	w.Write(body) // if this fails, the client has disconnected
}

// request returns the request to send to the STS in place of r. It is signed if r was.
func (p *Proxy) request(r *http.Request, form url.Values) (*http.Request, error) {
	body := form.Encode()
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, p.upstream, strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("shortsession: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	authorization := r.Header.Get("Authorization")
	if authorization == "" {
		return req, nil
	}
	session, region, err := p.session(authorization, r.Header.Get("X-Amz-Security-Token"))
	if err != nil {
		return nil, err
	}
	return req, sign(r.Context(), req, body, session, region)
}

// session finds who signed, and for which region, by the Credential part of an
// Authorization header: key/date/region/sts/aws4_request.
func (p *Proxy) session(authorization, token string) (aws.Credentials, string, error) {
	_, scope, _ := strings.Cut(authorization, "Credential=")
	scope, _, _ = strings.Cut(scope, ",")
	part := strings.Split(scope, "/")
	if len(part) != 5 {
		return aws.Credentials{}, "", fmt.Errorf("shortsession: no credential scope in the Authorization header")
	}
	known, _ := p.sessions.Load(part[0])
	session, ok := known.(aws.Credentials)
	if !ok || session.SessionToken != token {
		return aws.Credentials{}, "", fmt.Errorf("shortsession: the request is signed with a session that did not come through this proxy; ask for all sessions here")
	}
	return session, part[2], nil
}

func sign(ctx context.Context, req *http.Request, body string, session aws.Credentials, region string) error {
	digest := sha256.Sum256([]byte(body))
	err := v4.NewSigner().SignHTTP(ctx, session, req, hex.EncodeToString(digest[:]), "sts", region, time.Now())
	if err != nil {
		return fmt.Errorf("shortsession: sign: %w", err)
	}
	return nil
}
