// Package limiter limits a pool's STS requests in rate and concurrency, and
// decides which one goes next.
//
// # How it works
//
// A request waits in [Limiter.Acquire] until it may be sent. Each priority has a
// queue; the oldest ticket of the most urgent queue goes first, when fewer than
// the allowed number of requests are in flight and the next send time has come. A
// timer dispatches when only the rate holds requests up.
//
// Requests that a caller waits for go before renewals of sessions that are still valid.
// Among those, a waiter that had a session before goes before one that never had: a long
// list of roles that always fail, which a tenant may have entered, cannot starve those
// that work.
//
// One lock guards everything. Waiter's methods are called with it held, so they
// must not call the limiter.
package limiter

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// Priority is how urgent a request is, the most urgent first.
type Priority int

// Priorities.
const (
	Shared     Priority = iota // a session that all chains of the pool wait for
	Returning                  // callers wait, and there was a session before
	FirstUse                   // callers wait, and there never was a session
	Background                 // no caller waits yet
	priorities
)

// Waiter is what a request is for. A waiter may be promoted and canceled by its
// identity, so it must be comparable.
type Waiter interface {
	// Priority is asked when the request joins a queue.
	Priority() Priority
	// Wanted reports whether the request is still worth sending.
	Wanted() bool
}

// ErrCanceled is the error of a request that was taken out of the queue because
// it was no longer wanted.
var ErrCanceled = errors.New("canceled: no caller waits for the session any more")

const (
	slack       = 10 * time.Millisecond // how much of a timer's delay later requests make up for
	maxInterval = 24 * time.Hour        // from one request to the next
)

// Limiter is safe for concurrent use. A nil Limiter limits nothing.
type Limiter struct {
	interval    time.Duration // from one request to the next; 0: none
	concurrency int           // requests in flight at most

	mu       sync.Mutex // guards what follows
	queues   [priorities]list.List
	tickets  map[Waiter]*ticket // the ticket that Promote and Cancel act on
	inFlight int
	next     time.Time // no request before
	armed    bool      // a timer will dispatch at next
}

// ticket is a place in a queue.
type ticket struct {
	priority Priority
	place    *list.Element // nil: dispatched or canceled
	ready    chan struct{} // closed then
	canceled bool
}

// New returns a limiter of rate requests per second (0: any number) and of
// concurrency requests in flight.
func New(rate float64, concurrency int) *Limiter {
	l := &Limiter{concurrency: concurrency, tickets: map[Waiter]*ticket{}}
	if rate > 0 {
		l.interval = time.Duration(min(float64(time.Second)/rate, float64(maxInterval)))
	}
	return l
}

// Acquire waits until w's request may be sent. The caller calls release after the
// request, once or more often. The error is ctx's own, or ErrCanceled.
//
// A waiter may acquire twice at the same time; Promote and Cancel then act on the
// first.
func (l *Limiter) Acquire(ctx context.Context, w Waiter) (release func(), err error) {
	if l == nil {
		return func() {}, nil
	}
	t := &ticket{ready: make(chan struct{})}
	l.mu.Lock()
	l.enqueue(w, t)
	if l.tickets[w] == nil {
		l.tickets[w] = t
	}
	l.cancel(w)
	l.dispatch()
	l.mu.Unlock()
	select {
	case <-t.ready:
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tickets[w] == t {
		delete(l.tickets, w)
	}
	switch {
	case t.canceled:
		return nil, ErrCanceled
	case err == nil:
		return sync.OnceFunc(l.release), nil
	case t.place != nil:
		l.queues[t.priority].Remove(t.place)
	default: // dispatched in the same moment
		l.inFlight--
		l.dispatch()
	}
	return nil, err
}

// Promote moves w's queued request from Background to where it belongs now that a
// caller waits for it.
func (l *Limiter) Promote(w Waiter) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.tickets[w]; t != nil && t.place != nil && t.priority == Background {
		l.queues[Background].Remove(t.place)
		l.enqueue(w, t)
	}
}

// Cancel takes w's queued request out of the queue unless it is still wanted:
// callers who come and go leave nothing behind.
func (l *Limiter) Cancel(w Waiter) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancel(w)
}

// enqueue queues t by w's priority now; l.mu is held.
func (l *Limiter) enqueue(w Waiter, t *ticket) {
	t.priority = w.Priority()
	t.place = l.queues[t.priority].PushBack(t)
}

// cancel is Cancel with l.mu held.
func (l *Limiter) cancel(w Waiter) {
	t := l.tickets[w]
	if t == nil || t.place == nil || w.Wanted() {
		return
	}
	l.queues[t.priority].Remove(t.place)
	t.place, t.canceled = nil, true
	close(t.ready)
}

func (l *Limiter) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	l.dispatch()
}

// dispatch lets requests go while the limits allow; l.mu is held.
func (l *Limiter) dispatch() {
	for l.inFlight < l.concurrency {
		q := l.mostUrgent()
		if q == nil {
			return
		}
		now := time.Now()
		if wait := l.next.Sub(now); wait > 0 {
			if !l.armed {
				l.armed = true
				time.AfterFunc(wait, func() {
					l.mu.Lock()
					defer l.mu.Unlock()
					l.armed = false
					l.dispatch()
				})
			}
			return
		}
		if earliest := now.Add(-slack); l.next.Before(earliest) {
			l.next = earliest
		}
		l.next = l.next.Add(l.interval)
		l.inFlight++
		t := q.Remove(q.Front()).(*ticket)
		t.place = nil
		close(t.ready)
	}
}

// mostUrgent returns the first queue that is not empty, or nil; l.mu is held.
func (l *Limiter) mostUrgent() *list.List {
	for i := range l.queues {
		if l.queues[i].Len() > 0 {
			return &l.queues[i]
		}
	}
	return nil
}
