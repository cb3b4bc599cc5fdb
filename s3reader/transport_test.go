package s3reader_test

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/crossrole/crossrole/s3reader"
)

// One connection for all ranges, as HTTP/2 would have it, is no fan-out; and a
// connection that is free is used again.
func TestRangesHaveConnectionsOfTheirOwn(t *testing.T) {
	s := newShelf()
	data := noise(40 * partSize)
	s.Put("k", data)
	var mu sync.Mutex
	from, protocols := map[string]int{}, map[string]int{}
	ready, all := make(chan struct{}), 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		from[r.RemoteAddr]++
		protocols[r.Proto]++
		if all++; all == 8 {
			close(ready)
		}
		mu.Unlock()
		if r.Header.Get("Range") != "" {
			<-ready // so that eight are under way at once
		}
		s.cloud.Handler().ServeHTTP(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())

	cfg := s.config(mayRead)
	cfg.BaseEndpoint = &server.URL
	cfg.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) { tr.TLSClientConfig.RootCAs = roots })
	var w memory
	if _, err := newReader(t, cfg, "pics", func(o *s3reader.Options) { o.PartSize, o.Concurrency = partSize, 8 }).Download(t.Context(), "k", &w); err != nil {
		t.Fatal(err)
	}
	same(t, w.data, data)
	// One more is begun whenever a request finds none free, even if one becomes free
	// before it is there; and the request for the whole object is cut off at the
	// first part's end, which ends its connection.
	if len(from) < 8 || len(from) > 20 || protocols["HTTP/1.1"] != 40 {
		t.Errorf("%d connections, by %v", len(from), protocols)
	}
}

// Open handles keep their connections. When no more may be opened, the error says so, and
// a handle that is closed makes room.
func TestAllConnectionsAreInUse(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(8<<20)) // more than the buffers of a socket hold
	server := httptest.NewServer(s.cloud.Handler())
	t.Cleanup(server.Close) // after the handles
	cfg := s.config(mayRead)
	cfg.BaseEndpoint = &server.URL
	cfg.HTTPClient = &http.Client{Transport: &http.Transport{MaxConnsPerHost: 2}}
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	r := newReader(t, cfg, "pics")
	quick := newReader(t, cfg, "pics", func(o *s3reader.Options) { o.StallTimeout = 20 * time.Millisecond })
	first := open(t, r, "k")
	open(t, r, "k")
	_, err := quick.Open(t.Context(), "k")
	if err == nil || !strings.Contains(err.Error(), "MaxConnsPerHost") {
		t.Errorf("got %v", err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	open(t, r, "k")
}
