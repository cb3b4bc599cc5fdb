package credentials

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// await waits for a session that is valid.
func (s *session) await(ctx context.Context) (*snapshot, error) {
	return s.awaitUntil(ctx, func(snap *snapshot) bool { return snap.phase(time.Now()) != expired })
}

// awaitUntil waits for one flight, unless the session is good enough already.
func (s *session) awaitUntil(ctx context.Context, enough func(*snapshot) bool) (*snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, s.gaveUp(ctx)
	}
	s.come()
	defer s.leave()
	for {
		f, snap, err := s.join(ctx, enough)
		if f == nil {
			return snap, err
		}
		if s.wait(ctx, f) != nil {
			return nil, s.gaveUp(ctx)
		}
		switch {
		case f.unwanted: // by those before us
		case f.err != nil:
			return nil, f.err
		default:
			return f.snap, nil
		}
	}
}

// gaveUp is the error of a caller whose own context ended first.
func (s *session) gaveUp(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); !errors.Is(err, cause) {
		return fmt.Errorf("credentials: hop %d of %d: gave up waiting for a session: %w (%w)", s.hop, s.chain.length(), err, cause)
	}
	return fmt.Errorf("credentials: hop %d of %d: gave up waiting for a session: %w", s.hop, s.chain.length(), err)
}

// wait returns when f has landed or ctx ends.
func (s *session) wait(ctx context.Context, f *flight) error {
	s.chain.limiter.Promote(s)
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// come counts a caller who may have to wait. It is called before a flight is
// started for that caller, and leave after.
func (s *session) come() { s.waiting.Add(1) }

func (s *session) leave() {
	if s.waiting.Add(-1) == 0 {
		s.chain.limiter.Cancel(s)
	}
}

func (s *session) waitAtMost(ctx context.Context, f *flight, d time.Duration) {
	s.come()
	defer s.leave()
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	_ = s.wait(ctx, f) // who waits no longer takes what there is
}
