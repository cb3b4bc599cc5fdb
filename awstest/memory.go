package awstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// memoryClient is an HTTP client that sends requests to the cloud without a network,
// in the calling goroutine.
type memoryClient struct{ cloud *Cloud }

// Do returns the cloud's response to r. Its errors have the same form as those of
// http.Client.
func (m memoryClient) Do(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, clientError(r, err) // http.Client would not send the request either
	}
	body, err := readBody(r)
	if err != nil {
		return nil, clientError(r, err)
	}
	server, err := asServed(r)
	if err != nil {
		return nil, clientError(r, err)
	}
	req, resp, err := m.cloud.handle(server, body, r.URL.Scheme == "https", false)
	switch {
	case err == nil:
		return m.response(r, req, resp), nil
	case errors.Is(err, errNoSuchHost):
		return nil, clientError(r, &net.OpError{Op: "dial", Net: "tcp", Err: noSuchHost(r.URL.Host)})
	case errors.Is(err, errDropped):
		return nil, clientError(r, connectionReset())
	}
	return nil, clientError(r, err)
}

// noSuchHost returns an error that names the environment variable with the host, if
// there is one.
func noSuchHost(host string) error {
	err := fmt.Errorf("%w %q: the cloud serves IAM, STS, S3 and the services that it has handlers for", errNoSuchHost, host)
	for _, name := range []string{"AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_IAM", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"} {
		if u, invalid := url.Parse(os.Getenv(name)); invalid == nil && u.Host == host {
			return fmt.Errorf("%w; the environment's %s leads there: unset it for tests", err, name)
		}
	}
	return err
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(r.Body)
	if closeErr := r.Body.Close(); err == nil {
		err = closeErr
	}
	return body, err
}

// asServed returns the client's request as a server would see it: the URL is parsed
// from the request line, and host and length are where net/http puts them.
func asServed(r *http.Request) (*http.Request, error) {
	u, err := url.ParseRequestURI(r.URL.RequestURI())
	if err != nil {
		return nil, err
	}
	server := r.WithContext(r.Context())
	server.URL = u
	if server.Host == "" || !knownHost(r.URL.Host) {
		// A Host header does not change which host a client connects to.
		server.Host = r.URL.Host
	}
	if server.Header == nil {
		server.Header = http.Header{}
	}
	return server, nil
}

func (m memoryClient) response(r *http.Request, req *request, resp *response) *http.Response {
	out := &http.Response{
		Status:     strconv.Itoa(resp.status) + " " + http.StatusText(resp.status),
		StatusCode: resp.status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:  resp.header,
		Request: r,
	}
	body := resp.payload(req)
	switch length := resp.header.Get("Content-Length"); {
	case length != "":
		// Only a number of our own is put there.
		out.ContentLength, _ = strconv.ParseInt(length, 10, 64)
	case req.fault.noLength():
		out.ContentLength = -1
	}
	out.Body = newMemoryBody(r.Context(), body, req.fault.cut(req))
	return out
}

// payload returns the body to send for this request, and sets Content-Length.
func (r *response) payload(req *request) []byte {
	switch {
	case r.status == http.StatusNoContent || r.status == http.StatusNotModified:
		r.header.Del("Content-Length")
		return nil
	case req.Method == http.MethodHead:
		if r.header.Get("Content-Length") == "" {
			r.header.Set("Content-Length", strconv.Itoa(len(r.body)))
		}
		if req.fault.noLength() {
			r.header.Del("Content-Length")
		}
		return nil
	}
	r.header.Set("Content-Length", strconv.Itoa(len(r.body)))
	if req.fault.noLength() {
		r.header.Del("Content-Length")
	}
	return r.body
}

func (f *Fault) noLength() bool { return f != nil && f.NoLength }

// clientError wraps err as http.Client does.
func clientError(r *http.Request, err error) error {
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	return &url.Error{Op: method[:1] + strings.ToLower(method[1:]), URL: r.URL.String(), Err: err}
}

func connectionReset() error {
	return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
}

// cut describes where a fault cuts off a body.
type cut struct {
	after int64
	stall bool  // send nothing more
	end   error // the error that a reader gets; nil: the connection is reset
}

// cut returns where the fault cuts off the response's body, or nil if it does not.
func (f *Fault) cut(req *request) *cut {
	switch {
	case f == nil || f.Status != 0 || req.service != serviceS3:
		return nil
	case f.ResetAfter != nil:
		return &cut{after: *f.ResetAfter}
	case f.StallAfter != nil:
		return &cut{after: *f.StallAfter, stall: true}
	case f.EndAfter != nil && f.NoLength:
		return &cut{after: *f.EndAfter, end: io.EOF}
	case f.EndAfter != nil:
		return &cut{after: *f.EndAfter, end: io.ErrUnexpectedEOF}
	}
	return nil
}

// memoryBody is the body of a response. As on a connection, a read fails when the
// request's context is done, and a Close in another goroutine unblocks it.
type memoryBody struct {
	ctx  context.Context
	data []byte
	read int64
	cut  *cut

	close  sync.Once
	closed chan struct{}
}

func newMemoryBody(ctx context.Context, data []byte, cut *cut) *memoryBody {
	return &memoryBody{ctx: ctx, data: data, cut: cut, closed: make(chan struct{})}
}

func (b *memoryBody) Read(p []byte) (int, error) {
	select {
	case <-b.closed:
		return 0, http.ErrBodyReadAfterClose
	default:
	}
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if len(b.data) == 0 {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if b.cut != nil {
		left := b.cut.after - b.read
		if left <= 0 {
			return 0, b.broken()
		}
		p = p[:min(int64(len(p)), left)]
	}
	n := copy(p, b.data)
	b.data = b.data[n:]
	b.read += int64(n)
	return n, nil
}

// broken returns the error at the end of a body that a fault cuts off.
func (b *memoryBody) broken() error {
	switch {
	case b.cut.end != nil:
		return b.cut.end
	case !b.cut.stall:
		return connectionReset()
	}
	select {
	case <-b.ctx.Done():
		return b.ctx.Err()
	case <-b.closed:
		return http.ErrBodyReadAfterClose
	}
}

func (b *memoryBody) Close() error {
	b.close.Do(func() { close(b.closed) })
	return nil
}
