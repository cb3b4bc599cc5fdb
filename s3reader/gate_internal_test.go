package s3reader

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A burst of refusals halves the limit once; each range that arrives raises it.
func TestGateLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(16)
		check := func(want int) {
			t.Helper()
			if g.limit != want {
				t.Fatalf("the limit is %d, want %d", g.limit, want)
			}
		}
		g.faster()
		check(16)
		for range 5 {
			g.slower()
		}
		check(8)
		g.faster() // it was under way before the refusal
		check(8)
		time.Sleep(slowPause)
		g.slower()
		check(4)
		time.Sleep(slowPause)
		g.faster()
		check(5)
		for range 10 {
			time.Sleep(slowPause)
			g.slower()
		}
		check(1)
	})
}

// Who comes first is let in first; who gives up leaves no gap.
func TestGateOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		if err := g.enter(t.Context()); err != nil {
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
				err := g.enter(ctx)
				if i == 1 {
					if !errors.Is(err, context.Canceled) {
						t.Errorf("got %v", err)
					}
					return
				}
				in = append(in, i) // one at a time is inside
				time.Sleep(time.Minute)
				g.leave()
			}()
			synctest.Wait()
		}
		time.Sleep(2 * time.Second)
		g.leave()
		time.Sleep(time.Hour)
		synctest.Wait() // for the race detector: they have all left
		if len(in) != 3 || in[0] != 0 || in[1] != 2 || in[2] != 3 || g.in != 0 {
			t.Errorf("let in %v, %d are inside", in, g.in)
		}
	})
}
