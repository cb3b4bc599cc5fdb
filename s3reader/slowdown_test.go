package s3reader_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// crowd counts the requests under way. No two of them end at the same instant, so
// that one by one they make room for the next.
type crowd struct {
	inner interface {
		Do(*http.Request) (*http.Response, error)
	}
	mu      sync.Mutex
	now     int
	seen    []int // at the beginning of each request
	refused []int // how many had begun by each answer of 503
}

func (c *crowd) Do(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.now++
	c.seen = append(c.seen, c.now)
	took := time.Second + time.Duration(len(c.seen))*time.Microsecond
	c.mu.Unlock()
	time.Sleep(took) // only ever in a synctest bubble
	resp, err := c.inner.Do(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now--
	if err == nil && resp.StatusCode == http.StatusServiceUnavailable {
		c.refused = append(c.refused, len(c.seen))
	}
	return resp, err
}

// When S3 asks to slow down, half as many connections are used, and then one more
// with each range that arrives.
func TestSlowDownLowersConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		data := noise(300 * partSize)
		s.Put("k", data)
		cfg := s.config(mayRead)
		c := &crowd{inner: cfg.HTTPClient}
		cfg.HTTPClient = c
		r := newReader(t, cfg, "pics", func(o *s3reader.Options) { o.PartSize, o.Concurrency = partSize, 16 })
		// One refusal, then a burst of them for the same reason, which counts once.
		s.cloud.Fault(awstest.Fault{Operation: "GetObject", Skip: 100, Times: 1, Status: 503, Code: "SlowDown"})
		s.cloud.Fault(awstest.Fault{Operation: "GetObject", Skip: 200, Times: 5, Status: 503, Code: "SlowDown"})
		var w memory
		if _, err := r.Download(t.Context(), "k", &w); err != nil {
			t.Fatal(err)
		}
		same(t, w.data, data)
		if len(c.refused) != 6 {
			t.Fatalf("%d refusals", len(c.refused))
		}
		one, burst := c.refused[0], c.refused[1]
		for from, to := range map[int]int{30: one, one + 40: burst, burst + 60: len(c.seen)} {
			if got := slices.Max(c.seen[from:to]); got != 16 {
				t.Errorf("requests %d to %d: at most %d at a time", from, to, got)
			}
		}
		for from, refused := range map[int]int{one: 1, burst: 5} { // which wait before they ask again
			if got := slices.Max(c.seen[from : from+5]); got > 8 || got < 8-refused {
				t.Errorf("requests %d to %d: up to %d at a time: %v", from, from+5, got, c.seen[from:])
			}
		}
	})
}
