package credentials

// Event, and the notifier that delivers events and log lines without blocking a
// caller.

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/crossrole/crossrole/credentials/internal/eventowner"
)

// EventType names what happened to a session.
type EventType string

// The events of a chain.
const (
	Refreshed     EventType = "refreshed"      // a new session is in use
	RefreshFailed EventType = "refresh-failed" // a refresh failed, with all its attempts; a valid session stays in use
	Recovered     EventType = "recovered"      // follows the first Refreshed after failures
	TokenRotated  EventType = "token-rotated"  // the token file holds, or the token function returned, a new token
	IssuerChanged EventType = "issuer-changed" // the new token comes from another cluster
	Invalidated   EventType = "invalidated"    // a session was discarded before it expired
)

// Event reports what happened to one hop's session. It holds no secret.
type Event struct {
	Type    EventType
	Hop     int    // 1: the source's
	RoleARN string // of the hop; empty where the source names none
	Err     error  // RefreshFailed: an *Error

	// Endpoint is the host of the refresh's last request: STS, or the agent that
	// serves credentials. Empty: no request was sent, or the source is a provider.
	Endpoint string

	// Expires is the expiry of the new session, of the one still in use
	// (RefreshFailed), or of the discarded one (Invalidated). Zero: there is none.
	Expires time.Time

	// Duration is the time of the refresh's last exchange, from request to response:
	// the latency of STS, without the pauses between attempts and the wait for the
	// previous hop. Zero: no request was sent.
	Duration time.Duration

	chain weak.Pointer[Chain] // that sent it
}

// eventOwner is a chain as package metrics knows it.
type eventOwner struct{ chain weak.Pointer[Chain] }

func (o eventOwner) Alive() bool { return o.chain.Value() != nil }

func init() {
	eventowner.Of = func(event any) eventowner.Owner {
		if e, ok := event.(Event); ok && e.chain != (weak.Pointer[Chain]{}) {
			return eventOwner{e.chain}
		}
		return nil
	}
}

// notifier reports what happens to the sessions of one chain: events to OnEvent, and
// lines to the Logger. It is safe for concurrent use.
//
// Both are user code: they may block, panic, end their goroutine, call the chain, or
// wait for a lock that a caller of Retrieve holds. So no goroutine that a caller waits
// for calls them. Items are queued (enqueue, log), released when no refresh of the chain
// is in flight, and delivered by a goroutine that ends when its queue is empty. Events
// and log lines have a queue each, so that neither waits for the other; both are
// delivered one at a time and in order.
type notifier struct {
	chain   *Chain       // that the events come from
	shared  *notifier    // of the hops that all chains of a pool share; nil: none
	logger  *slog.Logger // nil: silent
	onEvent func(Event)  // nil: none

	refreshes atomic.Int32 // in flight, of all hops of the chain
	warned    sync.Map     // the keys of warnOnce
	events    queue[Event]
	lines     queue[line]
}

// enqueue queues events for OnEvent.
func (n *notifier) enqueue(events ...Event) {
	if n.onEvent == nil || len(events) == 0 {
		return
	}
	for i := range events {
		events[i].chain = weak.Make(n.chain)
	}
	if n.events.enqueue(events...) > 0 {
		n.warnOnce("events", "OnEvent does not return; the oldest events that wait for it are dropped", "kept", maxQueued)
	}
}

// release starts the delivery of everything queued so far. If a refresh is in flight, it
// does nothing: that refresh releases everything after its callers were served.
func (n *notifier) release() {
	if n.refreshes.Load() == 0 {
		n.events.release(n.call)
		n.lines.release(n.write)
	}
	if n.shared != nil {
		n.shared.release()
	}
}

// call calls OnEvent. A panic in it must not end the process.
func (n *notifier) call(e Event, _ int) {
	defer func() {
		if p := recover(); p != nil {
			n.warn("panic in OnEvent", "panic", p)
			n.lines.release(n.write)
		}
	}()
	n.onEvent(e)
}

// line is a line of the log.
type line struct {
	at    time.Time
	level slog.Level
	msg   string
	args  []any
}

func (n *notifier) warn(msg string, args ...any) { n.log(slog.LevelWarn, msg, args) }
func (n *notifier) info(msg string, args ...any) { n.log(slog.LevelInfo, msg, args) }

func (n *notifier) log(level slog.Level, msg string, args []any) {
	if n.logger != nil {
		n.lines.enqueue(line{time.Now(), level, msg, args})
	}
}

// warnOnce logs a fact that holds for the life of the process, once per key: once
// for all chains of a pool.
func (n *notifier) warnOnce(key, msg string, args ...any) {
	if n.shared != nil {
		n = n.shared
	}
	if _, logged := n.warned.LoadOrStore(key, true); !logged {
		n.warn(msg, args...)
	}
}

// write passes a line to the Logger's handler. A panic in it cannot be reported anywhere.
func (n *notifier) write(l line, dropped int) {
	defer func() { _ = recover() }()
	if dropped > 0 {
		n.write(line{l.at, slog.LevelWarn, "the Logger does not keep up; the oldest lines that waited for it were dropped", []any{"dropped", dropped}}, 0)
	}
	ctx, handler := context.Background(), n.logger.Handler()
	if !handler.Enabled(ctx, l.level) {
		return
	}
	r := slog.NewRecord(l.at, l.level, "crossrole: "+l.msg, 0)
	r.Add(l.args...)
	_ = handler.Handle(ctx, r)
}

// maxQueued limits the events, and the log lines, that wait to be delivered.
const maxQueued = 100

// queue delivers items from its own goroutine. It is safe for concurrent use.
type queue[T any] struct {
	mu       sync.Mutex // guards what follows
	items    []T
	released int  // of items, from the first on
	dropped  int  // since the last delivery
	draining bool // a goroutine is delivering
}

// enqueue queues items, drops the oldest ones beyond maxQueued, and returns how many it
// dropped.
func (q *queue[T]) enqueue(items ...T) (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = append(q.items, items...)
	if dropped = len(q.items) - maxQueued; dropped <= 0 {
		return 0
	}
	q.items = append([]T(nil), q.items[dropped:]...)
	q.released = max(0, q.released-dropped)
	q.dropped += dropped
	return dropped
}

// release starts the delivery of everything queued so far.
func (q *queue[T]) release(deliver func(item T, dropped int)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.released = len(q.items)
	q.drain(deliver)
}

// drain starts a goroutine if there is something to deliver. The caller holds q.mu.
func (q *queue[T]) drain(deliver func(T, int)) {
	if q.draining || q.released == 0 {
		return
	}
	q.draining = true
	go func() {
		defer func() { // also if deliver ended this goroutine
			q.mu.Lock()
			defer q.mu.Unlock()
			q.draining = false
			q.drain(deliver)
		}()
		for {
			item, dropped, ok := q.next()
			if !ok {
				return
			}
			deliver(item, dropped)
		}
	}()
}

// next takes the oldest released item, and the number of those dropped before it.
func (q *queue[T]) next() (item T, dropped int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.released == 0 {
		return item, 0, false
	}
	item, dropped = q.items[0], q.dropped
	q.items, q.released, q.dropped = q.items[1:], q.released-1, 0
	if len(q.items) == 0 {
		q.items = nil
	}
	return item, dropped, true
}
