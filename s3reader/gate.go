package s3reader

import (
	"context"
	"slices"
	"sync"
	"time"
)

// gate lets a number of connections fetch at a time. When S3 asks to slow down,
// the number is halved; each range that arrives raises it by one again.
type gate struct {
	most int

	mu      sync.Mutex // guards what follows
	limit   int
	in      int
	waiting []chan struct{} // in the order of arrival
	slowed  time.Time       // when the limit was halved last
}

// slowPause is how long one halving counts: all requests that were under way are
// refused at once, for the same reason.
const slowPause = time.Second

func newGate(n int) *gate { return &gate{most: n, limit: n} }

// enter waits for its turn. leave must follow unless there is an error.
func (g *gate) enter(ctx context.Context) error {
	g.mu.Lock()
	if g.in < g.limit && len(g.waiting) == 0 {
		g.in++
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	g.waiting = append(g.waiting, turn)
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	i := slices.Index(g.waiting, turn)
	if i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	}
	g.mu.Unlock()
	if i < 0 { // the turn came at the same time
		g.leave()
	}
	return context.Cause(ctx)
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.in--
	g.admit()
}

// admit lets in whom there is room for. g.mu is held.
func (g *gate) admit() {
	for g.in < g.limit && len(g.waiting) > 0 {
		close(g.waiting[0])
		g.waiting = g.waiting[1:]
		g.in++
	}
}

// slower is told that S3 refused a request for there being too many.
func (g *gate) slower() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := time.Now(); now.Sub(g.slowed) >= slowPause {
		g.slowed = now
		g.limit = max(1, g.limit/2)
	}
}

// faster is told that a range has arrived.
func (g *gate) faster() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.limit < g.most && time.Since(g.slowed) >= slowPause {
		g.limit++
		g.admit()
	}
}
