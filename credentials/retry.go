package credentials

// The attempts of one refresh: which region each one asks, how long it may take, and
// whether to retry. classify.go has the retry table.

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"
)

// tries are the attempts of one refresh. Attempts that get no usable response ask one
// region after the other (a pass). A chain's first session is patient: it makes another
// pass after a pause. So does, a few times, the refresh of a session that expired while
// nothing asked for it. A refresh that follows a failure makes one pass.
type tries struct {
	s       *session
	patient bool       // the chain's first session
	noRetry bool       // the refresh follows a failure, so it is a retry itself
	route   stsRegions // that this pass has not asked yet, the next one first; nil: a new pass

	count    int // attempts
	answered int // attempts with a response
	pauses   int
	failures []*Error // the last one at each endpoint without a usable response

	refused      []byte // the token function's token that STS refused as expired; nil: none
	refusedError *Error
}

// newTries returns the attempts of a refresh that starts now.
func newTries(s *session) *tries {
	if c := s.chain; s.facts.retryDenied > 0 && c.firstAttempt.Load() == nil {
		c.firstAttempt.CompareAndSwap(nil, new(time.Now()))
	}
	previous := s.failed.Load()
	t := &tries{s: s, noRetry: previous != nil && !previous.fromParent}
	t.patient = !t.noRetry && !s.everSucceeded()
	return t
}

// region returns the region of the next attempt.
func (t *tries) region() *stsRegion {
	if t.route == nil {
		t.route = t.s.facts.sts.route(t.s.account())
	}
	return t.route[0]
}

// share returns how long the next attempt may take: a third of the refresh's time, or less
// if that would leave too little for the regions that follow.
func (t *tries) share(ctx context.Context) time.Duration {
	most := t.s.chain.timeout / 3
	if deadline, ok := ctx.Deadline(); ok && t.s.regional() && len(t.route) > 1 {
		most = min(most, time.Until(deadline)/time.Duration(len(t.route)))
	}
	return most
}

// again reports whether another attempt follows one that failed with e, of class c. It
// sleeps as long as the class wants.
func (t *tries) again(ctx context.Context, att *attempt, c class, e *Error) bool {
	s := t.s
	unanswered := c.kind == STSUnreachable && (att.Status == 0 || att.Status >= 500) || c.kind == RefreshTimeout
	if ctx.Err() != nil {
		if unanswered {
			t.note(e)
		}
		return false
	}
	disabled := s.regional() && att.region != s.facts.sts.own() &&
		(e.Code == "RegionDisabledException" || c.kind == RegionNotEnabled && !att.region.hasWorked())
	switch {
	case unanswered || disabled:
		t.note(e)
		if s.regional() {
			if e.Code == "RegionDisabledException" {
				att.region.disable(s.account())
			} else {
				att.region.failed()
			}
			if len(t.route) > 1 {
				t.route = t.route[1:]
				return true
			}
		}
		if disabled { // and all regions before it did not respond
			c = class{STSUnreachable, retryBackoff}
		}
		t.route = nil
		return t.retry(ctx, att, c, e)
	case s.regional() && att.Status != 0:
		att.region.responded(false)
	}
	t.answered++
	return t.retry(ctx, att, c, e) || s.mayBeRecent(e) && t.sleep(ctx, backoffBase, backoffCap, e)
}

// retry sleeps as the class's retry rule says and reports whether to make another attempt.
func (t *tries) retry(ctx context.Context, att *attempt, c class, e *Error) bool {
	s := t.s
	switch c.retry {
	case retryIfTokenChanged:
		if s.tokenFile == "" { // the next attempt calls the token function
			t.refused, t.refusedError = att.raw, e
			return t.count == 1
		}
		raw, _, failure := readToken(ctx, s.tokenFile)
		return t.answered == 1 && failure == nil && string(raw) != string(att.raw)
	case retryIfParentRenewed:
		if t.answered > 1 || s.parent == nil {
			return false
		}
		refused := att.signedBy.creds.AccessKeyID
		if !s.parent.discardRefused(refused) || t.noRetry {
			return false // the next refresh takes the new one
		}
		latest, err := s.parentSession(ctx)
		return err != nil || latest.creds.AccessKeyID != refused
	case retryOnce:
		return t.answered == 1 && !t.noRetry
	case retryIfFirst:
		return t.patient && t.sleep(ctx, backoffBase, backoffCap, e)
	case retryBackoff:
		if t.patient {
			return t.sleep(ctx, backoffBase, backoffCap, e)
		}
		// If the session expired unused, callers wait for this refresh: a lost connection
		// must not fail them. Later refreshes follow a failure.
		waited := s.current.Load().phase(time.Now()) == expired
		return waited && !t.noRetry && t.pauses < backoffAttempts-1 && t.sleep(ctx, backoffBase, backoffCap, e)
	case retryUntilDeadline:
		return !t.noRetry && t.sleep(ctx, throttledBase, throttledCap, e)
	}
	return false
}

// refusedBefore returns the error of the attempt at which STS refused the same token as
// expired, or nil: the token function returned it again.
func (t *tries) refusedBefore(raw []byte) *Error {
	if t == nil || t.refused == nil || !bytes.Equal(raw, t.refused) {
		return nil
	}
	again := *t.refusedError
	again.Fixes = nil // added again
	return &again
}

// sleep sleeps for a random part of base, doubled for each earlier pause, at most limit,
// and at least as long as the response asks for, up to noSessionCap. Shortly before the
// refresh's deadline it sleeps for half of what is left, so that the last attempt is a late
// one. It returns false immediately if there is no time for another attempt.
func (t *tries) sleep(ctx context.Context, base, limit time.Duration, e *Error) bool {
	d := time.Duration(t.s.chain.random() * float64(doubled(base, t.pauses, limit)))
	asked := min(e.retryAfter, noSessionCap)
	if d < asked {
		d = asked + time.Duration(t.s.chain.random()*float64(asked/8)) // keeps pods apart
	}
	if deadline, ok := ctx.Deadline(); ok {
		switch left := time.Until(deadline); {
		case d < left:
		case left <= backoffBase, left <= asked:
			return false
		default:
			d = max(left/2, asked)
		}
	}
	t.pauses++
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// note keeps the failure at an endpoint that gave no usable response. Of an attempt that
// the refresh's deadline cut off, an earlier failure there says more.
func (t *tries) note(e *Error) {
	i := slices.IndexFunc(t.failures, func(other *Error) bool { return other.Endpoint == e.Endpoint })
	switch {
	case i < 0:
		t.failures = append(t.failures, e)
	case e.Kind != RefreshTimeout || t.failures[i].Kind == RefreshTimeout:
		t.failures[i] = e
	}
}

// result returns the error of a refresh whose last attempt failed with last. If no region
// gave a usable response, it names every endpoint that was asked.
func (t *tries) result(last *Error) *Error {
	if !slices.ContainsFunc(t.failures, func(e *Error) bool {
		return e.Endpoint == last.Endpoint && (e.Kind == last.Kind || last.Kind == RefreshTimeout)
	}) {
		return last
	}
	main := slices.IndexFunc(t.failures, func(e *Error) bool { return e.Kind == STSUnreachable })
	first := t.failures[max(main, 0)]
	e := *first // callers that stopped waiting may have first itself
	e.Attempts, e.also = t.count, nil
	for _, other := range t.failures {
		if other != first && other.Endpoint != "" {
			e.also = append(e.also, fmt.Sprintf("%s (%s)", other.Endpoint, other.brief()))
		}
	}
	return &e
}

// brief returns the reason of a failure in a few words.
func (e *Error) brief() string {
	if e.Code != "" {
		return shorten(oneLine(e.Code), 80)
	}
	if e.Err != nil && e.Kind != RefreshTimeout {
		return shorten(oneLine(e.Err.Error()), 120)
	}
	return "no response in time"
}
