package credentials

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// gate lets the STS requests of a pool through: so many a second, and so many at
// a time. What all chains wait for goes first, then what somebody waits for, then
// what is renewed ahead of its time. It is safe for concurrent use.
type gate struct {
	interval time.Duration // from one request to the next; 0: none
	most     int           // under way at once

	mu     sync.Mutex // guards what follows
	queues [classes]list.List
	busy   int
	next   time.Time // no request before
	armed  bool      // somebody will look at next
}

type class int

const (
	forAll  class = iota // a session that all chains of the pool share
	awaited              // somebody waits
	ahead                // nobody does, yet
	classes
)

// gateSlack is how far a late timer may be made up for.
const gateSlack = 10 * time.Millisecond

func newGate(rate float64, most int) *gate {
	g := &gate{most: most}
	if rate > 0 {
		g.interval = time.Duration(float64(time.Second) / rate)
	}
	return g
}

// ticket is a place in a queue.
type ticket struct {
	class class
	place *list.Element // nil: called up
	ready chan struct{} // closed when called up
}

// enter waits for the turn of s's session. The caller calls leave after its
// request; a nil gate lets everybody through.
func (g *gate) enter(ctx context.Context, s *session) (leave func(), err error) {
	if g == nil {
		return func() {}, nil
	}
	t := &ticket{ready: make(chan struct{})}
	g.mu.Lock()
	t.class = s.class()
	t.place = g.queues[t.class].PushBack(t)
	s.ticket = t
	g.call()
	g.mu.Unlock()
	select {
	case <-t.ready:
	case <-ctx.Done():
		err = ctx.Err()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s.ticket = nil
	if err != nil {
		if t.place != nil {
			g.queues[t.class].Remove(t.place)
			return nil, err
		}
		g.busy-- // called up in the same moment
		g.call()
		return nil, err
	}
	return g.leave, nil
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy--
	g.call()
}

// promote moves a session that nobody waited for to those that somebody waits
// for.
func (g *gate) promote(s *session) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := s.ticket; t != nil && t.place != nil && t.class == ahead {
		g.queues[ahead].Remove(t.place)
		t.class = awaited
		t.place = g.queues[awaited].PushBack(t)
	}
}

// call calls up whoever may go now; g.mu is held.
func (g *gate) call() {
	for g.busy < g.most {
		q := g.waiting()
		if q == nil {
			return
		}
		now := time.Now()
		if wait := g.next.Sub(now); wait > 0 {
			if !g.armed {
				g.armed = true
				time.AfterFunc(wait, g.look)
			}
			return
		}
		if earliest := now.Add(-gateSlack); g.next.Before(earliest) {
			g.next = earliest
		}
		g.next = g.next.Add(g.interval)
		g.busy++
		t := q.Remove(q.Front()).(*ticket)
		t.place = nil
		close(t.ready)
	}
}

func (g *gate) look() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armed = false
	g.call()
}

// waiting is the first queue in which somebody stands; g.mu is held.
func (g *gate) waiting() *list.List {
	for i := range g.queues {
		if g.queues[i].Len() > 0 {
			return &g.queues[i]
		}
	}
	return nil
}

// class is how urgent the session's request is.
func (s *session) class() class {
	switch {
	case s.chain.more > 0:
		return forAll
	case s.waiting.Load() > 0:
		return awaited
	}
	return ahead
}
