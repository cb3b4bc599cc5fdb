package credentials

func (c *Chain) warn(msg string, args ...any) { c.logger.Warn("crossrole: "+msg, args...) }
func (c *Chain) info(msg string, args ...any) { c.logger.Info("crossrole: "+msg, args...) }

// warnOnce logs what is true for the process's whole life once.
func (c *Chain) warnOnce(key, msg string, args ...any) {
	if _, said := c.warned.LoadOrStore(key, true); !said {
		c.warn(msg, args...)
	}
}

// emit calls OnEvent. A panic of the user's in it must not end the process from
// a goroutine of ours.
func (c *Chain) emit(e Event) {
	if c.onEvent == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			c.warn("panic in OnEvent", "panic", p)
		}
	}()
	c.onEvent(e)
}
