package s3reader_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// burst gets k that many times, half of them by Stat, and returns the failures.
func burst(t *testing.T, r *s3reader.Reader, n, workers int) (failed int64, one error) {
	var failures atomic.Int64
	var first atomic.Pointer[error]
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range n / workers {
				var err error
				if (i+w)%2 == 0 {
					_, err = r.Get(t.Context(), "k")
				} else {
					_, err = r.Stat(t.Context(), "k")
				}
				if err != nil {
					failures.Add(1)
					first.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	all.Wait()
	if err := first.Load(); err != nil {
		one = *err
	}
	return failures.Load(), one
}

// Connections that break before a response begins cost no failure, however many
// they are at a time.
func TestDroppedConnectionsInABurst(t *testing.T) {
	t.Parallel()
	for name, drop := range map[string]func(s *shelf){
		"300 at once": func(s *shelf) { s.cloud.Fault(awstest.Fault{Drop: true, Times: 300}) },
		"here and there": func(s *shelf) {
			for range 300 {
				s.cloud.Fault(awstest.Fault{Drop: true, Skip: rand.IntN(2000), Times: 1})
			}
		},
	} {
		for _, workers := range []int{100, 2000} {
			synctest.Test(t, func(t *testing.T) {
				s := newShelf()
				s.Put("k", []byte("v"))
				drop(s)
				if n, err := burst(t, s.reader(t, mayRead), 2000, workers); n > 0 {
					t.Errorf("%s, %d workers: %d failures, one is %v", name, workers, n, err)
				}
			})
		}
	}
}

// A store that refuses everything for seven seconds, because there are too many requests,
// costs no failure either.
func TestSlowDownStorm(t *testing.T) {
	t.Parallel()
	storm := func(t *testing.T, s *shelf, f awstest.Fault, lasts time.Duration) {
		time.AfterFunc(lasts, s.cloud.Fault(f))
	}
	for name, f := range map[string]awstest.Fault{
		"SlowDown":    {Status: 503, Code: "SlowDown"},
		"unavailable": {Status: 503, Code: "ServiceUnavailable"},
		"too many":    {Status: 429, Code: "TooManyRequests"},
		"of a proxy":  {Status: 503, Body: "<html>busy</html>"},
	} {
		for _, workers := range []int{10, 100} {
			synctest.Test(t, func(t *testing.T) {
				s := newShelf()
				s.Put("k", []byte("v"))
				storm(t, s, f, 7*time.Second)
				if n, err := burst(t, s.reader(t, mayRead), 200, workers); n > 0 {
					t.Errorf("%s, %d workers: %d failures, one is %v", name, workers, n, err)
				}
				if n := len(s.requests()); n > 200+workers*5 {
					t.Errorf("%s, %d workers: %d requests", name, workers, n)
				}
			})
		}
		if name != "SlowDown" {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			s := newShelf()
			data := noise(40 * partSize)
			s.Put("k", data)
			r := s.reader(t, mayList, func(o *s3reader.Options) { o.PartSize, o.Concurrency = partSize, 16 })
			f.Skip = 10
			storm(t, s, f, 30*time.Second) // a download's ranges are more patient
			var w memory
			if _, err := r.Download(t.Context(), "k", &w); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			same(t, w.data, data)
			f.Skip = 0
			storm(t, s, f, 7*time.Second)
			if _, err := r.DownloadDir(t.Context(), "", t.TempDir()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// It ends: each request is made six times.
func TestSlowDownForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.cloud.Fault(awstest.Fault{Status: 503, Code: "SlowDown"})
		began := time.Now()
		_, err := s.reader(t, mayRead).Get(t.Context(), "k")
		if e, ok := errors.AsType[*s3reader.Error](err); !ok || e.Code != "SlowDown" {
			t.Errorf("got %v", err)
		}
		if n, took := len(s.requests()), time.Since(began); n != 6 || took > 16*time.Second {
			t.Errorf("%d requests in %v", n, took)
		}
	})
}

// There is an end to it, and the user's word on retries counts.
func TestDroppedConnectionsForEver(t *testing.T) {
	for name, c := range map[string]struct {
		cfg      func(*aws.Config)
		s3       func(*s3.Options)
		requests int
	}{
		"by default":       {func(*aws.Config) {}, nil, 6},
		"attempts":         {func(c *aws.Config) { c.RetryMaxAttempts = 2 }, nil, 2},
		"attempts of S3":   {func(*aws.Config) {}, func(o *s3.Options) { o.RetryMaxAttempts = 1 }, 1},
		"no retryer":       {func(c *aws.Config) { c.Retryer = func() aws.Retryer { return aws.NopRetryer{} } }, nil, 1},
		"retryer of S3":    {func(*aws.Config) {}, func(o *s3.Options) { o.Retryer = aws.NopRetryer{} }, 1},
		"retryer, no none": {func(c *aws.Config) { c.Retryer = func() aws.Retryer { return retry.NewStandard() } }, nil, 3},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newShelf()
			s.cloud.Fault(awstest.Fault{Drop: true})
			cfg := s.config(mayRead)
			c.cfg(&cfg)
			_, err := newReader(t, cfg, "pics", func(o *s3reader.Options) { o.S3 = c.s3 }).Get(t.Context(), "k")
			if n := len(s.requests()); !errors.Is(err, syscall.ECONNRESET) || n != c.requests {
				t.Errorf("%s: got %v after %d requests, want %d", name, err, n, c.requests)
			}
		})
	}
}

// Other failures are repeated as the SDK does it, within its quota.
func TestQuotaHoldsForOtherFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.cloud.Fault(awstest.Fault{Status: 500, Code: "InternalError"})
		r := s.reader(t, mayRead)
		_, err := r.Get(t.Context(), "k")
		if n := len(s.requests()); n != 3 || err == nil || !strings.Contains(err.Error(), "InternalError") {
			t.Errorf("got %v after %d requests", err, n)
		}
		_, err = burst(t, r, 100, 100)
		if n := len(s.requests()); n > 3+100+500/14 {
			t.Errorf("%d requests", n)
		}
		if _, ok := errors.AsType[ratelimit.QuotaExceededError](err); !ok {
			t.Errorf("got %v", err)
		}
	})
}
