package s3reader

import (
	"container/list"
	"slices"
)

// span is a piece of an object that is held in memory or on its way there. Its
// fields are guarded by the cache's lock, but for buf[:filled], which never
// changes while somebody has a reference.
type span struct {
	off    int64
	buf    []byte        // as long as the piece
	filled int           // bytes that have arrived
	err    error         // why no more of them will
	grown  chan struct{} // closed when filled or err changes; nil: nobody waits
	refs   int           // readers that wait for it or copy from it
	place  *list.Element // in the order of use
}

// spanCost is what a span takes besides its bytes, roughly.
const spanCost = 256

func (s *span) end() int64      { return s.off + int64(len(s.buf)) }
func (s *span) cost() int64     { return int64(cap(s.buf)) + spanCost }
func (s *span) evictable() bool { return s.refs == 0 && s.filled == len(s.buf) }

func (s *span) wait() <-chan struct{} {
	if s.grown == nil {
		s.grown = make(chan struct{})
	}
	return s.grown
}

func (s *span) wake() {
	if s.grown != nil {
		close(s.grown)
		s.grown = nil
	}
}

// spans are in the order of their offsets and do not overlap.
type spans []*span

// at returns the span that holds the byte at off, or nil and where a span that
// begins there belongs.
func (ss spans) at(off int64) (*span, int) {
	i, found := slices.BinarySearchFunc(ss, off, func(s *span, off int64) int {
		switch {
		case s.end() <= off:
			return -1
		case s.off > off:
			return 1
		}
		return 0
	})
	if found {
		return ss[i], i
	}
	return nil, i
}
