package credentials

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
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

	hop
	chain    *Chain
	parent   *session // of the previous hop; nil at hop 1
	giver    *giver   // of hop 1, where the source is a provider; nil: none
	exchange exchange

	waiting atomic.Int64           // callers
	host    atomic.Pointer[string] // that the last refresh asked; nil: none

	mu     sync.Mutex // guards the change of the first four, and what follows
	seen   tokenSeen
	mark   fileMark  // of the token file before it was read last
	keys   [4]string // access key ids given out last: requests signed with them may still be under way
	grants int
}

// follow makes s the hop that assumes role as parent.
func (s *session) follow(c *Chain, parent *session, role *Role) {
	s.hop = hop{n: parent.n + 1, role: role.ARN, settings: role, prev: &parent.hop, facts: c.facts}
	s.chain, s.parent = c, parent
	s.exchange = role.exchange(c)
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
	s.chain.notify.release()
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
		s.chain.notify.post(Event{Type: Invalidated, Hop: s.n, RoleARN: s.role, Expires: snap.creds.Expires})
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
	st.Skew = s.chain.clock.skew()
	return st
}

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

// snapshot is one session, as all callers see it at once. It never changes.
type snapshot struct {
	issued time.Time     // when its request left; carries the monotonic clock
	wall   int64         // the same on the wall clock, in ns
	life   time.Duration // from issued on; 0: keys without an expiry, good for one use
	due    time.Duration // from issued on

	creds  aws.Credentials // Expires on the local clock
	caller string          // ARN that STS says we are; empty if the source does not tell
	took   time.Duration   // of the exchange that brought it
}

// phase is what a session's age asks of a caller.
type phase int

const (
	fresh   phase = iota // hand it out
	due                  // hand it out; somebody should renew it in the background
	ending               // wait a moment for a renewal, then hand it out
	expired              // wait for a new one
)

const (
	endingWait  = 2 * time.Second  // how long a caller waits for a renewal while the session is valid
	endingMost  = 10 * time.Second // the last stretch of a session's life: this, or a twentieth of it
	clockJump   = 60 * time.Second // wall clock ahead of monotonic: the machine slept, or the clock was set
	dateIsFloor = time.Second      // Date has whole seconds: the server's clock may be this much further
)

// phaseAt takes the session's age on the monotonic clock, which a wall clock
// that is wrong or set does not touch, and on the wall clock, which goes on
// while the machine sleeps.
func (s *snapshot) phaseAt(age, wallAge time.Duration) phase {
	switch {
	case s == nil || age >= s.life:
		return expired
	case age >= s.life-min(endingMost, s.life/20), wallAge-age > clockJump:
		return ending
	case age >= s.due:
		return due
	}
	return fresh
}

func (s *snapshot) phase(now time.Time) phase {
	if s == nil {
		return expired
	}
	return s.phaseAt(now.Sub(s.issued), time.Duration(now.UnixNano()-s.wall))
}

// left is how much longer the session is valid.
func (s *snapshot) left(now time.Time) time.Duration {
	if s == nil {
		return 0
	}
	return s.life - now.Sub(s.issued)
}

// sameKeys reports whether s holds the same keys without an end as other: a
// provider of long-lived keys is asked at each refresh of the hop after it.
func (s *snapshot) sameKeys(other *snapshot) bool {
	return other != nil && !s.creds.CanExpire && s.creds == other.creds
}

// newSnapshot dates a session. Its life is what the server's own clock says,
// counted from the moment the request left: a wrong local clock neither
// prolongs nor shortens it.
func newSnapshot(creds aws.Credentials, rec *record, window time.Duration, first bool, draw func() float64) *snapshot {
	s := &snapshot{creds: creds, caller: rec.assumed, issued: rec.sentAt, wall: rec.sentAt.UnixNano(), took: rec.took}
	if !creds.CanExpire {
		if s.life = rec.keep; s.life > 0 {
			s.due = dueAfter(s.life, window, first, draw)
		}
		return s
	}
	if rec.date.IsZero() {
		s.life = creds.Expires.Sub(rec.sentAt.Round(0))
	} else {
		s.life = creds.Expires.Sub(rec.date.Add(dateIsFloor))
	}
	s.creds.Expires = rec.sentAt.Round(0).Add(s.life)
	s.due = dueAfter(s.life, window, first, draw)
	return s
}

// dueAfter draws the instant at which a session of this life becomes due: at
// random in the first half of its window, so that pods that refreshed together
// once do not do so for ever. A chain's first session draws from nearly its
// whole life: a fleet that started in one minute spreads out at once.
func dueAfter(life, window time.Duration, first bool, draw func() float64) time.Duration {
	from, to := life/16, life-life/8
	if !first {
		w := windowOf(life, window)
		from, to = life-w, life-w/2
	}
	return from + time.Duration(draw()*float64(to-from))
}

// windowOf is how long before its end a session counts as due.
func windowOf(life, window time.Duration) time.Duration {
	if window == 0 {
		switch {
		case life <= 20*time.Minute:
			window = 5 * time.Minute
		case life < 90*time.Minute:
			window = 15 * time.Minute
		default:
			window = time.Hour
		}
	}
	return min(window, life/4)
}

var random = rand.Float64
