package s3reader

import (
	"cmp"
	"slices"
	"sync"
)

// shares divide the bytes that are to be fetched among connections. A connection
// that has nothing left to do takes half of what the slowest one still has, so
// that all of them end at about the same time. It is safe for concurrent use.
type shares struct {
	steal int64 // what is worth another request, in bytes; 0: nothing is

	mu   sync.Mutex // guards what follows, and the extents of the shares
	free []extent   // not begun, in order
	busy []*share
}

// share is what one connection fetches.
type share struct {
	left extent // shrinks at the front as bytes arrive, and perhaps at the end
	got  piece  // what has arrived since the last piece was finished
}

// take returns a share that nobody works at; nil if there is none.
func (q *shares) take() *share {
	q.mu.Lock()
	defer q.mu.Unlock()
	var e extent
	switch {
	case len(q.free) > 0:
		e, q.free = q.free[0], q.free[1:]
	case q.steal > 0 && len(q.busy) > 0:
		from := slices.MaxFunc(q.busy, func(a, b *share) int { return cmp.Compare(a.left.len(), b.left.len()) })
		if from.left.len() < 2*q.steal {
			return nil
		}
		middle := (from.left.start + from.left.len()/2) / shareStep * shareStep
		e = extent{middle, from.left.end}
		from.left.end = middle
	default:
		return nil
	}
	s := &share{left: e, got: piece{extent: extent{e.start, e.start}}}
	q.busy = append(q.busy, s)
	return s
}

// rest is what a share still lacks, for now.
func (q *shares) rest(s *share) extent {
	q.mu.Lock()
	defer q.mu.Unlock()
	return s.left
}

// claim takes up to n bytes from the front of a share. It is fewer if the rest
// was given to another connection meanwhile.
func (q *shares) claim(s *share, n int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = int(min(int64(n), s.left.len()))
	s.left.start += int64(n)
	return n
}

func (q *shares) done(s *share) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy = slices.DeleteFunc(q.busy, func(b *share) bool { return b == s })
}
