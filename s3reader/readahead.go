package s3reader

import (
	"time"
)

// Read-ahead: what is asked for in advance when a handle is read in order.

const (
	// firstWindow is how much is asked for where reading in order begins anew.
	firstWindow = 1 << 20

	// minPiece and maxPiece bound the bytes of one request: a window is several of
	// them, so that it is filled over several connections.
	minPiece = 1 << 20
	maxPiece = 8 << 20

	maxPieces = 8 // of a window

	// keepBehind is how much stays in memory behind the position, for a step
	// back.
	keepBehind = 1 << 20
)

// readahead keeps bytes on their way for a reader that goes on in order. The
// window doubles only when the reader had to wait and the last doubling paid, so
// that neither a slow reader nor a slow line costs memory, and a fast reader gets
// many connections.
type readahead struct {
	pos    int64 // where the reader is expected
	window int64 // bytes to keep on their way beyond it; 0: not begun
	next   int64 // up to where they are

	since time.Time // the window is what it is
	got   int64     // bytes read since
	rate  float64   // bytes a second with half the window; 0: not known
}

// read reads at pos through the cache. It reads nothing if there is no room there.
func (a *readahead) read(c *cache, p []byte, pos int64, connections int) (int, error) {
	if a.window == 0 || a.pos != pos {
		*a = readahead{pos: pos, window: firstWindow, next: pos, since: time.Now()}
	}
	begun := a.next > pos
	a.fill(c, connections)
	if a.next == pos {
		return 0, nil
	}
	n, waited, err := c.readSome(p, pos, pos, a.next)
	if err != nil {
		return 0, err
	}
	a.pos += int64(n)
	a.next = max(a.next, a.pos)
	a.got += int64(n)
	if waited && begun {
		a.grow(max(min(c.limit/2, int64(min(connections, maxPieces))*maxPiece), firstWindow))
	}
	c.forget(pos - keepBehind)
	return n, nil
}

// doublingPays is how much faster twice the window must be.
const doublingPays = 1.2

// grow doubles the window, within the limit, unless the last doubling has shown
// that the line gives no more.
func (a *readahead) grow(limit int64) {
	if a.window >= limit || a.got < a.window {
		return
	}
	now := time.Now()
	if rate := float64(a.got) / now.Sub(a.since).Seconds(); rate > a.rate*doublingPays {
		a.window, a.rate = min(2*a.window, limit), rate
	}
	a.since, a.got = now, 0
}

// fill asks for pieces until the window is full. It lets half of it run empty
// first, for the sake of fewer requests.
func (a *readahead) fill(c *cache, connections int) {
	if a.next-a.pos > a.window/2 {
		return
	}
	piece := min(max(a.window/min(int64(connections), maxPieces), minPiece), maxPiece)
	until := min(a.pos+a.window, c.of.info.Size)
	for a.next < until {
		next := c.prefetch(a.next, min(a.next+piece, until))
		if next == a.next {
			return // no room
		}
		a.next = next
	}
}

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

// trails distinguish the readers of a handle, of which there may be several at
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

const (
	// S3 delivers some 90 MB/s over one connection
	// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-design-patterns.html:
	// "one concurrent request for each 85–90 MB/s"). One that delivers much more is not held back by that, and
	// gets no company.
	ampleRate = 250e6 // bytes a second

	waitShare   = 2       // the reader waits for the body if one in waitShare of the time is waiting
	judgedBytes = 4 << 20 // the bytes over which that is judged
	handover    = 4 << 20 // how much of a body is still read while other connections begin
)

// pace reports whether the reader of a body is held up by its connection.
type pace struct {
	since  time.Time
	waited time.Duration
	bytes  int64
}

// slow notes a read and reports, once enough were read, whether the reader spent
// most of the time waiting for a connection that is not ample.
func (p *pace) slow(began, ended time.Time, n int) bool {
	if p.bytes == 0 {
		p.since = began
	}
	p.waited += ended.Sub(began)
	p.bytes += int64(n)
	if p.bytes < judgedBytes {
		return false
	}
	all := ended.Sub(p.since)
	slow := p.waited > all/waitShare && float64(p.bytes) < ampleRate*all.Seconds()
	*p = pace{}
	return slow
}
