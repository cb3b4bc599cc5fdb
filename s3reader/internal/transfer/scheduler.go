package transfer

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"
)

// Which connection fetches which bytes.

const (
	// A segment with at least this much left is split, however fast it arrives.
	worthSplitting = MinSegment

	// A smaller one is split if it would take longer than tooLong.
	tooLong       = time.Second
	worthSpeeding = 1 << 20

	// maxMoves is how often a segment of which no byte arrives is taken over. After that,
	// the body's own limit on attempts decides.
	maxMoves = 3
)

// scheduler assigns the missing bytes to connections. A connection that has finished takes
// over a part of the segment that would finish last. It is safe for concurrent use.
type scheduler struct {
	step  int64 // no segment crosses a multiple of this; 0: no limit
	fixed bool  // segments are not split

	mu      sync.Mutex // guards what follows, and the segments except for got
	free    []Range    // not assigned yet, in order; cut on demand, since a huge object has many segments
	active  []*segment
	silent  int           // connections that were opened and have not delivered anything yet
	most    int           // more active segments than this are given back; 0: no limit
	changed chan struct{} // closed when a segment is finished; nil: no worker waits

	done chan struct{} // closed when no bytes are missing
}

// newScheduler returns a scheduler for the missing bytes.
func newScheduler(missing []Range, step int64, fixed bool) *scheduler {
	return &scheduler{free: slices.Clone(missing), step: step, fixed: fixed, done: make(chan struct{})}
}

// segment is the range that one connection fetches.
type segment struct {
	ctx    context.Context // of its requests
	cancel context.CancelFunc
	left   Range // shrinks at the front as bytes arrive, and perhaps at the end
	begun  time.Time
	last   time.Time // when bytes arrived
	bytes  int64     // arrived
	silent bool      // the first of a connection that has not delivered anything yet
	moves  int       // how often it was taken over since bytes last arrived
	got    Part      // what has arrived since the last part was finished; of the worker that fetches it
}

// rate returns the bytes per second; 0 if none have arrived for tooLong.
func (s *segment) rate(now time.Time) float64 {
	if now.Sub(s.last) > tooLong {
		return 0
	}
	return float64(s.bytes) / max(now.Sub(s.begun), time.Millisecond).Seconds()
}

// next returns a segment for a connection that fetched its last one at that rate. It returns
// nil if there is none; more reports that there may be one later.
func (q *scheduler) next(ctx context.Context, rate float64) (s *segment, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var r Range
	moves := 0
	if len(q.free) > 0 {
		if r, q.free[0] = q.free[0].cut(q.step); q.free[0].Len() == 0 {
			q.free = q.free[1:]
		}
	} else {
		if r, moves = q.takeOver(rate); r.Len() == 0 {
			return nil, !q.fixed && len(q.active) > 0
		}
	}
	now := time.Now()
	s = &segment{left: r, got: Part{Range: Range{r.Start, r.Start}}, begun: now, last: now, moves: moves}
	s.ctx, s.cancel = context.WithCancel(ctx)
	q.active = append(q.active, s)
	return s, true
}

// takeOver takes the end of the segment that would finish last. q.mu is held.
func (q *scheduler) takeOver(rate float64) (Range, int) {
	if q.fixed {
		return Range{}, 0
	}
	now := time.Now()
	var from *segment
	var fromRate, longest float64
	for _, s := range q.active {
		r, left := s.rate(now), s.left.Len()
		young := now.Sub(s.begun) < tooLong
		if young { // its first byte may still be arriving
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
			from, fromRate, longest = s, r, takes
		}
	}
	if from == nil {
		return Range{}, 0
	}
	keeps := int64(0)
	if fromRate > 0 {
		keeps = int64(float64(from.left.Len()) * fromRate / (fromRate + max(rate, fromRate)))
	}
	middle := from.left.Start + keeps
	if aligned := middle / alignment * alignment; aligned > from.left.Start {
		middle = aligned
	}
	r := Range{middle, from.left.End}
	from.left.End = middle
	if from.left.Len() > 0 {
		return r, 0
	}
	from.cancel() // nothing is left for it
	return r, from.moves + 1
}

// wait returns a channel that is closed when the next segment is finished.
func (q *scheduler) wait() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.changed == nil {
		q.changed = make(chan struct{})
	}
	return q.changed
}

// rest returns the range that is missing from a segment at the moment.
func (q *scheduler) rest(s *segment) Range {
	q.mu.Lock()
	defer q.mu.Unlock()
	return s.left
}

// claim takes up to n bytes from the start of a segment; fewer if another connection has
// taken over the rest. It returns their number.
func (q *scheduler) claim(s *segment, n int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = int(min(int64(n), s.left.Len()))
	if n > 0 {
		s.left.Start += int64(n)
		s.bytes += int64(n)
		s.last, s.moves = time.Now(), 0
	}
	return n
}

// opened records that s is the first segment of a connection. Later ones do not count as
// silent: with small segments, one of the connections is always between two of them.
func (q *scheduler) opened(s *segment) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.silent = true
	q.silent++
}

// heard records that the first bytes of a segment have arrived.
func (q *scheduler) heard(s *segment) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s.silent {
		s.silent = false
		q.silent--
	}
}

// waiting reports whether a connection was opened and has not delivered anything yet.
func (q *scheduler) waiting() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.silent > 0
}

// limit sets how many segments may be active; 0: any number.
func (q *scheduler) limit(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.most = n
}

// giveBack makes the rest of a segment free again if too many are active, and reports
// whether it has. Another active worker takes it later.
func (q *scheduler) giveBack(s *segment) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	// A silent connection cannot give back, and must not be what remains.
	if q.most == 0 || len(q.active)-q.silent <= q.most {
		return false
	}
	if s.left.Len() > 0 {
		q.free = slices.Insert(q.free, 0, s.left)
		s.left.End = s.left.Start
	}
	q.remove(s)
	return true
}

// finish removes a segment and returns the rate at which it arrived.
func (q *scheduler) finish(s *segment) float64 {
	s.cancel()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.remove(s)
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
	return s.rate(time.Now())
}

// remove removes a segment from the active ones, unless it is none. q.mu is held.
func (q *scheduler) remove(s *segment) {
	i := slices.Index(q.active, s)
	if i < 0 {
		return
	}
	q.active = slices.Delete(q.active, i, i+1)
	if s.silent {
		q.silent--
	}
	if len(q.active) == 0 && len(q.free) == 0 {
		close(q.done)
	}
}
