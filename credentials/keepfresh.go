package credentials

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// RetrieveFor returns credentials that are valid for at least the given time
// more, refreshing once if the present ones are not: for a presigned link or a
// job that takes its keys along. More than the last hop can ever give is
// [ConfigInvalid].
func (c *Chain) RetrieveFor(ctx context.Context, atLeast time.Duration) (aws.Credentials, error) {
	s := c.last()
	if most := c.longest(); most > 0 && atLeast > most {
		return aws.Credentials{}, configError("asked for credentials valid for %v, but the sessions of %s last %v at most: ask for less, or raise the hop's Duration", atLeast, s.describe(), most)
	}
	enough := func(snap *snapshot) bool {
		return snap.life == 0 && snap.creds.HasKeys() && !snap.creds.CanExpire || snap.left(time.Now()) >= max(atLeast, 1)
	}
	if snap := s.current.Load(); snap != nil && snap.creds.CanExpire && enough(snap) {
		return snap.creds, nil
	}
	snap, err := s.awaitUntil(ctx, enough)
	if err != nil {
		return aws.Credentials{}, err
	}
	if !enough(snap) {
		return aws.Credentials{}, configError("asked for credentials valid for %v, but a new session of %s lasts %v only: ask for less, or raise the hop's Duration and the role's MaxSessionDuration", atLeast, s.describe(), snap.left(time.Now()).Round(time.Second))
	}
	return snap.creds, nil
}

func (s *session) describe() string {
	if s.role != "" {
		return s.role
	}
	return s.chain.source.String()
}

// longest is the longest session that the last hop asks for; zero if unknown.
// STS gives an hour where nothing was asked.
func (c *Chain) longest() time.Duration {
	if len(c.roles) > 0 {
		return c.roles[len(c.roles)-1].duration()
	}
	if w, ok := c.source.(WebIdentity); ok {
		if w.Duration == 0 {
			return time.Hour
		}
		return w.Duration
	}
	return 0
}

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
		if snap.phase(now) != fresh {
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
