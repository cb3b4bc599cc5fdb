package credentials

import (
	"context"
	"log/slog"
	"slices"
)

func (c *Chain) warn(msg string, args ...any) { c.log(slog.LevelWarn, msg, args) }
func (c *Chain) info(msg string, args ...any) { c.log(slog.LevelInfo, msg, args) }

// log writes a line. A handler of the user's that panics must not end the
// process from a goroutine of ours; there is nowhere left to tell it.
func (c *Chain) log(level slog.Level, msg string, args []any) {
	defer func() { _ = recover() }()
	c.logger.Log(context.Background(), level, "crossrole: "+msg, args...)
}

// warnOnce logs what is true for the process's whole life once; for the chains
// of a pool together.
func (c *Chain) warnOnce(key, msg string, args ...any) {
	if c.prefix != nil {
		c = c.prefix
	}
	if _, said := c.warned.LoadOrStore(key, true); !said {
		c.warn(msg, args...)
	}
}

// maxEvents is how many events wait for OnEvent at most.
const maxEvents = 100

// post queues events for OnEvent. Whoever posts them, they are told one at a
// time and in this order.
func (c *Chain) post(events ...Event) {
	if c.onEvent == nil {
		return
	}
	c.mu.Lock()
	c.events = append(c.events, events...)
	over := len(c.events) - maxEvents
	if over > 0 {
		c.events = slices.Delete(c.events, 0, over)
	}
	c.mu.Unlock()
	if over > 0 {
		c.warnOnce("events", "OnEvent does not return; the oldest events that wait for it are dropped", "kept", maxEvents)
	}
}

// deliver tells what was posted, unless another goroutine is at it. No lock is
// held meanwhile: OnEvent may call the chain.
func (c *Chain) deliver() {
	c.mu.Lock()
	if c.telling {
		c.mu.Unlock()
		return
	}
	c.telling = true
	defer func() { c.telling = false; c.mu.Unlock() }()
	for len(c.events) > 0 {
		e := c.events[0]
		c.events = c.events[1:]
		func() {
			c.mu.Unlock()
			defer c.mu.Lock()
			c.tell(e)
		}()
	}
}

// tell calls OnEvent. A panic of the user's in it must not end the process from
// a goroutine of ours.
func (c *Chain) tell(e Event) {
	defer func() {
		if p := recover(); p != nil {
			c.warn("panic in OnEvent", "panic", p)
		}
	}()
	c.onEvent(e)
}
