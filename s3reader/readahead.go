package s3reader

import "time"

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
