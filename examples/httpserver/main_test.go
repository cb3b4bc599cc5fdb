package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

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
	url    string
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
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + listener.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	t.Cleanup(stop)
	go func() { s.ended <- serve(ctx, listener, newHandler(chain, files, registry, logger)) }()
	return s
}

// request returns the response to a request. Headers are "Name: value".
func (s *site) request(t *testing.T, method, path string, headers ...string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
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
	for _, path := range []string{"/files/missing", "/files/cats", "/files/cats/", "/files/", "/other"} {
		if resp, _ := s.get(t, "GET", path); resp.StatusCode != 404 {
			t.Errorf("%s: %s", path, resp.Status)
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
	s.cloud.Fault(awstest.Fault{Operation: "HeadObject", Status: 403, Code: "AccessDenied"})
	s.cloud.Fault(awstest.Fault{Operation: "GetObject", Status: 403, Code: "AccessDenied"})
	s.cloud.Fault(awstest.Fault{Operation: "ListObjectsV2", Status: 403, Code: "AccessDenied"})
	if resp, body := s.get(t, "GET", "/files/k"); resp.StatusCode != 403 || body != "Forbidden\n" {
		t.Errorf("denied: got %s, %q", resp.Status, body)
	}
	s.stop()
	if err := <-s.ended; err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ChecksumMismatch", "AccessDenied"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("no %s in the log:\n%s", want, &s.log)
		}
	}
}

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
