package credentials

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/crossrole/crossrole/credentials/internal/limiter"
)

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
	s.chain.warn("panic in a refresh", "panic", text, "stack", string(debug.Stack()))
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
