package credentials

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crossrole/crossrole/credentials/internal/limiter"
)

// flight is one refresh under way. done is closed when it has landed; snap and
// err are set before that and never changed.
type flight struct {
	done    chan struct{}
	snap    *snapshot
	err     error
	carried bool // err is the hop before's
	same    bool // snap holds the keys without an end that were there before

	unwanted bool // all who waited have left, and nothing was asked
	budget   *budget

	host atomic.Pointer[string] // that was asked last; nil: none
}

// asked returns the host that the flight asked last; empty: none.
func (f *flight) asked() string {
	if host := f.host.Load(); host != nil {
		return *host
	}
	return ""
}

// takeOff starts a flight; s.mu is held. Its context keeps the values of the
// first caller's and none of its deadlines: no caller's impatience may fail the
// others.
func (s *session) takeOff(ctx context.Context) *flight {
	f := &flight{done: make(chan struct{})}
	f.budget = newBudget(ctx, s.chain.timeout, func() { s.land(f, nil, nil, s.timedOut()) })
	s.flying.Store(f)
	s.chain.notify.refreshes.Add(1)
	go func() {
		// User code may end this goroutine, as testing.T.FailNow does.
		err := s.failure(&record{operation: "refresh"}, verdict{kind: Unknown}, errExited, 1)
		var snap *snapshot
		var rec *record
		defer func() {
			s.land(f, snap, rec, err)
			s.chain.notify.release()
		}()
		snap, rec, err = s.refresh(f.budget, f)
	}()
	return f
}

var errExited = errors.New("the provider or the HTTP client ended the goroutine of the refresh (runtime.Goexit)")

// land ends a flight, once: whatever an abandoned one still brings is dropped.
func (s *session) land(f *flight, snap *snapshot, rec *record, err *Error) {
	s.mu.Lock()
	if s.flying.Load() != f {
		s.mu.Unlock()
		return
	}
	before := s.failed.Load()
	if err == nil {
		f.snap, f.same = snap, snap.sameKeys(s.current.Load())
		if key := snap.creds.AccessKeyID; !slices.Contains(s.keys[:], key) {
			s.keys[s.grants%len(s.keys)] = key
		}
		s.grants++
		s.current.Store(snap)
		s.failed.Store(nil)
	} else if f.err, f.unwanted = err, err == errUnwanted; !f.unwanted {
		f.err, f.carried = s.remember(before, err), err.Hop != s.n
	}
	s.flying.Store(nil)
	s.mu.Unlock()
	if err == nil {
		s.learn(rec)
		if s.parent != nil {
			s.parent.accepted(rec.from)
		}
	}
	// The events are posted before the waiters are served, so that those of a hop
	// come before those of the next hop, which waits for it; and delivered after.
	s.chain.notify.post(f.events(s, before)...)
	f.log(s, before)

	f.budget.stop()
	// The next hops of a pool's chains that wait for this one release what it
	// reports, as those of one chain do.
	awaited := s.chain.more > 0 && s.waiting.Load() > 0
	close(f.done)
	if s.chain.notify.refreshes.Add(-1); !awaited {
		s.chain.notify.release()
	}
}

// remember notes a failure; s.mu is held. What failed at the hop before is
// remembered there and not a second time.
func (s *session) remember(before *failure, err *Error) *Error {
	now := time.Now()
	f := &failure{streak: 1, since: now}
	if before != nil {
		f.since, f.told = before.since, before.told
	}
	if before != nil && !before.carried {
		f.streak = before.streak + 1
	}
	if err.Hop != s.n {
		f.carried, f.err = true, err
		s.failed.Store(f)
		return err
	}
	f.mark, f.told = s.mark, true
	left := time.Duration(0)
	if snap := s.current.Load(); snap != nil {
		left = snap.left(now)
	}
	f.next = now.Add(s.pauseFor(err.Kind, f.streak, left))
	dated := *err
	dated.NextAttempt = f.next
	f.err = &dated
	s.failed.Store(f)
	return f.err
}

// timedOut is the error of a flight that did not come back. Where it waits for
// the hop before, that is the hop to name; if that one was abandoned in the same
// moment, its error says more.
func (s *session) timedOut() *Error {
	late, now := s, time.Now()
	for late.parent != nil {
		if late.parent.flying.Load() != nil {
			late = late.parent
			continue
		}
		if f := late.parent.holds(now, false); f != nil && late.parent.phaseNow(now) == expired {
			return f.err
		}
		break
	}
	e := &Error{
		Hop: late.n, hops: s.facts.hops, Kind: RefreshTimeout, RoleARN: late.role,
		Operation: "refresh", Err: context.DeadlineExceeded,
		Fixes: []string{timeoutFix},
	}
	if f := late.flying.Load(); f != nil && f.asked() != "" {
		e.Endpoint = f.asked()
		e.Err = fmt.Errorf("no response within %v: %w", s.chain.timeout, context.DeadlineExceeded)
	}
	return e
}

// events are what a flight has to tell; nothing if the hop before failed, which
// has told it.
func (f *flight) events(s *session, before *failure) []Event {
	e := Event{Hop: s.n, RoleARN: s.role, Err: f.err, Endpoint: f.asked()}
	switch {
	case f.err != nil && f.carried, f.unwanted:
		return nil
	case f.err != nil:
		e.Type = RefreshFailed
		if failed, ok := errors.AsType[*Error](f.err); ok {
			e.Duration = failed.took
		}
		if snap := s.current.Load(); snap != nil {
			e.Expires = snap.creds.Expires
		}
		return []Event{e}
	}
	recovered := before != nil && before.told
	if f.same && !recovered {
		return nil
	}
	e.Type, e.Expires, e.Duration = Refreshed, f.snap.creds.Expires, f.snap.took
	if !recovered {
		return []Event{e}
	}
	again := e
	again.Type, again.Duration = Recovered, 0
	return []Event{e, again}
}

// log tells a success, and the first failure of a spell.
func (f *flight) log(s *session, before *failure) {
	told := before != nil && before.told
	switch {
	case f.err == nil && (told || !f.same):
		s.chain.notify.info("session renewed", "hop", s.n, "role", s.role, "caller", f.snap.caller, "expires", f.snap.creds.Expires)
	case f.err != nil && !f.carried && !f.unwanted && !told:
		s.chain.notify.warn("refresh failed", "error", f.err)
	}
}

// refresh makes the attempts of one flight. A first flight retries what the
// table says is worth it; one that follows failures makes one attempt, since
// the pauses between flights do the rest.
func (s *session) refresh(ctx context.Context, f *flight) (snap *snapshot, rec *record, failed *Error) {
	defer func() {
		if v := recover(); v != nil {
			failed = s.panicked(v)
		}
	}()
	before := s.failed.Load()
	single := before != nil && !before.carried
	for n := 1; ; n++ {
		rec = &record{sentAt: time.Now(), sending: func(host string) {
			f.host.Store(&host)
			s.host.Store(&host)
		}}
		s.markToken()
		if s.parent != nil {
			from, err := s.before(ctx)
			if err != nil {
				if inner, ok := errors.AsType[*Error](err); ok {
					return nil, rec, inner
				}
				return nil, rec, s.timedOut()
			}
			rec.from = from
		}
		snap, v, err := s.attempt(ctx, rec)
		if err == nil {
			return snap, rec, nil
		}
		if errors.Is(err, limiter.ErrCanceled) {
			return nil, rec, errUnwanted
		}
		if ended := ctx.Err(); ended != nil {
			v.kind, v.again = RefreshTimeout, never
			if errors.Is(err, context.Canceled) {
				err = ended // what derives from a budget says that it was cancelled
			}
		}
		if !s.worthAnother(ctx, rec, v.again, n, single) {
			return nil, rec, s.failure(rec, v, err, n)
		}
	}
}

// before is the session of the hop before. In a pool that one may have to queue,
// and has a time of its own, so that ours stands still meanwhile.
func (s *session) before(ctx context.Context) (*snapshot, error) {
	if b, ok := ctx.(*budget); ok && s.chain.limiter != nil {
		defer b.pause()()
	}
	return s.parent.retrieve(ctx)
}

// errUnwanted ends a flight that was still in the pool's queue when its last
// waiter left. It is not a failure.
var errUnwanted = &Error{Kind: Unknown, Err: limiter.ErrCanceled}

// Priority implements [limiter.Waiter].
func (s *session) Priority() limiter.Priority {
	switch {
	case s.chain.more > 0:
		return limiter.Shared
	case s.waiting.Load() == 0:
		return limiter.Background
	case s.granted():
		return limiter.Returning
	}
	return limiter.FirstUse
}

// Wanted implements [limiter.Waiter]: a first use that no caller waits for any
// more is not worth a request.
func (s *session) Wanted() bool {
	return s.chain.more > 0 || s.waiting.Load() > 0 || s.granted()
}

// granted reports whether there ever was a session.
func (s *session) granted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grants > 0
}

// panicked makes an error of a panic. A provider, an HTTP client or an option of
// the user's own may panic: that must not end the process from a goroutine it
// never started. What it panics with may quote a request.
func (s *session) panicked(v any) *Error {
	text := withoutKeys(fmt.Sprint(v))
	s.chain.notify.warn("panic in a refresh", "panic", text, "stack", string(debug.Stack()))
	return s.failure(&record{operation: "refresh"}, verdict{kind: Unknown}, errors.New("panic: "+text), 1)
}

// attempt makes one exchange, under a deadline of its own.
func (s *session) attempt(ctx context.Context, rec *record) (*snapshot, verdict, error) {
	release, err := s.queue(ctx, rec)
	if err != nil {
		return nil, verdict{RefreshTimeout, never}, err
	}
	ctx, cancel := context.WithTimeout(withRecord(ctx, rec), s.chain.timeout/3)
	defer cancel()
	// The place is free when the time is over, whatever the client does meanwhile.
	stop := context.AfterFunc(ctx, release)
	defer func() { stop(); release() }()
	creds, err := s.exchange(ctx, rec)
	if err == nil {
		var snap *snapshot
		if snap, err = s.accept(creds, rec); err == nil {
			return snap, verdict{}, nil
		}
		return nil, verdict{WrongSession, never}, err
	}
	err = unwrapRetry(err)
	if ctx.Err() != nil {
		return nil, verdict{RefreshTimeout, later}, err
	}
	if own, ok := errors.AsType[*Error](err); ok {
		return nil, verdict{own.Kind, never}, err
	}
	v := judgeReply(err, rec, s.web)
	switch {
	case v.kind == TokenExpired && s.parent != nil: // the hop before's session, not a token
		v = verdict{CredentialsExpired, ifRenewed}
	case v.kind == RegionNotEnabled && v.again == ifRenewed && rec.from != nil && rec.from.creds.SessionToken == "":
		v.kind = Unknown // a key without an end: mistyped or deleted, more likely
	}
	return nil, v, err
}

// queue waits until the pool's limiter, if there is one, lets the request go. A
// flight's time stands still meanwhile, and by then there may be a newer session
// to sign with.
func (s *session) queue(ctx context.Context, rec *record) (release func(), err error) {
	if s.chain.limiter == nil {
		return func() {}, nil
	}
	b, flying := ctx.(*budget)
	if !flying {
		return s.chain.limiter.Acquire(ctx, s)
	}
	defer b.pause()()
	release, err = s.chain.limiter.Acquire(ctx, s)
	if s.parent != nil {
		if latest := s.parent.current.Load(); latest.phase(time.Now()) != expired {
			rec.from = latest
		}
	}
	return release, err
}

// worthAnother waits as long as the table says before a further attempt, and
// reports whether to make it.
func (s *session) worthAnother(ctx context.Context, rec *record, what again, n int, single bool) bool {
	switch what {
	case ifRotated:
		raw, _, failure := readToken(ctx, s.tokenFile)
		return n == 1 && failure == nil && string(raw) != string(rec.raw)
	case ifRenewed:
		if n > 1 || s.parent == nil {
			return false
		}
		// If another caller was faster, there is a newer session already.
		refused := rec.from.creds.AccessKeyID
		if !s.parent.discard(refused) || single {
			return false // the next flight has the new one
		}
		from, err := s.before(ctx)
		return err != nil || from.creds.AccessKeyID != refused
	case once:
		return n == 1 && !single
	case later:
		return n < laterAttempts && !single && s.pause(ctx, laterBase, laterCap, n)
	case patiently:
		return !single && s.pause(ctx, patientBase, patientCap, n)
	}
	return false
}

// pause sleeps a random part of base·2^(n-1), at most limit. It returns false,
// at once, if the flight would not outlast it.
func (s *session) pause(ctx context.Context, base, limit time.Duration, n int) bool {
	d := time.Duration(s.chain.draw() * float64(doubled(base, n-1, limit)))
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// budget is the context of a flight: it has so much time, which stands still
// while the flight queues at the limiter of a pool.
type budget struct {
	context.Context // done when the time is over
	cancel          context.CancelCauseFunc

	margin time.Duration
	ended  *time.Timer // tells the attempts to end
	late   *time.Timer // abandons them if they don't, a margin later

	mu  sync.Mutex // guards what follows
	end time.Time  // of the attempts
}

// newBudget keeps the values of ctx, and none of its deadlines. The attempts get
// a little less than the whole, so that their own error, which knows more, comes
// before abandon is called.
func newBudget(ctx context.Context, whole time.Duration, abandon func()) *budget {
	b := &budget{margin: whole / 50}
	b.end = time.Now().Add(whole - b.margin)
	b.Context, b.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	b.ended = time.AfterFunc(whole-b.margin, func() { b.cancel(context.DeadlineExceeded) })
	b.late = time.AfterFunc(whole, abandon)
	return b
}

// Deadline moves when the budget stands still.
func (b *budget) Deadline() (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.end, true
}

// Err is context.DeadlineExceeded when the time is over.
func (b *budget) Err() error {
	if b.Context.Err() == nil {
		return nil
	}
	return context.Cause(b.Context)
}

// pause has the time stand still until the returned function is called.
func (b *budget) pause() (resume func()) {
	left := time.Until(b.end)
	if !b.ended.Stop() || !b.late.Stop() {
		return func() {} // it is over
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.end = time.Now().Add(left)
		b.ended.Reset(left)
		b.late.Reset(left + b.margin)
	}
}

// stop lets go of what the budget holds.
func (b *budget) stop() {
	b.ended.Stop()
	b.late.Stop()
	b.cancel(context.Canceled)
}

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
func (s *session) pauseFor(kind Kind, streak int, left time.Duration) time.Duration {
	c := s.chain
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
