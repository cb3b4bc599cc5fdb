package credentials

// The two other ways to ask a chain for credentials: KeepFresh, in the background, and
// RetrieveFor, with a minimum validity.

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// KeepFresh renews the chain's session before it expires, also while no caller asks
// for credentials, so that the first call after a quiet night does not wait. It
// returns nil when ctx ends. It continues after failures, which Status, the log and
// OnEvent report. Run it in its own goroutine:
//
//	go chain.KeepFresh(ctx)
func (c *Chain) KeepFresh(ctx context.Context) error {
	s := &c.last
	for ctx.Err() == nil {
		now := time.Now()
		snap := s.current.Load()
		switch snap.phase(now) {
		case fresh:
		case expired:
			_, _ = s.await(ctx) // its error is in Status, the log and OnEvent
			now, snap = time.Now(), s.current.Load()
		default:
			if r := s.renew(ctx, now); r != nil {
				select {
				case <-r.done:
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

// untilNext returns how long KeepFresh may sleep: until the session is due, or until
// the backoff after a failure is over.
func (s *session) untilNext(now time.Time, snap *snapshot) time.Duration {
	const least = time.Second
	switch f := s.failed.Load(); {
	case snap.phase(now) == fresh:
		return max(least, snap.due-now.Sub(snap.issued))
	case f != nil:
		return max(least, f.err.NextAttempt.Sub(now))
	case snap != nil && snap.life == 0: // keys without an expiry: nothing to keep fresh
		return time.Minute
	}
	return least
}

// RetrieveFor returns credentials that stay valid for at least the given time: for a
// presigned URL, or a job that carries its keys. If the current ones do not, it refreshes
// once. If the last hop can never return such a session, the error is [ConfigInvalid],
// without a call. The limit is a second less than the hop's Duration, since STS reports
// its time in whole seconds; if WebIdentity.Duration is zero, an hour is assumed.
//
// If a new session turns out too short (the role allows less, or a provider's session
// has been used for a while), that is [ConfigInvalid] too, and no other session is
// requested within Refresh.FailureCap.
func (c *Chain) RetrieveFor(ctx context.Context, atLeast time.Duration) (aws.Credentials, error) {
	s := &c.last
	if most := s.longest(); most > 0 && atLeast > most {
		return aws.Credentials{}, configError("asked for credentials valid for %v, but the sessions of %s last at most %v: ask for less, or raise the hop's Duration", atLeast, s.describe(), most)
	}
	enough := func(snap *snapshot) bool {
		permanent := snap.creds.HasKeys() && !snap.creds.CanExpire && (snap.life == 0 || snap.left(time.Now()) > 0)
		return permanent || snap.left(time.Now()) >= max(atLeast, 1)
	}
	snap := s.current.Load()
	switch {
	case snap == nil || !snap.creds.CanExpire:
	case enough(snap):
		return snap.creds, nil
	case snap.life-snap.took < atLeast && time.Since(snap.issued) < min(c.failureCap, snap.life):
		return aws.Credentials{}, s.tooShortError(snap, atLeast)
	}
	snap, err := s.awaitUntil(ctx, enough)
	if err != nil {
		return aws.Credentials{}, err
	}
	if !enough(snap) {
		return aws.Credentials{}, s.tooShortError(snap, atLeast)
	}
	return snap.creds, nil
}
