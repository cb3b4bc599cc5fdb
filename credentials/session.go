package credentials

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// session keeps one hop's session: handed out without waiting while it is
// valid, renewed ahead of its end by at most one flight at a time.
//
// The path of a fresh session is one atomic load and one look at the clock.
type session struct {
	current atomic.Pointer[snapshot]
	flying  atomic.Pointer[flight]
	failed  atomic.Pointer[failure]
	refused atomic.Pointer[refusal]

	chain     *Chain
	hop       int
	role      string // ARN; empty where the source names none
	web       bool   // the exchange posts a token
	tokenFile string // of hop 1; a change ends the pause after a failure
	parent    *session
	giver     *giver // of hop 1, where the source is a provider; nil: none
	exchange  exchange

	waiting atomic.Int64           // callers
	host    atomic.Pointer[string] // that the last refresh asked; nil: none

	mu     sync.Mutex // guards the change of the first four, and what follows
	seen   tokenSeen
	mark   fileMark  // of the token file before it was read last
	keys   [4]string // access key ids given out last: requests signed with them may still be under way
	grants int
}

// follow makes s the hop that assumes role as parent.
func (s *session) follow(c *Chain, parent *session, role Role) {
	s.chain, s.hop, s.role, s.parent = c, parent.hop+1, role.ARN, parent
	s.exchange = c.assumeRole(role)
}

// retrieve returns the session. It waits only if there is none that is valid,
// or at the very end of its life.
func (s *session) retrieve(ctx context.Context) (*snapshot, error) {
	now := time.Now()
	snap := s.current.Load()
	switch snap.phase(now) {
	case fresh:
		return snap, nil
	case due:
		s.renew(ctx, now)
		return snap, nil
	case ending:
		if f := s.renew(ctx, now); f != nil {
			s.waitAtMost(ctx, f, endingWait)
		}
		if latest := s.current.Load(); latest.phase(time.Now()) != expired {
			return latest, nil
		}
	}
	return s.await(ctx)
}

// phaseNow is for those who only look.
func (s *session) phaseNow(now time.Time) phase { return s.current.Load().phase(now) }

// renew sees to it that a flight is under way, unless the memory of failures
// forbids one. It returns the flight, or nil.
func (s *session) renew(ctx context.Context, now time.Time) *flight {
	if f := s.flying.Load(); f != nil {
		return f
	}
	if s.holds(now, false) != nil {
		return nil
	}
	f, _, _ := s.join(ctx, func(snap *snapshot) bool { return snap.phase(time.Now()) == fresh })
	return f
}

// join returns the flight under way or starts one; or else the session that is
// good enough meanwhile; or the remembered failure.
func (s *session) join(ctx context.Context, enough func(*snapshot) bool) (*flight, *snapshot, error) {
	// The token file is looked at before the lock is taken: a volume that hangs
	// must not hold those who need no look.
	remembered := s.failed.Load()
	over := remembered != nil && s.holds(time.Now(), true) == nil
	s.mu.Lock()
	defer s.mu.Unlock()
	if snap := s.current.Load(); snap != nil && enough(snap) {
		return nil, snap, nil
	}
	if f := s.flying.Load(); f != nil {
		return f, nil, nil
	}
	if f := s.holds(time.Now(), false); f != nil && !(over && s.failed.Load() == remembered) {
		return nil, nil, f.err
	}
	return s.takeOff(ctx), nil, nil
}

// invalidate gives the session up if key is still its key.
func (s *session) invalidate(key string) {
	s.drop(key)
	s.chain.release()
}

// drop is invalidate, which its caller has yet to release.
func (s *session) drop(key string) {
	var snap *snapshot
	if s.giver.withdraw(key, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if snap = s.current.Load(); snap == nil || snap.creds.AccessKeyID != key {
			return false
		}
		s.giveUp()
		return true
	}) {
		s.chain.post(Event{Type: Invalidated, Hop: s.hop, RoleARN: s.role, Expires: snap.creds.Expires})
	}
}

// giveUp drops the session, and the memory of failures with it; s.mu is held.
func (s *session) giveUp() {
	s.current.Store(nil)
	s.failed.Store(nil)
}

// status is the session's state, without I/O.
func (s *session) status() HopStatus {
	st := HopStatus{RoleARN: s.role, Waiting: int(s.waiting.Load())}
	failed := s.failed.Load()
	if snap := s.current.Load(); snap != nil {
		st.CallerARN, st.Expires = snap.caller, snap.creds.Expires
		// Keys without an expiry are asked for at each use: the last failure says more.
		st.HasSession = snap.phase(time.Now()) != expired || snap.life == 0 && failed == nil
	}
	if host := s.host.Load(); host != nil {
		st.Endpoint = *host
	}
	if failed != nil {
		st.Err, st.NextAttempt, st.FailingSince = failed.err, failed.err.NextAttempt, failed.since
	}
	if k := s.chain.clock.Load(); k != nil {
		st.Skew = skewOf(k.at, k.date)
	}
	return st
}
