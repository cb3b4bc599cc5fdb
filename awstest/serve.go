package awstest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"
)

// Handler returns an http.Handler that serves the cloud, for your own server. It serves
// path-style S3, and IAM and STS (a POST of a form to "/"; the service that it is signed
// for, or else its Version, shows which). Do not use it with a ServeMux,
// which would clean the paths of object keys. A fault that cuts off a connection needs
// a server whose connections can be hijacked (HTTP/1); on other servers the handler
// aborts the request.
func (c *Cloud) Handler() http.Handler { return http.HandlerFunc(c.serveHTTP) }

// Serve runs the same handler on a loopback listener until the test ends. It returns
// the URL, which is the endpoint for IAM, STS and S3 (path style). Requests that are
// still waiting at the end of the test (Fault.Hang, Fault.StallAfter) are cut off.
//
// In a testing/synctest bubble, Serve fails the test: a goroutine that waits for a
// connection would stop the bubble's clock, and the test would hang. Use
// [Cloud.Config] there, which needs no connection.
func (c *Cloud) Serve(t TB) string {
	t.Helper()
	if inBubble() {
		t.Fatalf("awstest: Serve: a listener cannot be used in a testing/synctest bubble: waiting for a connection stops the bubble's clock; pass Config() to the program under test, or call Serve outside the bubble")
		return ""
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("awstest: Serve: %v", err)
		return ""
	}
	ctx, cancel := context.WithCancel(context.Background())
	running := &handlers{}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if running.begin() {
				defer running.end()
				c.serveHTTP(w, r)
			}
		}),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: time.Minute,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		cancel()
		err := server.Close()
		if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
			err = errors.Join(err, serveErr)
		}
		running.wait()
		if err != nil {
			t.Fatalf("awstest: Serve: %v", err)
		}
	})
	return "http://" + listener.Addr().String()
}

// inBubble reports whether the calling goroutine belongs to a testing/synctest
// bubble. The only place where the runtime shows this is the first line of a stack
// trace ("goroutine 8 [running, synctest bubble 1]:").
func inBubble() bool {
	trace := make([]byte, 128)
	line, _, _ := bytes.Cut(trace[:runtime.Stack(trace, false)], []byte("\n"))
	return bytes.Contains(line, []byte("synctest bubble"))
}

// handlers counts the requests in flight, so that a server can wait for them:
// http.Server.Close does not.
type handlers struct {
	mu     sync.Mutex
	closed bool
	group  sync.WaitGroup
}

// begin reports whether a request may still be handled. If so, call end afterwards.
func (h *handlers) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.group.Add(1)
	}
	return !h.closed
}

func (h *handlers) end() { h.group.Done() }

func (h *handlers) wait() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.group.Wait()
}

func (c *Cloud) serveHTTP(w http.ResponseWriter, r *http.Request) {
	most := int64(maxUpload)
	if isForm(r) {
		most = maxForm
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, most+1)) // one more is refused
	if err != nil {
		return // the client disconnected or broke the protocol, so there is no one to respond to
	}
	req, resp, err := c.handle(r, body, r.TLS != nil, true)
	if err != nil {
		reset(w)
		return
	}
	payload := resp.payload(req)
	maps.Copy(w.Header(), resp.header)
	w.WriteHeader(resp.status)
	if req.fault.noLength() {
		// Without this, net/http would count a short body and send its length anyway.
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
	}
	cut := req.fault.cut(req)
	if cut == nil || cut.after >= int64(len(payload)) {
		// A write fails if the client has disconnected, which is not an error here.
		_, _ = w.Write(payload)
		return
	}
	if _, err := w.Write(payload[:cut.after]); err != nil {
		return
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	if cut.end != nil {
		return // net/http closes the connection because bytes are missing
	}
	if cut.stall {
		<-r.Context().Done()
	}
	reset(w)
}

// reset closes the connection so that the client sees a reset.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		// With a linger time of 0, close sends a reset. Both are best effort.
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
