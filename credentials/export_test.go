package credentials

// SetDraw replaces the chain's source of random numbers, so that a soak replays.
func SetDraw(c *Chain, draw func() float64) { c.random = draw }
