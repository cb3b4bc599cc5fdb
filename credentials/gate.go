package credentials

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// gate lets the STS requests of a pool through: so many a second, and so many at
// a time. What all chains wait for goes first, then what somebody waits for, then
// what is renewed ahead of its time. It is safe for concurrent use.
//
// Whoever waits for a role that has let us in before goes before those who wait
// for one that never has: a long list of roles that refuse us, which some tenant
// may have entered, is not in the way of those that work.
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
	forAll    class = iota // a session that all chains of the pool share
	returning              // somebody waits for one that there was before
	firstUse               // somebody waits for one that there never was
	ahead                  // nobody waits, yet
	classes
)

// gateSlack is how far a late timer may be made up for. slowest bounds the time
// from one request to the next.
const (
	gateSlack = 10 * time.Millisecond
	slowest   = 24 * time.Hour
)

func newGate(rate float64, most int) *gate {
	g := &gate{most: most}
	if rate > 0 {
		g.interval = time.Duration(min(float64(time.Second)/rate, float64(slowest)))
	}
	return g
}

// ticket is a place in a queue.
type ticket struct {
	class    class
	place    *list.Element // nil: called up, or given back
	ready    chan struct{} // closed then
	unwanted bool          // given back
}

// errUnwanted ends a flight that was still in the queue when the last of those
// who waited for it left. It is nobody's failure.
var errUnwanted = &Error{Kind: Unknown, Err: errors.New("nobody waits for the session any more")}

// enter waits for the turn of s's session. The caller calls leave after its
// request, once or more often; a nil gate lets everybody through.
func (g *gate) enter(ctx context.Context, s *session) (leave func(), err error) {
	if g == nil {
		return func() {}, nil
	}
	t := &ticket{ready: make(chan struct{})}
	g.mu.Lock()
	g.stand(s, t)
	if s.ticket == nil { // else it is that of a flight, while a Check comes by
		s.ticket = t
	}
	g.giveBackLocked(s)
	g.call()
	g.mu.Unlock()
	select {
	case <-t.ready:
	case <-ctx.Done():
		err = ctx.Err()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.ticket == t {
		s.ticket = nil
	}
	switch {
	case t.unwanted:
		return nil, errUnwanted
	case err == nil:
		return sync.OnceFunc(g.leave), nil
	case t.place != nil:
		g.queues[t.class].Remove(t.place)
	default: // called up in the same moment
		g.busy--
		g.call()
	}
	return nil, err
}

// stand queues t where s belongs now; g.mu is held.
func (g *gate) stand(s *session, t *ticket) {
	t.class = s.class()
	t.place = g.queues[t.class].PushBack(t)
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
		g.stand(s, t)
	}
}

// giveBack takes the first use of a role out of the queue when nobody waits for
// it any more: callers who come and go leave nothing behind.
func (g *gate) giveBack(s *session) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.giveBackLocked(s)
}

func (g *gate) giveBackLocked(s *session) {
	t := s.ticket
	if t == nil || t.place == nil || t.class == forAll || s.waiting.Load() > 0 || s.granted() {
		return
	}
	g.queues[t.class].Remove(t.place)
	t.place, t.unwanted = nil, true
	close(t.ready)
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
	case s.waiting.Load() == 0:
		return ahead
	case s.granted():
		return returning
	}
	return firstUse
}

// granted reports whether there ever was a session.
func (s *session) granted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grants > 0
}
