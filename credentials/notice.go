package credentials

func (c *Chain) warn(msg string, args ...any) { c.logger.Warn("crossrole: "+msg, args...) }
func (c *Chain) info(msg string, args ...any) { c.logger.Info("crossrole: "+msg, args...) }

// warnOnce logs what is true for the process's whole life once.
func (c *Chain) warnOnce(key, msg string, args ...any) {
	if _, said := c.warned.LoadOrStore(key, true); !said {
		c.warn(msg, args...)
	}
}

// post queues events for OnEvent. Whoever posts them, they are told one at a
// time and in this order.
func (c *Chain) post(events ...Event) {
	if c.onEvent == nil {
		return
	}
	c.mu.Lock()
	c.events = append(c.events, events...)
	c.mu.Unlock()
}

// deliver tells what was posted, unless another goroutine is at it. No lock is
// held meanwhile: OnEvent may call the chain.
func (c *Chain) deliver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.telling {
		return
	}
	c.telling = true
	for len(c.events) > 0 {
		e := c.events[0]
		c.events = c.events[1:]
		c.mu.Unlock()
		c.tell(e)
		c.mu.Lock()
	}
	c.telling = false
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
