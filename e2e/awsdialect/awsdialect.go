// Package awsdialect is a proxy in front of Ceph's STS. If Ceph refuses a token, the
// proxy responds with the error code that AWS would send, where Ceph always responds
// AccessDenied. Ceph alone decides what is refused.
package awsdialect

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/crossrole/crossrole/trust"
)

// Registered reports whether an account has the issuer registered.
type Registered func(ctx context.Context, account, issuer string) (bool, error)

// Proxy is a running proxy.
type Proxy struct {
	URL string // use it as the STS endpoint

	registered Registered
	server     http.Server
}

// Start listens on a free port of 127.0.0.1.
func Start(upstream string, registered Registered) (*Proxy, error) {
	to, err := url.Parse(upstream)
	if err != nil {
		return nil, fmt.Errorf("awsdialect: %w", err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("awsdialect: %w", err)
	}
	p := &Proxy{URL: "http://" + l.Addr().String(), registered: registered}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // it is signed
		},
		ModifyResponse: p.translate,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		},
	}
	p.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		form, err := url.ParseQuery(string(body))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		forward.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), asked{}, form)))
	})
	go p.server.Serve(l) // ends with http.ErrServerClosed, at Close
	return p, nil
}

// Close stops the proxy.
func (p *Proxy) Close() error { return p.server.Close() }

// asked is the context key for a request's form.
type asked struct{}

// translate finds the cause of a refused token.
func (p *Proxy) translate(resp *http.Response) error {
	form, ok := resp.Request.Context().Value(asked{}).(url.Values)
	if !ok || resp.StatusCode != http.StatusForbidden || form.Get("Action") != "AssumeRoleWithWebIdentity" {
		return nil
	}
	token, err := trust.ParseToken([]byte(form.Get("WebIdentityToken")))
	if err != nil {
		return nil // pass on Ceph's own response
	}
	part := strings.Split(form.Get("RoleArn"), ":")
	if len(part) != 6 {
		return nil
	}
	known, err := p.registered(resp.Request.Context(), part[4], token.Issuer)
	if err != nil {
		return fmt.Errorf("awsdialect: %w", err)
	}
	switch {
	case !known:
		return say(resp, "No OpenIDConnect provider found in your account for "+token.Issuer)
	case !answers(resp.Request.Context(), token.Issuer):
		return say(resp, "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements")
	}
	return nil
}

// answers reports whether the issuer is reachable now.
func answers(ctx context.Context, issuer string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+"/.well-known/openid-configuration", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// say replaces the response with the one that AWS sends (AssumeRoleWithWebIdentity in
// the API reference, "Errors").
func say(resp *http.Response, message string) error {
	if err := resp.Body.Close(); err != nil {
		return fmt.Errorf("awsdialect: %w", err)
	}
	var body bytes.Buffer
	body.WriteString("<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code><Message>")
	if err := xml.EscapeText(&body, []byte(message)); err != nil {
		return fmt.Errorf("awsdialect: %w", err)
	}
	body.WriteString("</Message></Error></ErrorResponse>")
	resp.StatusCode, resp.Status = http.StatusBadRequest, ""
	resp.Header.Set("Content-Type", "text/xml")
	resp.Header.Set("Content-Length", strconv.Itoa(body.Len()))
	resp.ContentLength, resp.Body = int64(body.Len()), io.NopCloser(&body)
	return nil
}
