package credentials

// How a session works
//
// A chain has one session per hop. Each holds that hop's current credentials (a
// snapshot), the refresh in flight, and the memory of failures.
//
//	Chain.Retrieve → retrieve ─ fresh ───────→ the snapshot: one atomic load, one look at the clock
//	                          ├ due ─────────→ renew in the background, return the snapshot
//	                          ├ expiring ────→ renew, wait up to two seconds, return the newest snapshot
//	                          └ expired, none → await: join a refresh or start one, and wait for it
//
// renew and await go through join, the only place that starts a refresh (refresh.go):
// at most one per session is in flight, and all callers share its result. While the
// session backs off after a failure, join returns the remembered error instead.
// A refresh of hop n calls retrieve of hop n-1, its parent.
//
// A session leaves use in three ways: a refresh replaces it, it expires, or it is
// discarded: by invalidate for the caller, by discardRefused for recovery.go.
//
// Locks: current, inflight, failed and refused are read without a lock and changed
// under mu, except that accepted clears refused without it. mu also guards the
// fields below it. No user code, no file system and no network is called while mu is
// held. It is the innermost lock: upstream.mu and the limiter's lock may be held when it
// is taken, and never the other way around. What never changes is in hop and needs no
// lock.

import (
	"cmp"
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// session keeps one hop's session. It returns a valid one without waiting and renews
// it before it expires. It is safe for concurrent use.
type session struct {
	current  atomic.Pointer[snapshot]
	inflight atomic.Pointer[refresh]
	failed   atomic.Pointer[failure]
	refused  atomic.Pointer[refusal]

	hop
	chain    *Chain
	parent   *session  // of the previous hop; nil at hop 1
	upstream *upstream // of hop 1, where the source is a provider; nil: none
	exchange exchange

	waiting atomic.Int64              // callers
	host    atomic.Pointer[string]    // that the last refresh asked; nil: none
	asked   atomic.Pointer[stsRegion] // of host; nil: none, or an agent

	mu         sync.Mutex // guards the change of the first four, and what follows
	lastToken  lastToken
	tokenStamp fileStamp // of the token file, before its last read
	recentKeys [4]string // access key IDs of the last sessions: requests signed with them may still be in flight
	successes  int       // refreshes that brought a session
}

// hop describes one step of a chain: what errors, fixes and reports say about it. It
// never changes after New, so diagnosing a failure takes no lock and needs no session.
// A session embeds its hop.
type hop struct {
	n         int    // 1: the source's
	role      string // ARN; empty where the source names none
	web       bool   // the exchange posts a token; hop 1 only
	tokenFile string // of hop 1; empty: none
	settings  *Role  // of the role to assume; nil at hop 1
	prev      *hop   // nil at hop 1
	facts     *chainFacts
}

// chainFacts holds what all hops of a chain have in common. All chains of a pool share
// one copy.
type chainFacts struct {
	source Source
	roles  []*Role // of the chain; in a pool, of the shared hops only. By pointer, so that fmt stops before their external IDs
	hops   int     // their number; in a pool, the shared ones and the target's
	sts    stsRegions

	retryDenied time.Duration // Refresh.RetryDenied
}

// agent reports whether the hop asks a service on the node instead of STS.
func (h *hop) agent() bool {
	switch h.facts.source.(type) {
	case PodIdentity, NodeRole:
		return h.n == 1
	}
	return false
}

// provider reports whether the hop asks the user's own credentials provider.
func (h *hop) provider() bool {
	switch h.facts.source.(type) {
	case FromBase, Provider:
		return h.n == 1
	}
	return false
}

// webIdentity returns the chain's source; the zero value if it is another one.
func (h *hop) webIdentity() WebIdentity {
	w, _ := h.facts.source.(WebIdentity)
	return w
}

// describe returns the hop's role, or the name of its source where that names no
// role.
func (h *hop) describe() string {
	if h.role != "" {
		return h.role
	}
	return h.facts.source.String()
}

// longest returns how long the hop's sessions last at most; zero if unknown. The default
// of STS is an hour.
func (h *hop) longest() time.Duration {
	if h.settings != nil {
		return h.settings.duration() - dateIsFloor
	}
	if w, ok := h.facts.source.(WebIdentity); ok {
		return cmp.Or(w.Duration, time.Hour) - dateIsFloor
	}
	return 0
}

// follow makes s the hop that assumes role as parent.
func (s *session) follow(c *Chain, parent *session, role *Role) {
	s.hop = hop{n: parent.n + 1, role: role.ARN, settings: role, prev: &parent.hop, facts: c.facts}
	s.chain, s.parent = c, parent
	s.exchange = role.exchange(c)
}

// retrieve returns the session. It waits only if there is no valid session, or if the
// current one is about to expire.
func (s *session) retrieve(ctx context.Context) (*snapshot, error) {
	now := time.Now()
	snap := s.current.Load()
	switch snap.phase(now) {
	case fresh:
		return snap, nil
	case due:
		s.renew(ctx, now)
		return snap, nil
	case expiring:
		if r := s.renew(ctx, now); r != nil {
			s.waitAtMost(ctx, r, expiringWait)
		}
		if latest := s.current.Load(); latest.phase(time.Now()) != expired {
			return latest, nil
		}
	}
	return s.await(ctx)
}

// renew returns the refresh in flight, or starts one. It returns nil while the
// session backs off after a failure.
func (s *session) renew(ctx context.Context, now time.Time) *refresh {
	if r := s.inflight.Load(); r != nil {
		return r
	}
	if s.backingOff(now, false) != nil {
		return nil
	}
	r, _, _ := s.join(ctx, func(snap *snapshot) bool { return snap.phase(time.Now()) == fresh })
	return r
}

// join returns one of three: the current session, if it satisfies enough; the refresh
// in flight, or one that it starts; or, during a backoff, the remembered error.
func (s *session) join(ctx context.Context, enough func(*snapshot) bool) (*refresh, *snapshot, error) {
	// Stat the token file before taking the lock: a volume that hangs must not block
	// callers that do not need it.
	remembered := s.failed.Load()
	over := remembered != nil && s.backingOff(time.Now(), true) == nil
	s.mu.Lock()
	defer s.mu.Unlock()
	if snap := s.current.Load(); snap != nil && enough(snap) {
		return nil, snap, nil
	}
	if r := s.inflight.Load(); r != nil {
		return r, nil, nil
	}
	if f := s.backingOff(time.Now(), false); f != nil && !(over && s.failed.Load() == remembered) {
		return nil, nil, f.err
	}
	return s.startRefresh(ctx), nil, nil
}

// invalidate discards the session if key is still its key.
func (s *session) invalidate(key string) {
	s.discardIf(key, func() bool { return true })
	s.chain.notify.release()
}

// discardIf discards the session and the memory of failures if key is still its key and
// may, called with s.mu held, agrees. The caller has to release the event.
func (s *session) discardIf(key string, may func() bool) {
	var snap *snapshot
	if s.upstream.invalidate(key, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if snap = s.current.Load(); snap == nil || snap.creds.AccessKeyID != key || !may() {
			return false
		}
		s.current.Store(nil)
		s.failed.Store(nil)
		return true
	}) {
		s.chain.notify.enqueue(Event{Type: Invalidated, Hop: s.n, RoleARN: s.role, Expires: snap.creds.Expires})
	}
}

// status returns the session's state. It does no I/O.
func (s *session) status() HopStatus {
	st := HopStatus{RoleARN: s.role, Endpoint: stringAt(&s.host), Waiting: int(s.waiting.Load()), Skew: s.chain.clock.skew()}
	if r := s.asked.Load(); r != nil {
		st.Region = r.Region()
	}
	failed := s.failed.Load()
	if snap := s.current.Load(); snap != nil {
		st.CallerARN, st.Expires = snap.caller, snap.creds.Expires
		// Keys without an expiry are asked for at each use: the last failure says more.
		st.HasSession = snap.phase(time.Now()) != expired || snap.life == 0 && failed == nil
	}
	if failed != nil {
		st.Err, st.NextAttempt, st.FailingSince = failed.err, failed.err.NextAttempt, failed.since
	}
	return st
}

// await waits for a valid session.
func (s *session) await(ctx context.Context) (*snapshot, error) {
	return s.awaitUntil(ctx, func(snap *snapshot) bool { return snap.phase(time.Now()) != expired })
}

// awaitUntil returns the current session if it satisfies enough, or else waits for
// one refresh and returns its result. If ctx ends first, the error is a waitError.
func (s *session) awaitUntil(ctx context.Context, enough func(*snapshot) bool) (*snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, s.waitError(ctx, nil)
	}
	s.addWaiter()
	defer s.removeWaiter()
	for {
		r, snap, err := s.join(ctx, enough)
		if r == nil {
			return snap, err
		}
		if s.wait(ctx, r) != nil {
			return nil, s.waitError(ctx, s.asking(r))
		}
		switch {
		case r.abandoned: // by earlier waiters; try again
		case r.err != nil:
			return nil, r.err
		default:
			return r.snap, nil
		}
	}
}

// asking returns the refresh that r waits for: that of a previous hop, or r itself if it
// has asked for its own session already.
func (s *session) asking(r *refresh) *refresh {
	for s.parent != nil && r.endpoint() == "" && r.last.Load() == nil {
		previous := s.parent.inflight.Load()
		if previous == nil {
			break
		}
		s, r = s.parent, previous
	}
	return r
}

// wait returns when r has finished or ctx ends.
func (s *session) wait(ctx context.Context, r *refresh) error {
	s.chain.limiter.Promote(s)
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// addWaiter counts a caller that may have to wait. Call it before a refresh is started
// for that caller, and removeWaiter afterwards.
func (s *session) addWaiter() { s.waiting.Add(1) }

func (s *session) removeWaiter() {
	if s.waiting.Add(-1) == 0 {
		s.chain.limiter.Cancel(s)
	}
}

// waitAtMost waits for r, but no longer than d.
func (s *session) waitAtMost(ctx context.Context, r *refresh, d time.Duration) {
	s.addWaiter()
	defer s.removeWaiter()
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	_ = s.wait(ctx, r) // afterwards the caller takes the current session
}

// snapshot is one session as all callers share it. It never changes.
type snapshot struct {
	issued time.Time     // when its request left; carries the monotonic clock
	wall   int64         // the same on the wall clock, in ns
	life   time.Duration // from issued on; 0: keys without an expiry, good for one use
	due    time.Duration // from issued on

	creds  aws.Credentials // Expires on the local clock
	caller string          // ARN of the session, from the response; empty if the source does not report it
	took   time.Duration   // of the exchange that created it
}

// phase says what a caller has to do with a session of this age.
type phase int

const (
	fresh    phase = iota // return it
	due                   // return it, and renew it in the background
	expiring              // wait a moment for a renewal, then return it
	expired               // wait for a new one
)

const (
	expiringWait = 2 * time.Second  // how long a caller waits for a renewal while the session is valid
	expiringMost = 10 * time.Second // a session expires this soon, or within a twentieth of its life if that is less
	clockJump    = 60 * time.Second // wall clock ahead of monotonic: the machine slept, or the clock was set
	dateIsFloor  = time.Second      // Date has whole seconds: the server's clock may be ahead by this much
)

// phaseAt returns the phase at two ages of the session: one on the monotonic clock,
// which setting the wall clock does not change, and one on the wall clock, which
// continues while the machine sleeps.
func (s *snapshot) phaseAt(age, wallAge time.Duration) phase {
	switch {
	case s == nil || age >= s.life:
		return expired
	case age >= s.life-min(expiringMost, s.life/20), wallAge-age > clockJump:
		return expiring
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

// left returns how much longer the session is valid.
func (s *snapshot) left(now time.Time) time.Duration {
	if s == nil {
		return 0
	}
	return s.life - now.Sub(s.issued)
}

// sameKeys reports whether s holds the same keys without an expiry as other: a
// provider of long-lived keys is called at each refresh of the next hop.
func (s *snapshot) sameKeys(other *snapshot) bool {
	return other != nil && !s.creds.CanExpire && s.creds == other.creds
}

// newSnapshot makes the snapshot of a new session. Its life is measured on the
// server's clock and counted from the moment the request left, so that a wrong local
// clock neither prolongs nor shortens it.
func newSnapshot(creds aws.Credentials, att *attempt, window time.Duration, first bool, random func() float64) *snapshot {
	s := &snapshot{creds: creds, caller: att.AssumedARN, issued: att.SentAt, wall: att.SentAt.UnixNano(), took: att.Took}
	if !creds.CanExpire {
		if s.life = att.keepFor; s.life == 0 {
			return s
		}
	} else {
		now := att.SentAt.Round(0)
		if !att.Date.IsZero() {
			now = att.Date.Add(dateIsFloor)
		}
		s.life = creds.Expires.Sub(now)
		s.creds.Expires = att.SentAt.Round(0).Add(s.life)
	}
	s.due = dueAfter(s.life, window, first, random)
	return s
}

// dueAfter returns the age at which a session of this life becomes due: a random point
// in the first half of its window, so that pods that refreshed together once do not do
// so forever. A chain's first session becomes due at a random point of nearly its
// complete life, so that a fleet that started within one minute spreads out immediately.
func dueAfter(life, window time.Duration, first bool, random func() float64) time.Duration {
	from, to := life/16, life-life/8
	if !first {
		w := windowOf(life, window)
		from, to = life-w, life-w/2
	}
	return from + time.Duration(random()*float64(to-from))
}

// windowOf returns how long before it expires a session counts as due.
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
