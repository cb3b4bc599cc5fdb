package s3reader

import "time"

const (
	// firstWindow is how much is asked for where reading in order begins anew.
	firstWindow = 1 << 20

	// pieceSize bounds the bytes of one request: a window is several of them, so
	// that it is filled over several connections.
	minPiece = 1 << 20
	maxPiece = 8 << 20

	maxPieces = 16 // on their way at once, if Options.Concurrency does not say

	// keepBehind is how much stays in memory behind the position, for a step
	// back.
	keepBehind = 1 << 20
)

// readahead keeps bytes on their way for a reader that goes on in order. The
// window doubles only when the reader had to wait, so that a slow reader holds
// little memory and a fast one gets many connections.
type readahead struct {
	pos    int64 // where the reader is expected
	window int64 // bytes to keep on their way beyond it; 0: not begun
	next   int64 // up to where they are
}

// read reads at pos through the cache.
func (a *readahead) read(c *cache, p []byte, pos int64, connections int) (int, error) {
	if a.window == 0 || a.pos != pos {
		*a = readahead{pos: pos, window: firstWindow, next: pos}
	}
	begun := a.next > pos
	a.fill(c, connections)
	n, waited, err := c.readSome(p, pos, pos, a.next)
	if err != nil {
		return 0, err
	}
	a.pos += int64(n)
	a.next = max(a.next, a.pos)
	if waited && begun {
		a.window = min(2*a.window, max(c.limit/2, firstWindow))
	}
	c.forget(pos - keepBehind)
	return n, nil
}

// fill asks for pieces until the window is full. It lets half of it run empty
// first, for the sake of fewer requests.
func (a *readahead) fill(c *cache, connections int) {
	if a.next-a.pos > a.window/2 {
		return
	}
	piece := min(max(a.window/int64(connections), minPiece), maxPiece)
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
	// A body is read over its one connection as long as that keeps up.
	waitShare   = 2       // it does not if one in so many of the time is waiting
	judgedBytes = 4 << 20 // over so many bytes
	handover    = 4 << 20 // how much of it is still read while other connections begin
)

// pace tells whether whoever reads a body waits for it.
type pace struct {
	since  time.Time
	waited time.Duration
	bytes  int64
}

// slow notes a read and reports, once enough were read, whether the reader spent
// most of the time waiting.
func (p *pace) slow(began, ended time.Time, n int) bool {
	if p.bytes == 0 {
		p.since = began
	}
	p.waited += ended.Sub(began)
	p.bytes += int64(n)
	if p.bytes < judgedBytes {
		return false
	}
	slow := p.waited > ended.Sub(p.since)/waitShare
	*p = pace{}
	return slow
}
