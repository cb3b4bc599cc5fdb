package s3reader_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/crossrole/crossrole/s3reader"
)

// narrow gives its connections 100 to 400 kB/s each, in a synctest bubble.
type narrow struct {
	inner interface {
		Do(*http.Request) (*http.Response, error)
	}
	requests atomic.Int64
}

func (n *narrow) Do(r *http.Request) (*http.Response, error) {
	resp, err := n.inner.Do(r)
	if err == nil {
		resp.Body = &trickle{resp.Body, 100_000 * int(1+n.requests.Add(1)%4)}
	}
	return resp, err
}

// Many connections over a narrow line are slow, and none of them has stalled: no
// work is taken from one altogether. Those that have nothing left to do take over a
// part of what is left.
func TestNarrowLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		data := large(64 << 20)
		s.Put("k", data)
		cfg := s.config(mayRead)
		n := &narrow{inner: cfg.HTTPClient}
		cfg.HTTPClient = n
		r := newReader(t, cfg, "pics", func(o *s3reader.Options) { o.Concurrency = 8 })
		w := memory{data: make([]byte, 0, len(data))}
		info, err := r.Download(t.Context(), "k", &w)
		if err != nil || !info.Verified {
			t.Fatal(info, err)
		}
		same(t, w.data, data)
		if got := n.requests.Load(); got > 24 {
			t.Errorf("%d requests for 8 shares", got)
		}
	})
}
