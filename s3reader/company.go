package s3reader

import (
	"context"
	"runtime"
	"time"
)

const (
	// A store that answers within nearby may deliver over few connections whatever
	// the processors can take, and more would only cost: bytes that wait in many
	// sockets have left the caches when they are read.
	nearby = 10 * time.Millisecond

	// companyLooks is for how long a handful of connections is watched. From S3,
	// whose first byte takes longer than nearby, nobody waits for that.
	companyLooks = 20 * time.Millisecond

	// companyPays is how much faster two handfuls must be than one, for all others
	// to be opened too. Where each connection is capped it is 2.
	companyPays = 1.5
)

// company finds out whether a near store delivers more over more connections.
// The zero value takes it for granted.
type company struct {
	handful int // connections that keep all processors at work; 0: not asked
	rate    float64
}

// ask is told how long the first answer took.
func (c *company) ask(took time.Duration) {
	if took < nearby {
		c.handful = max(2, runtime.GOMAXPROCS(0))
	}
}

// enough reports that n connections, which are under way, need no more. It takes
// a while to find out after one handful and after two, and none otherwise.
func (c *company) enough(ctx context.Context, n int, t *tally) bool {
	if c.handful == 0 || n != c.handful && n != 2*c.handful {
		return false
	}
	before, began := t.n.Load(), time.Now()
	timer := time.NewTimer(companyLooks)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return true
	}
	one := c.rate
	c.rate = float64(t.n.Load()-before) / time.Since(began).Seconds()
	return one > 0 && c.rate < one*companyPays
}
