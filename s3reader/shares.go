package s3reader

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"
)

const (
	// A share of so many bytes is worth another request, whoever fetches it.
	worthSplitting = minShare

	// One of less, if it will not be there for so long: its connection is slow.
	tooLong       = time.Second
	worthSpeeding = 1 << 20

	// maxMoves is how often a share without a byte changes hands, before the limit
	// on attempts of whoever has it decides.
	maxMoves = 3
)

// shares divide the bytes that are to be fetched among connections. A connection
// that has nothing left to do takes over a part of what the slowest one still
// has, so that all of them end at about the same time. It is safe for concurrent
// use.
type shares struct {
	step  int64 // shares do not cross multiples of this
	fixed bool  // the shares are not split

	mu   sync.Mutex // guards what follows, and the shares but for got
	free []extent   // not begun, in order, and not cut yet: a huge object has many shares
	busy []*share
	ends chan struct{} // closed when a share is done; nil: nobody waits
}

// share is what one connection fetches.
type share struct {
	ctx    context.Context // of its requests
	cancel context.CancelFunc
	left   extent // shrinks at the front as bytes arrive, and perhaps at the end
	begun  time.Time
	last   time.Time // when bytes arrived
	bytes  int64     // that have arrived
	moves  int       // times that it changed hands since
	got    piece     // what has arrived since the last piece was finished; of who fetches it
}

// rate is in bytes a second; 0 if nothing comes any more.
func (s *share) rate(now time.Time) float64 {
	if now.Sub(s.last) > tooLong {
		return 0
	}
	return float64(s.bytes) / max(now.Sub(s.begun), time.Millisecond).Seconds()
}

// take returns a share for a connection that has fetched the last one at that
// rate. It returns nil if there is none, and with more if one may come up.
func (q *shares) take(ctx context.Context, rate float64) (s *share, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var e extent
	moves := 0
	if len(q.free) > 0 {
		if e, q.free[0] = q.free[0].cut(q.step); q.free[0].len() == 0 {
			q.free = q.free[1:]
		}
	} else {
		if e, moves = q.split(rate); e.len() == 0 {
			return nil, !q.fixed && len(q.busy) > 0
		}
	}
	now := time.Now()
	s = &share{left: e, got: piece{extent: extent{e.start, e.start}}, begun: now, last: now, moves: moves}
	s.ctx, s.cancel = context.WithCancel(ctx)
	q.busy = append(q.busy, s)
	return s, true
}

// split takes the end of the share that would be there last. q.mu is held.
func (q *shares) split(rate float64) (extent, int) {
	if q.fixed {
		return extent{}, 0
	}
	now := time.Now()
	var from *share
	var theirs, longest float64
	for _, s := range q.busy {
		r, left := s.rate(now), s.left.len()
		young := now.Sub(s.begun) < tooLong
		if young { // its first byte may still be on its way
			r = max(r, rate, 1)
		}
		takes := math.Inf(1)
		if r > 0 {
			takes = float64(left) / r
		}
		var worth bool
		switch {
		case left >= worthSplitting:
			worth = true
		case r == 0:
			worth = left > 0 && s.moves < maxMoves
		default:
			worth = left >= worthSpeeding && !young && takes > tooLong.Seconds()
		}
		if worth && takes >= longest {
			from, theirs, longest = s, r, takes
		}
	}
	if from == nil {
		return extent{}, 0
	}
	keeps := int64(0)
	if theirs > 0 {
		keeps = int64(float64(from.left.len()) * theirs / (theirs + max(rate, theirs)))
	}
	middle := from.left.start + keeps
	if aligned := middle / shareStep * shareStep; aligned > from.left.start {
		middle = aligned
	}
	e := extent{middle, from.left.end}
	from.left.end = middle
	if from.left.len() > 0 {
		return e, 0
	}
	from.cancel() // it waits for nothing
	return e, from.moves + 1
}

// ended is closed when the next share is done.
func (q *shares) ended() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ends == nil {
		q.ends = make(chan struct{})
	}
	return q.ends
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
	if n > 0 {
		s.left.start += int64(n)
		s.bytes += int64(n)
		s.last, s.moves = time.Now(), 0
	}
	return n
}

// done takes a share out and returns the rate at which it came.
func (q *shares) done(s *share) float64 {
	s.cancel()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy = slices.DeleteFunc(q.busy, func(b *share) bool { return b == s })
	if q.ends != nil {
		close(q.ends)
		q.ends = nil
	}
	return s.rate(time.Now())
}
