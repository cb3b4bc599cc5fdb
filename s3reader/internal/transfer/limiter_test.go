package transfer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A burst of refusals halves the limit once; each range that arrives raises it.
func TestLimiterHalves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewLimiter(16)
		check := func(want int) {
			t.Helper()
			if g.limit != want {
				t.Fatalf("the limit is %d, want %d", g.limit, want)
			}
		}
		g.Succeeded()
		check(16)
		for range 5 {
			g.Throttled()
		}
		check(8)
		g.Succeeded() // it was in flight before the refusal
		check(8)
		time.Sleep(slowPause)
		g.Throttled()
		check(4)
		time.Sleep(slowPause)
		g.Succeeded()
		check(5)
		for range 10 {
			time.Sleep(slowPause)
			g.Throttled()
		}
		check(1)
	})
}

// Places are given in the order of arrival; a waiter that leaves, leaves no gap.
func TestLimiterOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewLimiter(1)
		if err := g.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		var in []int
		for i := range 4 {
			ctx, cancel := context.WithCancel(t.Context())
			if i == 1 {
				context.AfterFunc(t.Context(), cancel)
				time.AfterFunc(time.Second, cancel)
			}
			go func() {
				defer cancel()
				err := g.Acquire(ctx)
				if i == 1 {
					if !errors.Is(err, context.Canceled) {
						t.Errorf("got %v", err)
					}
					return
				}
				in = append(in, i) // one at a time is inside
				time.Sleep(time.Minute)
				g.Release()
			}()
			synctest.Wait()
		}
		time.Sleep(2 * time.Second)
		g.Release()
		time.Sleep(time.Hour)
		synctest.Wait() // for the race detector: they have all left
		if len(in) != 3 || in[0] != 0 || in[1] != 2 || in[2] != 3 || g.inUse != 0 {
			t.Errorf("let in %v, %d are inside", in, g.inUse)
		}
	})
}

// The more connections are in use, the less each of them buffers; one that buffers less
// than before returns its buffer.
func TestBuffersFollowTheConnections(t *testing.T) {
	l := NewLimits(32, 64<<20)
	for n := int64(1); n <= 32; n++ {
		if err := l.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		each := l.buffer()
		if b := Buffer(each); int64(cap(b)) != each || each*n > allBuffers || each*n*4 < min(allBuffers, n*maxBuffer) {
			t.Errorf("%d connections: buffers of %d bytes, in %d", n, each, cap(b))
		}
	}
	b := fit(fit(nil, maxBuffer), minBuffer)
	if cap(b) != minBuffer {
		t.Errorf("a buffer of %d bytes, want %d", cap(b), minBuffer)
	}
	if same := fit(b, minBuffer-1); &same[0] != &b[0] || len(same) != minBuffer-1 {
		t.Error("a buffer of the right size was replaced")
	}
}
