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
