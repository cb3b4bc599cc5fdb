package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/credentials/metrics"
	"github.com/crossrole/crossrole/s3reader"
	"github.com/crossrole/crossrole/trust"
)

// site is a running server, the AWS behind it, and its log.
type site struct {
	cloud  *awstest.Cloud
	bucket *awstest.Bucket
	chain  *credentials.Chain
	url    string // of the files
	admin  string // URL of health and metrics
	stop   context.CancelFunc
	ended  chan error
	log    bytes.Buffer // to be read after the end
}

func newSite(t *testing.T) *site {
	t.Helper()
	cloud := awstest.New()
	shared := cloud.Account("444455556666")
	cluster := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	shared.AddOIDCProvider(cluster)
	role := shared.CreateRole("S3_Pics",
		trust.WebIdentityPolicy(shared.ID(), []string{cluster.Issuer()}, []string{awstest.Subject("default", "web")}).String(),
		trust.ReadBucketPolicy("pics", "").String())
	pod := cluster.Pod(t.TempDir(), "default", "web", role.ARN())
	s := &site{cloud: cloud, bucket: shared.CreateBucket("pics"), ended: make(chan error, 1)}

	logger := slog.New(slog.NewTextHandler(&s.log, nil))
	collector := metrics.New()
	chain, err := credentials.New(cloud.Config(), collector.Observe, func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: pod.RoleARN(), TokenFile: pod.TokenFile()}
	})
	if err != nil {
		t.Fatal(err)
	}
	s.chain = chain
	collector.Watch(chain)
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	files, err := s3reader.New(chain.Config(), "pics")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	t.Cleanup(stop)
	public, private := listen(t), listen(t)
	s.url, s.admin = "http://"+public.Addr().String(), "http://"+private.Addr().String()
	go func() {
		s.ended <- serve(ctx, endpoint{public, newFiles(files, logger)}, endpoint{private, newAdmin(chain, registry)})
	}()
	return s
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// finished stops the server and returns its log.
func (s *site) finished(t *testing.T) string {
	t.Helper()
	s.stop()
	if err := <-s.ended; err != nil {
		t.Fatal(err)
	}
	return s.log.String()
}

// request returns the response to a request. Headers are "Name: value".
func (s *site) request(t *testing.T, method, path string, headers ...string) (*http.Response, error) {
	t.Helper()
	url := s.url + path
	if path == "/healthz" || path == "/metrics" {
		url = s.admin + path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	return http.DefaultClient.Do(req)
}

// get returns the response to a request and its body.
func (s *site) get(t *testing.T, method, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	resp, err := s.request(t, method, path, headers...)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// requests are the operations on objects that S3 got so far.
func (s *site) requests() []string {
	var all []string
	for _, c := range s.cloud.Calls() {
		if strings.HasSuffix(c.Operation, "Object") || strings.HasPrefix(c.Operation, "List") {
			all = append(all, c.Operation)
		}
	}
	return all
}

func TestObjectsOverHTTP(t *testing.T) {
	s := newSite(t)
	data := strings.Repeat("0123456789", 5000)
	put := s.bucket.Put("cats/indoor cat.txt", []byte(data), func(o *awstest.Object) {
		o.ContentType = "text/plain"
		o.Headers = map[string]string{"Cache-Control": "max-age=60", "Content-Disposition": "inline"}
	})
	const path = "/files/cats/indoor%20cat.txt"
	resp, body := s.get(t, "GET", path)
	if resp.StatusCode != 200 || body != data {
		t.Fatalf("got %s, %d bytes", resp.Status, len(body))
	}
	for name, want := range map[string]string{
		"Etag": put.ETag, "Content-Type": "text/plain", "Cache-Control": "max-age=60", "Content-Disposition": "inline",
		"Content-Length": "50000", "Accept-Ranges": "bytes", "Last-Modified": put.LastModified.UTC().Format(http.TimeFormat),
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, c := range []struct {
		method, header, body string
		status               int
		requests             []string // to S3
	}{
		{"HEAD", "Accept: */*", "", 200, []string{"HeadObject"}},
		{"GET", "If-None-Match: " + put.ETag, "", 304, []string{"HeadObject"}},
		{"GET", "If-Modified-Since: " + put.LastModified.UTC().Format(http.TimeFormat), "", 304, []string{"HeadObject"}},
		{"GET", "Range: bytes=49998-", "89", 206, []string{"HeadObject", "GetObject"}},
		{"GET", "Range: bytes=-1", "9", 206, []string{"HeadObject", "GetObject"}},
		{"GET", "Range: bytes=50000-", "invalid range: failed to overlap\n", 416, []string{"HeadObject"}},
		{"GET", "Range: bytes=1-0", "invalid range\n", 416, []string{"HeadObject"}},
		{"GET", "Range: bytes=" + strings.Repeat("0-0,", 16) + "1-1", "too many ranges\n", 416, nil},
		{"GET", "If-Match: \"other\"", "", 412, []string{"HeadObject"}},
		{"GET", "Accept: */*", data, 200, []string{"GetObject"}},
		{"GET", "If-None-Match: \"other\"", data, 200, []string{"HeadObject", "GetObject", "GetObject", "GetObject"}},
	} {
		before := len(s.requests())
		resp, body := s.get(t, c.method, path, c.header)
		if resp.StatusCode != c.status || body != c.body {
			t.Errorf("%s %s: got %s, %q", c.method, c.header, resp.Status, body)
		}
		if got := s.requests()[before:]; !slices.Equal(got, c.requests) {
			t.Errorf("%s %s: requests to S3 %q, want %q", c.method, c.header, got, c.requests)
		}
	}
	for _, path := range []string{"/files/missing", "/files/cats", "/files/cats/", "/files/", "/other", "/files/" + strings.Repeat("k", 1025)} {
		if resp, body := s.get(t, "GET", path); resp.StatusCode != 404 || len(body) > 20 {
			t.Errorf("%s: %s, %q", path, resp.Status, body)
		}
	}
	if resp, _ := s.get(t, "PUT", path); resp.StatusCode != 405 {
		t.Errorf("PUT: %s", resp.Status)
	}
}

// A client never gets the end of an object whose bytes are not those that were stored.
func TestWrongBytesOverHTTP(t *testing.T) {
	s := newSite(t)
	s.bucket.Put("k", bytes.Repeat([]byte("purr "), 1000))
	s.cloud.Fault(awstest.Fault{Operation: "GetObject", Edit: bytes.ToUpper})
	resp, err := s.request(t, "GET", "/files/k")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("got %d bytes without an error", len(body))
	}
	if log := s.finished(t); !strings.Contains(log, "ChecksumMismatch") {
		t.Errorf("the log does not say why:\n%s", log)
	}
}

// Nor does it take a part of an encoded object, whose length the response does not state,
// for all of it.
func TestWrongBytesOfAnEncodedObject(t *testing.T) {
	s := newSite(t)
	s.bucket.Put("k", bytes.Repeat([]byte("purr "), 1000), func(o *awstest.Object) {
		o.Headers = map[string]string{"Content-Encoding": "br"}
	})
	s.cloud.Fault(awstest.Fault{Operation: "GetObject", Edit: bytes.ToUpper})
	resp, err := s.request(t, "GET", "/files/k")
	if err != nil {
		return // the connection ended before the response
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("got %d bytes without an error", len(body))
	}
}

// The client gets a status that fits, and no word about the account; the log says why.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		code   string
		of     int // status of S3
		status int
	}{
		{"AccessDenied", 403, 403},
		{"NoSuchKey", 404, 404},
		{"NoSuchBucket", 404, 502},
		{"InvalidObjectState", 403, 502},
		{"NotImplemented", 501, 502},
	} {
		s := newSite(t)
		s.bucket.Put("k", []byte("purr"))
		for _, operation := range []string{"GetObject", "HeadObject", "ListObjectsV2"} {
			s.cloud.Fault(awstest.Fault{Operation: operation, Status: c.of, Code: c.code, Message: "about arn:aws:iam::444455556666:role/S3_Pics"})
		}
		resp, body := s.get(t, "GET", "/files/k")
		if want := http.StatusText(c.status) + "\n"; resp.StatusCode != c.status || body != want {
			t.Errorf("%s: got %s, %q", c.code, resp.Status, body)
		}
		if log := s.finished(t); strings.Contains(log, c.code) != (c.status != 404) {
			t.Errorf("%s: logged %q", c.code, log)
		}
	}
}

// What names roles and accounts is on the admin port only.
func TestPublicPort(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{"/metrics", "/healthz"} {
		resp, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 404 {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

// Nothing is read on for a client that has left, and nothing is logged.
func TestClientLeaves(t *testing.T) {
	s := newSite(t)
	s.bucket.Put("k", make([]byte, 8<<20))
	remove := s.cloud.Fault(awstest.Fault{Operation: "GetObject", Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", s.url+"/files/k", nil)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	for len(s.cloud.Calls()) == 0 { // until S3 has the request, or STS the one before
		runtime.Gosched()
	}
	cancel()
	if err := <-failed; err == nil {
		t.Error("S3 hangs, and there is a response")
	}
	// The server ends although S3 never responds.
	if log := s.finished(t); strings.Contains(log, "ERROR") {
		t.Errorf("logged %q", log)
	}
	remove()
}

// A client that accepts nothing for a while is disconnected; one that is slow is not.
func TestSlowClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			pause time.Duration
			done  bool
		}{{stalled / 3, true}, {2 * stalled, false}} {
			client, server := net.Pipe()
			one := &oneConn{conn: server, closed: make(chan struct{})}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			const size = 200_000
			handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				body := &patient{ReadSeeker: bytes.NewReader(make([]byte, size)), client: http.NewResponseController(w)}
				http.ServeContent(w, req, "k", time.Time{}, body)
			})
			go func() { ended <- serve(ctx, endpoint{one, handler}) }()
			if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			n, b := 0, make([]byte, 32<<10)
			for {
				time.Sleep(c.pause)
				got, err := client.Read(b)
				n += got
				if err != nil {
					break
				}
			}
			if (n > size) != c.done {
				t.Errorf("a client that pauses for %v got %d bytes", c.pause, n)
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			client.Close()
		}
	})
}

// oneConn is a listener with one connection.
type oneConn struct {
	conn   net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

func TestHealthAndMetrics(t *testing.T) {
	s := newSite(t)
	if resp, _ := s.get(t, "GET", "/healthz"); resp.StatusCode != 503 {
		t.Errorf("before the first session: %s", resp.Status)
	}
	if _, err := s.chain.Retrieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	if resp, body := s.get(t, "GET", "/healthz"); resp.StatusCode != 200 || body != "ok\n" {
		t.Errorf("got %s, %q", resp.Status, body)
	}
	if _, body := s.get(t, "GET", "/metrics"); !strings.Contains(body, "crossrole_session_remaining_seconds{") {
		t.Errorf("got\n%s", body)
	}
}

// A request in progress ends as if nothing had happened; after it, the server does.
func TestGracefulShutdown(t *testing.T) {
	s := newSite(t)
	const size = 8 << 20 // more than the buffers of a connection hold
	s.bucket.Put("k", make([]byte, size))
	resp, err := s.request(t, "GET", "/files/k")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	s.stop()
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != size {
		t.Errorf("got %d bytes, %v", n, err)
	}
	if err := <-s.ended; err != nil {
		t.Errorf("serve: %v", err)
	}
	if resp, err := s.request(t, "GET", "/files/k"); err == nil {
		resp.Body.Close()
		t.Error("requests are still accepted")
	}
}
