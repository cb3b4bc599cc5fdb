package s3reader

import "time"

const (
	firstObjects = 8 // at a time

	// At 30 ms for the first byte, these are 2,000 objects a second.
	defaultObjects = 64
)

// crew are the workers that fetch one object each at a time. It doubles as long
// as that brings more objects in the same time: where S3 is far away, much has to
// be under way at once, and where it is near, that only costs.
type crew struct {
	size, most int

	warm  bool // the first objects, with which connections are made, do not count
	done  int  // objects
	since time.Time
	rate  float64 // objects a second with half the size; 0: not known
}

// crewWindow is for how long a rate is measured, at least.
const crewWindow = 200 * time.Millisecond

// fetched is told that an object is done with. It returns how many more workers
// to begin with.
func (c *crew) fetched() int {
	now := time.Now()
	if c.since.IsZero() {
		c.since = now
	}
	c.done++
	switch {
	case c.size >= c.most || c.done < 4*c.size:
		return 0
	case !c.warm:
		c.warm, c.done, c.since = true, 0, now
		return 0
	case now.Sub(c.since) < crewWindow:
		return 0
	}
	rate := float64(c.done) / now.Sub(c.since).Seconds()
	if rate < c.rate*doublingPays {
		c.most = c.size
		return 0
	}
	more := min(c.size, c.most-c.size)
	c.size, c.rate, c.done, c.since = c.size+more, rate, 0, now
	return more
}
