package credentials

import "time"

// failure is what a session remembers of the refreshes that failed since the
// last success. It never changes; a further failure replaces it.
type failure struct {
	err     *Error
	streak  int       // failed refreshes in a row
	since   time.Time // the first of them
	next    time.Time // no attempt before; zero: the hop before decides
	mark    fileMark  // the token file before the refresh read it
	carried bool      // the failure is the hop before's: it keeps the pause, we don't
	told    bool      // one of the failures since then was our own: RefreshFailed has told it
}

// A pool asks for a role that refuses it less and less often: of many targets
// some always do, and their requests are at the others' expense.
const (
	deniedBase = 30 * time.Second
	deniedCap  = 15 * time.Minute
)

// refusals are the kinds that last until a person changes something.
var refusals = map[Kind]bool{AssumeDenied: true, DurationTooLong: true, TagsTooLarge: true, ConfigInvalid: true}

// pauseFor is the pause after a failure of this kind.
func (c *Chain) pauseFor(kind Kind, streak int, left time.Duration) time.Duration {
	if c.deniedCap > 0 && refusals[kind] {
		return pauseAfter(deniedBase, streak, c.deniedCap, left, c.draw)
	}
	return pauseAfter(time.Second, streak, c.failureCap, left, c.draw)
}

// pauseAfter returns the pause after the streak-th failure in a row: base,
// doubled for each further failure, at most limit, less a random fifth that keeps
// pods apart. A session that is still valid is tried again when it expires at the
// latest.
func pauseAfter(base time.Duration, streak int, limit, left time.Duration, draw func() float64) time.Duration {
	pause := doubled(base, streak-1, limit)
	pause -= time.Duration(float64(pause/5) * (1 - draw()))
	if left > 0 {
		pause = min(pause, left)
	}
	return pause
}

// doubled returns d doubled n times, at most limit. It compares before it
// doubles, so that no n overflows.
func doubled(d time.Duration, n int, limit time.Duration) time.Duration {
	for ; n > 0 && d < limit; n-- {
		if d > limit/2 {
			return limit
		}
		d *= 2
	}
	return min(d, limit)
}

// markToken notes the state of the token file before it is read: one that
// changes between the reading and the failure has not been tried.
func (s *session) markToken() {
	if s.tokenFile == "" {
		return
	}
	mark := markFile(s.tokenFile)
	s.mu.Lock()
	s.mark = mark
	s.mu.Unlock()
}

// holds returns the failure that forbids an attempt now, if there is one. look
// also asks the token file: one that changed since is worth an attempt at once.
func (s *session) holds(now time.Time, look bool) *failure {
	f := s.failed.Load()
	switch {
	case f == nil:
		return nil
	case f.carried:
		if s.parent.phaseNow(now) != expired {
			return nil
		}
		return s.parent.holds(now, look)
	case !now.Before(f.next), look && s.tokenFile != "" && !markFile(s.tokenFile).equal(f.mark):
		return nil
	}
	return f
}
