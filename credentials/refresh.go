package credentials

// How a refresh works
//
// session.join (session.go) calls startRefresh under the session's lock. That starts a
// goroutine and a budget, the refresh's own deadline, which no caller's context
// shortens:
//
//	startRefresh → makeAttempts → tries.region    which STS to ask (retry.go, regions.go)
//	                            → parentSession   session of the previous hop, to sign with
//	                            → try → queue     wait for the pool's limiter, if there is one
//	                                  → exchange  one request (exchange.go)
//	                                  → accept    is the response a usable session of this role?
//	                            → tries.again     by the class of the error (classify.go); sleeps
//	             → finishRefresh                  once: by the goroutine, or by the budget if it hangs
//
// finishRefresh stores the session or the failure, queues events and log lines, and
// closes done, which releases the waiters. A later result of the goroutine is discarded.
//
// A failure is remembered (remember). Until its backoff is over, backingOff returns
// the same error to all callers without a request; a change of the token file ends
// the backoff early. A refresh that follows a failure asks each region once. A failure
// of the previous hop is remembered there, and its backoff applies here.
//
// Locks: the session's mu guards the change of inflight, current and failed. The
// fields of a refresh are written before done is closed and read after, except host and
// last, which are atomic. budget.mu guards the budget's deadline.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crossrole/crossrole/credentials/internal/limiter"
	"github.com/crossrole/crossrole/credentials/internal/stsclient"
	"github.com/crossrole/crossrole/internal/redact"
)

// refresh is one refresh in flight. Its result (snap, err and the flags) is set before done
// is closed and never changes afterwards.
type refresh struct {
	done       chan struct{} // closed when the refresh has finished
	snap       *snapshot
	err        error
	fromParent bool // err is the previous hop's
	unchanged  bool // snap holds the same keys without an expiry as the previous session
	abandoned  bool // all waiters left before a request was sent

	budget *budget
	host   atomic.Pointer[string] // of the last request; nil: none was sent
	last   atomic.Pointer[Error]  // of the last attempt that failed; nil: none has
}

// endpoint returns the host of the last request; empty: none was sent.
func (r *refresh) endpoint() string { return stringAt(&r.host) }

func stringAt(p *atomic.Pointer[string]) string {
	if s := p.Load(); s != nil {
		return *s
	}
	return ""
}

// startRefresh starts a refresh. The caller holds s.mu. The refresh keeps the values of
// the first caller's context but not its deadline: a caller that stops waiting must not
// fail the others.
func (s *session) startRefresh(ctx context.Context) *refresh {
	r := &refresh{done: make(chan struct{})}
	r.budget = newBudget(ctx, s.chain.timeout, func() { s.finishRefresh(r, nil, nil, s.timeoutError()) })
	s.inflight.Store(r)
	s.chain.notify.refreshes.Add(1)
	go func() {
		// User code may end this goroutine with runtime.Goexit, as testing.T.FailNow does.
		err := s.newError(&attempt{operation: "refresh"}, Unknown, errExited, 1)
		var snap *snapshot
		var att *attempt
		defer func() {
			s.finishRefresh(r, snap, att, err)
			s.chain.notify.release()
		}()
		snap, att, err = s.makeAttempts(r.budget, r)
	}()
	return r
}

var errExited = errors.New("the provider or the HTTP client ended the goroutine of the refresh (runtime.Goexit)")

// finishRefresh ends a refresh, once: a result that arrives after the budget has ended it
// is discarded.
func (s *session) finishRefresh(r *refresh, snap *snapshot, att *attempt, err *Error) {
	s.mu.Lock()
	if s.inflight.Load() != r {
		s.mu.Unlock()
		return
	}
	previous := s.failed.Load()
	if err == nil {
		r.snap, r.unchanged = snap, snap.sameKeys(s.current.Load())
		if key := snap.creds.AccessKeyID; !slices.Contains(s.recentKeys[:], key) {
			s.recentKeys[s.successes%len(s.recentKeys)] = key
		}
		s.successes++
		s.current.Store(snap)
		s.failed.Store(nil)
	} else if r.err, r.abandoned = err, err == errAbandoned; !r.abandoned {
		r.err, r.fromParent = s.remember(previous, err), err.Hop != s.n
	}
	s.inflight.Store(nil)
	s.mu.Unlock()
	if err == nil {
		s.observe(att)
		if s.parent != nil {
			s.parent.accepted(att.signedBy)
		}
	}
	// Events are queued before the waiters continue, so that a hop's events precede those
	// of the next hop, which is a waiter. They are delivered afterwards.
	s.chain.notify.enqueue(r.events(s, previous)...)
	r.log(s, previous)

	r.budget.stop()
	// If chains of a pool wait for this hop, their refreshes release its events when they
	// finish.
	awaited := s.chain.shared && s.waiting.Load() > 0
	close(r.done)
	if s.chain.notify.refreshes.Add(-1); !awaited {
		s.chain.notify.release()
	}
}

// remember stores a failure and returns it with its NextAttempt. The caller holds
// s.mu. A failure of the previous hop is remembered there and only marked here.
func (s *session) remember(previous *failure, err *Error) *Error {
	now := time.Now()
	f := &failure{consecutive: 1, since: now}
	if previous != nil {
		f.since, f.reported = previous.since, previous.reported
	}
	if previous != nil && !previous.fromParent {
		f.consecutive = previous.consecutive + 1
	}
	if err.Hop != s.n {
		f.fromParent, f.err = true, err
		s.failed.Store(f)
		return err
	}
	f.tokenStamp, f.reported = s.tokenStamp, true
	left := time.Duration(0)
	if snap := s.current.Load(); snap != nil {
		left = snap.left(now)
	}
	f.next = now.Add(s.backoffFor(err, f.consecutive, left))
	dated := *err
	dated.NextAttempt = f.next
	f.err = &dated
	s.failed.Store(f)
	return f.err
}

// timeoutError returns the error of a refresh that did not return in time. If it was
// waiting for a previous hop, the error names that hop; if that hop's refresh timed out
// at the same moment, its own, more precise error is returned.
func (s *session) timeoutError() *Error {
	slow, now := s, time.Now()
	for slow.parent != nil && slow.parent.inflight.Load() != nil {
		slow = slow.parent
	}
	if p := slow.parent; p != nil && p.current.Load().phase(now) == expired {
		if f := p.backingOff(now, false); f != nil {
			return f.err
		}
	}
	e := &Error{
		Hop: slow.n, hops: s.facts.hops, Kind: RefreshTimeout, RoleARN: slow.role,
		Operation: "refresh", Err: context.DeadlineExceeded,
		Fixes: []string{timeoutFix},
	}
	if r := slow.inflight.Load(); r != nil && r.endpoint() != "" {
		e.Endpoint = r.endpoint()
		e.Err = fmt.Errorf("no response within %v: %w", s.chain.timeout, context.DeadlineExceeded)
	}
	return e
}

// events returns the events of a finished refresh: none if the previous hop failed, which
// reports its own failure.
func (r *refresh) events(s *session, previous *failure) []Event {
	e := Event{Hop: s.n, RoleARN: s.role, Err: r.err, Endpoint: r.endpoint()}
	switch {
	case r.err != nil && r.fromParent, r.abandoned:
		return nil
	case r.err != nil:
		e.Type = RefreshFailed
		if failed, ok := errors.AsType[*Error](r.err); ok {
			e.Duration = failed.took
		}
		if snap := s.current.Load(); snap != nil {
			e.Expires = snap.creds.Expires
		}
		return []Event{e}
	}
	recovered := previous != nil && previous.reported
	if r.unchanged && !recovered {
		return nil
	}
	e.Type, e.Expires, e.Duration = Refreshed, r.snap.creds.Expires, r.snap.took
	if !recovered {
		return []Event{e}
	}
	recovery := e
	recovery.Type, recovery.Duration = Recovered, 0
	return []Event{e, recovery}
}

// log logs a success, and the first of consecutive failures.
func (r *refresh) log(s *session, previous *failure) {
	reported := previous != nil && previous.reported
	switch {
	case r.err == nil && (reported || !r.unchanged):
		s.chain.notify.info("session renewed", "hop", s.n, "role", s.role, "caller", r.snap.caller, "endpoint", r.endpoint(), "expires", r.snap.creds.Expires)
	case r.err != nil && !r.fromParent && !r.abandoned && !reported:
		s.chain.notify.warn("refresh failed", "error", r.err)
	}
}

// makeAttempts makes the attempts of one refresh and retries by the retry table.
func (s *session) makeAttempts(ctx context.Context, r *refresh) (snap *snapshot, att *attempt, failed *Error) {
	defer func() {
		if v := recover(); v != nil {
			failed = s.panicError(v)
		}
	}()
	t := newTries(s)
	for {
		att = &attempt{tries: t, Trace: stsclient.Trace{SentAt: time.Now(), OnSend: func(host string) {
			r.host.Store(&host)
			s.host.Store(&host)
			if s.regional() {
				s.asked.Store(att.region)
			}
		}}}
		s.stampToken()
		if s.parent != nil {
			var err error
			if att.signedBy, err = s.parentSession(ctx); err != nil {
				return nil, att, s.parentFailure(err)
			}
		}
		snap, c, err := s.try(ctx, att)
		if err == nil {
			att.region.responded(true)
			return snap, att, nil
		}
		if errors.Is(err, limiter.ErrCanceled) {
			return nil, att, errAbandoned
		}
		if ended := ctx.Err(); ended != nil {
			c = class{RefreshTimeout, retryNever}
			if errors.Is(err, context.Canceled) {
				err = ended // a context derived from a budget reports Canceled
			}
		}
		t.count++
		e := s.newError(att, c.kind, err, t.count)
		r.last.Store(e)
		if !t.again(ctx, att, c, e) {
			return nil, att, t.result(e)
		}
	}
}

// parentSession returns the session of the previous hop. In a pool, that hop may have to
// queue and has its own budget, so this one is paused meanwhile.
func (s *session) parentSession(ctx context.Context) (*snapshot, error) {
	if b, ok := ctx.(*budget); ok && s.chain.limiter != nil {
		defer b.pause()()
	}
	return s.parent.retrieve(ctx)
}

// parentFailure returns the error of a refresh that got err instead of the previous hop's
// session. If this refresh's deadline has passed, that of the previous hop's refresh has
// passed, too, or is about to: parentFailure waits a little for its result, which names
// every endpoint and the time of the next attempt.
func (s *session) parentFailure(err error) *Error {
	if failed, ok := err.(*Error); ok { //nolint:errorlint // never wrapped; errors.As finds one in a waitError, too
		return failed
	}
	if r := s.parent.inflight.Load(); r != nil {
		// A margin later the budget ends this refresh.
		limit := time.NewTimer(marginOf(s.chain.timeout))
		defer limit.Stop()
		select {
		case <-r.done:
		case <-limit.C:
		}
	}
	return s.timeoutError()
}

// errAbandoned ends a refresh that was still in the pool's queue when its last waiter
// left. It is not a failure.
var errAbandoned = &Error{Kind: Unknown, Err: limiter.ErrCanceled}

// Priority implements [limiter.Waiter].
func (s *session) Priority() limiter.Priority {
	switch {
	case s.chain.shared:
		return limiter.Shared
	case s.waiting.Load() == 0:
		return limiter.Background
	case s.everSucceeded():
		return limiter.Returning
	}
	return limiter.FirstUse
}

// Wanted implements [limiter.Waiter]: no request is sent for a first session that all
// callers have stopped waiting for.
func (s *session) Wanted() bool {
	return s.chain.shared || s.waiting.Load() > 0 || s.everSucceeded()
}

// everSucceeded reports whether the hop ever had a session.
func (s *session) everSucceeded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.successes > 0
}

// panicError turns a panic of user code (a provider, an HTTP client, an option function)
// into an error, because the user could not recover it in this goroutine. The panic's value
// may quote a request.
func (s *session) panicError(v any) *Error {
	text := withoutKeys(fmt.Sprint(v), redact.New())
	s.chain.notify.warn("panic in a refresh", "panic", text, "stack", string(debug.Stack()))
	return s.newError(&attempt{operation: "refresh"}, Unknown, errors.New("panic: "+text), 1)
}

// try makes one exchange, with its own deadline, and classifies the failure.
func (s *session) try(ctx context.Context, att *attempt) (*snapshot, class, error) {
	release, err := s.queue(ctx, att)
	if err != nil {
		return nil, class{RefreshTimeout, retryNever}, err
	}
	if att.tries != nil { // chosen late: others may have learned something meanwhile
		att.region, att.timeout = att.tries.region(), att.tries.share(ctx)
	}
	ctx, cancel := context.WithTimeout(stsclient.WithTrace(ctx, &att.Trace), att.timeout)
	defer cancel()
	// Free the limiter's slot at the deadline, even if the client hangs.
	stop := context.AfterFunc(ctx, release)
	defer func() { stop(); release() }()
	creds, err := s.exchange(ctx, att)
	if err == nil {
		var snap *snapshot
		if snap, err = s.accept(creds, att); err == nil {
			return snap, class{}, nil
		}
		return nil, class{WrongSession, retryNever}, err
	}
	if own, ok := errors.AsType[*Error](err); ok && own.Operation == callTokenFunction {
		c := class{own.Kind, retryNever}
		if errors.Is(own, fs.ErrNotExist) {
			c.retry = retryIfFirst
		}
		return nil, c, err // it may wrap anything
	}
	err = unwrapRetry(err)
	if ctx.Err() != nil {
		return nil, class{RefreshTimeout, retryBackoff}, err
	}
	if own, ok := errors.AsType[*Error](err); ok {
		if own.Kind == TokenUnreadable && errors.Is(own, fs.ErrNotExist) {
			return nil, class{own.Kind, retryIfFirst}, err
		}
		return nil, class{own.Kind, retryNever}, err
	}
	c := classify(err, att, s.web)
	switch {
	case c.kind == TokenExpired && s.parent != nil: // of the previous hop's session, not of a token
		c = class{CredentialsExpired, retryIfParentRenewed}
	case c.kind == RegionNotEnabled && c.retry == retryIfParentRenewed && att.signedBy != nil && att.signedBy.creds.SessionToken == "":
		c.kind = Unknown // a long-lived key: more likely mistyped or deleted
	}
	return nil, c, err
}

// queue waits for the pool's limiter, if there is one, while the refresh's budget is
// paused. Afterwards the attempt signs with the previous hop's latest session.
func (s *session) queue(ctx context.Context, att *attempt) (release func(), err error) {
	if s.chain.limiter == nil {
		return func() {}, nil
	}
	b, ok := ctx.(*budget)
	if !ok { // a check, which is no refresh
		return s.chain.limiter.Acquire(ctx, s)
	}
	defer b.pause()()
	release, err = s.chain.limiter.Acquire(ctx, s)
	if s.parent != nil {
		if latest := s.parent.current.Load(); latest.phase(time.Now()) != expired {
			att.signedBy = latest
		}
	}
	return release, err
}

// budget is the context of a refresh: a deadline whose clock is stopped while the refresh
// waits in a pool's queue.
type budget struct {
	context.Context // canceled at the deadline
	cancel          context.CancelCauseFunc

	margin       time.Duration
	cancelTimer  *time.Timer // cancels the attempts at the deadline
	abandonTimer *time.Timer // ends the refresh a margin later, if they have not returned

	mu       sync.Mutex // guards what follows
	deadline time.Time
}

// newBudget returns a budget with the values of ctx but not its deadline. The attempts get
// a little less than timeout, so that their own, more precise error comes before abandon
// is called.
func newBudget(ctx context.Context, timeout time.Duration, abandon func()) *budget {
	b := &budget{margin: marginOf(timeout)}
	b.deadline = time.Now().Add(timeout - b.margin)
	b.Context, b.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	b.cancelTimer = time.AfterFunc(timeout-b.margin, func() { b.cancel(context.DeadlineExceeded) })
	b.abandonTimer = time.AfterFunc(timeout, abandon)
	return b
}

// marginOf returns the time between a budget's deadline and the end of the refresh.
func marginOf(timeout time.Duration) time.Duration { return timeout / 50 }

// Deadline returns the deadline, which moves when the budget is paused.
func (b *budget) Deadline() (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.deadline, true
}

// Err returns context.DeadlineExceeded once the deadline has passed.
func (b *budget) Err() error {
	if b.Context.Err() == nil {
		return nil
	}
	return context.Cause(b.Context)
}

// pause stops the clock until resume is called. Both are called by the refresh's own
// goroutine, the only one that changes the deadline.
func (b *budget) pause() (resume func()) {
	left := time.Until(b.deadline)
	if !b.cancelTimer.Stop() || !b.abandonTimer.Stop() {
		return func() {} // the deadline has passed
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.deadline = time.Now().Add(left)
		b.cancelTimer.Reset(left)
		b.abandonTimer.Reset(left + b.margin)
	}
}

// stop releases the timers and the context.
func (b *budget) stop() {
	b.cancelTimer.Stop()
	b.abandonTimer.Stop()
	b.cancel(context.Canceled)
}

// recentDenials lists the kinds of denials that are likely while a change of IAM has not
// reached STS; the code InvalidClientTokenId is another.
var recentDenials = []Kind{TrustDenied, AssumeDenied, OIDCProviderMissing}

// mayBeRecent reports whether e is a denial that is retried: Refresh.RetryDenied is not
// over, so a change of IAM may not have reached STS.
func (s *session) mayBeRecent(e *Error) bool {
	started := s.chain.firstAttempt.Load()
	return started != nil && time.Since(*started) < s.facts.retryDenied &&
		(slices.Contains(recentDenials, e.Kind) || e.Code == "InvalidClientTokenId")
}

// failure is what a session remembers of the refreshes that failed since the last
// success. It never changes; the next failure replaces it.
type failure struct {
	err         *Error
	consecutive int       // failed refreshes in a row
	since       time.Time // the first of them
	next        time.Time // no attempt before then; zero: the previous hop's applies
	tokenStamp  fileStamp // of the token file before the refresh read it
	fromParent  bool      // the previous hop failed; its backoff applies, not ours
	reported    bool      // one of these failures was sent as RefreshFailed
}

// A pool backs off longer from a role that denies access: among many targets some always
// do, and their requests would delay the others'.
const (
	deniedBase = 30 * time.Second
	deniedCap  = 15 * time.Minute
)

// lastingKinds are the kinds of failure that last until a person changes something.
var lastingKinds = map[Kind]bool{AssumeDenied: true, DurationTooLong: true, TagsTooLarge: true, ConfigInvalid: true}

// noSessionCap limits the pause while there is no valid session, so that the chain works
// again within 20 seconds after an outage.
const noSessionCap = 20 * time.Second

// backoffFor returns the backoff after the n-th consecutive failure. left is how long the
// current session is still valid; zero or less: it is not.
func (s *session) backoffFor(e *Error, n int, left time.Duration) time.Duration {
	c := s.chain
	if c.deniedCap > 0 && lastingKinds[e.Kind] && !s.mayBeRecent(e) {
		return backoff(deniedBase, n, c.deniedCap, left, c.random)
	}
	limit := c.failureCap
	if left <= 0 {
		limit = min(limit, noSessionCap)
	}
	if e.retryAfter > 0 {
		return backoff(max(e.retryAfter+e.retryAfter/4, doubled(time.Second, n-1, limit)), 1, limit, left, c.random)
	}
	return backoff(time.Second, n, limit, left, c.random)
}

// backoff returns the pause after the n-th consecutive failure: base, doubled for each
// further failure, at most limit, less up to a random fifth that keeps pods apart. If a
// session is still valid for left, the pause is no longer than that.
func backoff(base time.Duration, n int, limit, left time.Duration, random func() float64) time.Duration {
	pause := doubled(base, n-1, limit)
	pause -= time.Duration(float64(pause/5) * (1 - random()))
	if left > 0 {
		pause = min(pause, left)
	}
	return pause
}

// doubled returns d doubled n times, at most limit, without overflow.
func doubled(d time.Duration, n int, limit time.Duration) time.Duration {
	for ; n > 0 && d < limit; n-- {
		if d > limit/2 {
			return limit
		}
		d *= 2
	}
	return min(d, limit)
}

// stampToken records the state of the token file before it is read: a token written
// between the read and the failure has not been tried.
func (s *session) stampToken() {
	if s.tokenFile == "" {
		return
	}
	stamp := stampFile(s.tokenFile)
	s.mu.Lock()
	s.tokenStamp = stamp
	s.mu.Unlock()
}

// backingOff returns the failure whose backoff is not over, or nil. If stat is set, it also
// checks the token file: a change since the failure ends the backoff.
func (s *session) backingOff(now time.Time, stat bool) *failure {
	f := s.failed.Load()
	switch {
	case f == nil:
		return nil
	case f.fromParent:
		if s.parent.current.Load().phase(now) != expired {
			return nil
		}
		return s.parent.backingOff(now, stat)
	case !now.Before(f.next), stat && s.tokenFile != "" && !stampFile(s.tokenFile).equal(f.tokenStamp):
		return nil
	}
	return f
}
