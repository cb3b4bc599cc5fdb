package kubernetes_test

import (
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	neturl "net/url"
	"strings"
	"sync"
)

// gate is a proxy in front of S3. It counts how often each object is requested, and can
// hold requests back.
type gate struct {
	url    string
	server http.Server

	mu   sync.Mutex
	gets map[string]int           // requests by key
	held map[string]chan struct{} // closed when requests for the key may pass
}

func startGate(upstream string) (*gate, error) {
	to, err := neturl.Parse(upstream)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gate{url: "http://" + l.Addr().String(), gets: map[string]int{}}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // it is signed
	}}
	g.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if key, ok := strings.CutPrefix(r.URL.Path, "/"+bucket+"/"); ok && key != "" && r.Method == http.MethodGet {
			select {
			case <-g.request(key):
			case <-r.Context().Done():
				return
			}
		}
		forward.ServeHTTP(w, r)
	})
	go g.server.Serve(l) // ends with http.ErrServerClosed, at close
	return g, nil
}

func (g *gate) close() { g.server.Close() }

// request counts a request. It may pass when the channel is closed.
func (g *gate) request(key string) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gets[key]++
	if c := g.held[key]; c != nil {
		return c
	}
	open := make(chan struct{})
	close(open)
	return open
}

// hold holds requests for these keys back until the returned function is called.
func (g *gate) hold(keys []string) (release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := make(chan struct{})
	g.held = map[string]chan struct{}{}
	for _, k := range keys {
		g.held[k] = c
	}
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.held = nil
		close(c)
	})
}

// requests returns how often each object was requested.
func (g *gate) requests() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.gets)
}
