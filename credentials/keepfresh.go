package credentials

import (
	"context"
	"time"
)

// KeepFresh renews the chain's session ahead of its end also while nobody asks
// for credentials, so that the first call after a quiet night does not wait. It
// returns nil when ctx ends; failures are told by Status, the log and OnEvent,
// and it goes on. Run it in a goroutine of its own:
//
//	go chain.KeepFresh(ctx)
func (c *Chain) KeepFresh(ctx context.Context) error {
	s := c.last()
	for ctx.Err() == nil {
		now := time.Now()
		snap := s.current.Load()
		switch snap.phase(now) {
		case fresh:
		case expired:
			_, _ = s.await(ctx) // Status, the log and OnEvent tell why there is none
			now, snap = time.Now(), s.current.Load()
		default:
			if f := s.renew(ctx, now); f != nil {
				select {
				case <-f.done:
				case <-ctx.Done():
				}
			}
			now, snap = time.Now(), s.current.Load()
		}
		t := time.NewTimer(s.untilNext(now, snap))
		select {
		case <-ctx.Done():
			t.Stop()
		case <-t.C:
		}
	}
	return nil
}

// untilNext is how long KeepFresh may rest: to the session's due instant, or to
// the end of the pause after a failure.
func (s *session) untilNext(now time.Time, snap *snapshot) time.Duration {
	const least = time.Second
	switch f := s.failed.Load(); {
	case snap.phase(now) == fresh:
		return max(least, snap.due-now.Sub(snap.issued))
	case f != nil:
		return max(least, f.err.NextAttempt.Sub(now))
	case snap != nil && snap.life == 0: // keys without an end: nothing to keep fresh
		return time.Minute
	}
	return least
}
