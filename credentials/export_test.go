package credentials

// SetRandom replaces the chain's source of random numbers, so that a soak replays.
func SetRandom(c *Chain, random func() float64) { c.random = random }
