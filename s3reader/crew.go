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

	done  int // objects
	since time.Time
	rate  float64 // objects a second with half the size; 0: not known
}

// fetched is told that an object is done with. It returns how many more workers
// to begin with.
func (c *crew) fetched() int {
	if c.since.IsZero() {
		c.since = time.Now()
	}
	if c.done++; c.size >= c.most || c.done < 4*c.size {
		return 0
	}
	now := time.Now()
	rate := float64(c.done) / max(now.Sub(c.since), time.Microsecond).Seconds()
	if rate < c.rate*doublingPays {
		c.most = c.size
		return 0
	}
	more := min(c.size, c.most-c.size)
	c.size, c.rate, c.done, c.since = c.size+more, rate, 0, now
	return more
}
