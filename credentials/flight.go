package credentials

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
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
	s.chain.flights.Add(1)
	go func() {
		// User code may end this goroutine, as testing.T.FailNow does.
		err := s.failure(&record{operation: "refresh"}, verdict{kind: Unknown}, errExited, 1)
		var snap *snapshot
		var rec *record
		defer func() {
			s.land(f, snap, rec, err)
			s.chain.release()
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
		f.err, f.carried = s.remember(before, err), err.Hop != s.hop
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
	s.chain.post(f.events(s, before)...)
	f.log(s, before)

	f.budget.stop()
	// The next hops of a pool's chains that wait for this one release what it
	// reports, as those of one chain do.
	awaited := s.chain.more > 0 && s.waiting.Load() > 0
	close(f.done)
	if s.chain.flights.Add(-1); !awaited {
		s.chain.release()
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
	if err.Hop != s.hop {
		f.carried, f.err = true, err
		s.failed.Store(f)
		return err
	}
	f.mark, f.told = s.mark, true
	left := time.Duration(0)
	if snap := s.current.Load(); snap != nil {
		left = snap.left(now)
	}
	f.next = now.Add(s.chain.pauseFor(err.Kind, f.streak, left))
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
		Hop: late.hop, hops: s.chain.length(), Kind: RefreshTimeout, RoleARN: late.role,
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
	e := Event{Hop: s.hop, RoleARN: s.role, Err: f.err, Endpoint: f.asked()}
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
		s.chain.info("session renewed", "hop", s.hop, "role", s.role, "caller", f.snap.caller, "expires", f.snap.creds.Expires)
	case f.err != nil && !f.carried && !f.unwanted && !told:
		s.chain.warn("refresh failed", "error", f.err)
	}
}
