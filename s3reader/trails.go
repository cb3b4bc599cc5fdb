package s3reader

const (
	// nearGap is how far the next read may begin beyond the last one, in bytes,
	// to count as going on from there: asking for the gap too is cheaper than
	// another round trip.
	nearGap = 1 << 20

	// Who goes on is given a part of what it has read so far in advance, which
	// bounds what is fetched in vain.
	aheadShare = 8
	minAhead   = 1 << 20
	maxAhead   = 8 << 20

	// tailSize is fetched when a read reaches the object's end: formats with
	// their index at the end (Parquet, ZIP) look for it there first.
	tailSize = 256 << 10
)

// trail is a run of reads at offsets that go on from one another.
type trail struct {
	next int64 // where the last one ended
	got  int64 // bytes of all of them
	used uint64
}

// trails tell the readers of a handle apart, of which there may be several at
// work in different places.
type trails [8]trail

// ahead notes a read of n bytes at off and returns how many bytes after it to
// ask for as well.
func (ts *trails) ahead(off, n int64, tick uint64) int64 {
	got, again := ts.note(off, n, nearGap, tick)
	if !again {
		return 0
	}
	return min(max(got/aheadShare, minAhead), maxAhead)
}

// exact is ahead for a handle that asks for little: what begins just where an
// earlier read ended is given as much in advance as that run has read.
func (ts *trails) exact(off, n int64, tick uint64) int64 {
	got, again := ts.note(off, n, 0, tick)
	if !again {
		return 0
	}
	return min(got-n, maxRandomAhead)
}

// note adds a read to the trail that it goes on from, with a gap of at most that
// many bytes. It returns the bytes of the trail; false if a new one begins.
func (ts *trails) note(off, n, gap int64, tick uint64) (got int64, again bool) {
	oldest := &ts[0]
	for i := range ts {
		t := &ts[i]
		if t.got > 0 && off >= t.next && off-t.next <= gap {
			t.next, t.got, t.used = off+n, t.got+n, tick
			return t.got, true
		}
		if t.used < oldest.used {
			oldest = t
		}
	}
	*oldest = trail{next: off + n, got: n, used: tick}
	return n, false
}

// readAlong is what ReadAt does with bytes that exist: it finds out how much more
// to ask for, if it has to ask.
func (c *cache) readAlong(p []byte, off int64) (int, error) {
	n, size := int64(len(p)), c.of.info.Size
	if n > c.limit/4 {
		return c.readPast(p, off)
	}
	c.mu.Lock()
	c.tick++
	var ahead int64
	if c.frugal {
		ahead = c.trails.exact(off, n, c.tick)
	} else {
		ahead = c.trails.ahead(off, n, c.tick)
	}
	c.mu.Unlock()
	from := off
	if off+n == size && !c.frugal {
		from = min(off, max(0, size-tailSize))
	}
	return c.readAt(p, off, from, min(size, off+n+min(ahead, c.limit/4)))
}
