package limiter_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/credentials/internal/limiter"
)

// waiter has a priority and is wanted until it is told otherwise.
type waiter struct {
	priority atomic.Int64
	unwanted atomic.Bool
}

func newWaiter(p limiter.Priority) *waiter {
	w := new(waiter)
	w.priority.Store(int64(p))
	return w
}

func (w *waiter) Priority() limiter.Priority { return limiter.Priority(w.priority.Load()) }
func (w *waiter) Wanted() bool               { return !w.unwanted.Load() }

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, start := limiter.New(10, 100), time.Now()
		for range 21 {
			release, err := l.Acquire(t.Context(), newWaiter(limiter.FirstUse))
			if err != nil {
				t.Fatal(err)
			}
			release()
		}
		if took := time.Since(start); took < 1980*time.Millisecond || took > 2*time.Second {
			t.Errorf("21 requests at 10 a second took %v, want 2s less the slack", took)
		}
	})
}

// No rate, however small or odd, makes an interval that overflows.
func TestOddRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, rate := range []float64{math.SmallestNonzeroFloat64, 1e-300, 1e300, math.Inf(1)} {
			l, start := limiter.New(rate, 1), time.Now()
			for range 2 {
				release, err := l.Acquire(t.Context(), newWaiter(limiter.FirstUse))
				if err != nil {
					t.Fatal(err)
				}
				release()
			}
			if took := time.Since(start); took > 24*time.Hour {
				t.Errorf("rate %g: two requests took %v, want a day at most", rate, took)
			}
		}
	})
}

func TestConcurrencyAndOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(0, 1)
		first, err := l.Acquire(t.Context(), newWaiter(limiter.Background))
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var got []limiter.Priority
		for _, p := range []limiter.Priority{limiter.Background, limiter.FirstUse, limiter.Returning, limiter.Shared} {
			go func() {
				release, err := l.Acquire(t.Context(), newWaiter(p))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				got = append(got, p)
				mu.Unlock()
				release()
				release() // more often does no harm
			}()
			synctest.Wait()
		}
		if len(got) > 0 {
			t.Errorf("%v went while one was in flight", got)
		}
		first()
		synctest.Wait()
		want := []limiter.Priority{limiter.Shared, limiter.Returning, limiter.FirstUse, limiter.Background}
		if !slices.Equal(got, want) {
			t.Errorf("order %v, want %v", got, want)
		}
	})
}

func TestPromote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(0, 1)
		first, _ := l.Acquire(t.Context(), newWaiter(limiter.Shared))
		var mu sync.Mutex
		var got []*waiter
		waiters := []*waiter{newWaiter(limiter.Background), newWaiter(limiter.Background)}
		for _, w := range waiters {
			go func() {
				release, _ := l.Acquire(t.Context(), w)
				mu.Lock()
				got = append(got, w)
				mu.Unlock()
				release()
			}()
			synctest.Wait()
		}
		waiters[1].priority.Store(int64(limiter.Returning))
		l.Promote(waiters[1])
		first()
		synctest.Wait()
		if len(got) != 2 || got[0] != waiters[1] {
			t.Error("the promoted request did not go first")
		}
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(0, 1)
		first, _ := l.Acquire(t.Context(), newWaiter(limiter.Shared))
		w := newWaiter(limiter.FirstUse)
		errs := make(chan error, 1)
		go func() {
			_, err := l.Acquire(t.Context(), w)
			errs <- err
		}()
		synctest.Wait()
		l.Cancel(w) // still wanted
		synctest.Wait()
		if len(errs) > 0 {
			t.Fatal("a request that is wanted was canceled")
		}
		w.unwanted.Store(true)
		l.Cancel(w)
		if err := <-errs; !errors.Is(err, limiter.ErrCanceled) {
			t.Errorf("%v, want ErrCanceled", err)
		}

		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := l.Acquire(ctx, newWaiter(limiter.FirstUse))
			errs <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want the context's error", err)
		}
		first()
		if _, err := l.Acquire(t.Context(), newWaiter(limiter.Background)); err != nil {
			t.Errorf("a place was lost: %v", err)
		}
	})
}

func TestNilLimitsNothing(t *testing.T) {
	var l *limiter.Limiter
	release, err := l.Acquire(t.Context(), newWaiter(limiter.Background))
	if err != nil {
		t.Fatal(err)
	}
	release()
	l.Promote(newWaiter(limiter.Background))
	l.Cancel(newWaiter(limiter.Background))
}
