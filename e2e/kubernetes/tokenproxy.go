package kubernetes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"
)

// Rotation determines when kubelet replaces tokens.
type Rotation int

const (
	// Natural replaces a token after four fifths of its lifetime.
	Natural Rotation = iota
	// Forced replaces it whenever kubelet checks the pod, every ten to fifteen seconds:
	// the proxy makes each token seem to expire in one second. The token's own exp is
	// unchanged.
	Forced
)

// tokenProxy is a proxy between kubelet and the API server. It adds the node's identity,
// and changes the expiry of tokens as the rotation requires.
type tokenProxy struct {
	url    string
	server http.Server
}

func startTokenProxy(c *Cluster, token string, rotation Rotation) (*tokenProxy, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("kubernetes: %w", err)
	}
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1, // watches
		Transport:     c.API.client.Transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(c.url())
			r.Out.Header.Set("Authorization", "Bearer "+token)
		},
		// In one of the drills the API server is down.
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	}
	if rotation == Forced {
		proxy.ModifyResponse = hurry
	}
	p := &tokenProxy{url: "http://" + l.Addr().String()}
	p.server.Handler = proxy
	go p.server.Serve(l) // ends with http.ErrServerClosed, at close
	return p, nil
}

func (p *tokenProxy) close() error { return p.server.Close() }

// hurry changes the expiry of a token, in the response to a TokenRequest, to one second
// from now.
func hurry(resp *http.Response) error {
	if !strings.HasSuffix(resp.Request.URL.Path, "/token") || resp.StatusCode != http.StatusCreated {
		return nil
	}
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("kubernetes: answer to a TokenRequest: %w", err)
	}
	status, ok := answer["status"].(map[string]any)
	if !ok {
		return fmt.Errorf("kubernetes: answer to a TokenRequest has no status")
	}
	status["expirationTimestamp"] = time.Now().Add(time.Second).UTC().Format(time.RFC3339)
	body, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("kubernetes: answer to a TokenRequest: %w", err)
	}
	if err := resp.Body.Close(); err != nil {
		return fmt.Errorf("kubernetes: answer to a TokenRequest: %w", err)
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return nil
}
