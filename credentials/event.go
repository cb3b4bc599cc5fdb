package credentials

import (
	"context"
	"log/slog"
	"sync"
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
	Recovered     EventType = "recovered"      // follows the Refreshed that ends failures
	TokenRotated  EventType = "token-rotated"  // the token file held another token than before
	IssuerChanged EventType = "issuer-changed" // the token comes from another cluster than before
	Invalidated   EventType = "invalidated"    // a session was given up before its end
)

// Event reports what happened to one hop's session. It holds no secret.
type Event struct {
	Type    EventType
	Hop     int    // 1: the source's
	RoleARN string // of the hop; empty where the source names none
	Err     error  // RefreshFailed: an *Error

	// Endpoint is the host that the refresh asked last, of STS or of the agent that
	// gives the credentials. Empty: it asked none, or the source is a provider.
	Endpoint string

	// Expires is the end of the new session, of the one still in use
	// (RefreshFailed), or of the one given up (Invalidated). Zero: there is none.
	Expires time.Time

	// Duration is what the exchange that ended a refresh took, from request to
	// reply: the latency of STS. Pauses between attempts and the wait for the
	// hop before are not in it. Zero: nothing was asked.
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

// How a chain reports. OnEvent and the Logger are user code: they may block, panic,
// end their goroutine, call the chain, or wait for a lock that a caller of Retrieve
// holds. So no goroutine that a caller waits for calls them. What happens is queued
// (post, log), released when no refresh of the chain is in flight any more, and
// delivered by a goroutine that ends when its queue is empty. Events and log lines
// have a queue each, so that neither waits for the other; both are delivered one at
// a time and in order.

// maxQueued is how many events, and how many log lines, wait to be delivered at
// most.
const maxQueued = 100

// notifier delivers items from a goroutine of its own. It is safe for concurrent
// use.
type notifier[T any] struct {
	mu       sync.Mutex // guards what follows
	queue    []T
	released int  // of queue, from its beginning
	dropped  int  // since the last delivery
	running  bool // a goroutine delivers
}

// post queues items, and drops the oldest ones beyond maxQueued. It returns how many
// it dropped.
func (n *notifier[T]) post(items ...T) (dropped int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queue = append(n.queue, items...)
	if dropped = len(n.queue) - maxQueued; dropped <= 0 {
		return 0
	}
	n.queue = append([]T(nil), n.queue[dropped:]...)
	n.released = max(0, n.released-dropped)
	n.dropped += dropped
	return dropped
}

// release has everything that was posted so far delivered.
func (n *notifier[T]) release(deliver func(item T, dropped int)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.released = len(n.queue)
	n.start(deliver)
}

// start starts a goroutine if there is something to deliver; n.mu is held.
func (n *notifier[T]) start(deliver func(T, int)) {
	if n.running || n.released == 0 {
		return
	}
	n.running = true
	go func() {
		defer func() { // also if deliver ended this goroutine
			n.mu.Lock()
			defer n.mu.Unlock()
			n.running = false
			n.start(deliver)
		}()
		for {
			item, dropped, ok := n.next()
			if !ok {
				return
			}
			deliver(item, dropped)
		}
	}()
}

// next takes the oldest item that was released, and how many were dropped before it.
func (n *notifier[T]) next() (item T, dropped int, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.released == 0 {
		return item, 0, false
	}
	item, dropped = n.queue[0], n.dropped
	n.queue, n.released, n.dropped = n.queue[1:], n.released-1, 0
	if len(n.queue) == 0 {
		n.queue = nil
	}
	return item, dropped, true
}

// post queues events for OnEvent.
func (c *Chain) post(events ...Event) {
	if c.onEvent == nil || len(events) == 0 {
		return
	}
	for i := range events {
		events[i].chain = weak.Make(c)
	}
	if c.events.post(events...) > 0 {
		c.warnOnce("events", "OnEvent does not return; the oldest events that wait for it are dropped", "kept", maxQueued)
	}
}

// release has what was queued delivered, unless a refresh is in flight: that one
// releases it when it has served its callers.
func (c *Chain) release() {
	if c.flights.Load() == 0 {
		c.events.release(c.tell)
		c.lines.release(c.write)
	}
	if c.prefix != nil {
		c.prefix.release()
	}
}

// tell calls OnEvent. A panic in it must not end the process.
func (c *Chain) tell(e Event, _ int) {
	defer func() {
		if p := recover(); p != nil {
			c.warn("panic in OnEvent", "panic", p)
			c.lines.release(c.write)
		}
	}()
	c.onEvent(e)
}

// line is a line of the log.
type line struct {
	at    time.Time
	level slog.Level
	msg   string
	args  []any
}

func (c *Chain) warn(msg string, args ...any) { c.log(slog.LevelWarn, msg, args) }
func (c *Chain) info(msg string, args ...any) { c.log(slog.LevelInfo, msg, args) }

func (c *Chain) log(level slog.Level, msg string, args []any) {
	if c.logger != nil {
		c.lines.post(line{time.Now(), level, msg, args})
	}
}

// warnOnce logs what holds for the process's whole life once; for the chains of a
// pool together.
func (c *Chain) warnOnce(key, msg string, args ...any) {
	if c.prefix != nil {
		c = c.prefix
	}
	if _, said := c.warned.LoadOrStore(key, true); !said {
		c.warn(msg, args...)
	}
}

// write writes a line. There is nowhere to report a panic of the handler.
func (c *Chain) write(l line, dropped int) {
	defer func() { _ = recover() }()
	if dropped > 0 {
		c.write(line{l.at, slog.LevelWarn, "the Logger does not keep up; the oldest lines that waited for it were dropped", []any{"dropped", dropped}}, 0)
	}
	ctx, handler := context.Background(), c.logger.Handler()
	if !handler.Enabled(ctx, l.level) {
		return
	}
	r := slog.NewRecord(l.at, l.level, "crossrole: "+l.msg, 0)
	r.Add(l.args...)
	_ = handler.Handle(ctx, r)
}
