package credentials

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Check tries every hop of the chain now, one after the other, and reports who
// we are at each and what to fix where it fails. It asks anew, whatever
// sessions the chain holds, and leaves them as they are; nor does it retry. It
// takes as long as the requests do. If ctx ends first, Check returns at once,
// and the report says that it was cancelled and where: the error of that hop
// holds ctx's own.
func (c *Chain) Check(ctx context.Context) *Report {
	r := &Report{Chain: c.String()}
	path := c.hops[0].tokenFile
	if path != "" {
		// A volume that hangs does not look at ctx.
		t, ok := within(ctx, func() *TokenReport { return c.checkToken(ctx, path) })
		if !ok {
			t = &TokenReport{Path: path, Err: c.hops[0].cancelled(ctx)}
		}
		r.Token = t
	}
	var from *snapshot
	failed := false
	for _, s := range c.hops {
		h := HopReport{Hop: s.hop, RoleARN: s.role, Skipped: failed}
		if !failed {
			started := time.Now()
			p, ok := within(ctx, func() probe { return s.probe(ctx, from) })
			if ok {
				from, h = p.snap, p.report
			}
			if !ok || p.err != nil && ctx.Err() != nil && errors.Is(p.err, RefreshTimeout) {
				h.Latency, h.Err = time.Since(started), s.cancelled(ctx)
			} else if h.Err = p.err; p.err == nil {
				s.learn(p.rec)
			}
			failed = h.Err != nil
		}
		r.Hops = append(r.Hops, h)
	}
	c.release()
	return r
}

// within runs step to its end or to that of ctx, whichever comes first; step may
// then still be under way, and its result is dropped.
func within[T any](ctx context.Context, step func() T) (result T, ok bool) {
	if ctx.Err() != nil {
		return result, false
	}
	done := make(chan T, 1)
	go func() {
		defer close(done) // also if user code ended this goroutine
		done <- step()
	}()
	select {
	case result, ok = <-done:
		return result, ok
	case <-ctx.Done():
		return result, false
	}
}

// errCheckCancelled marks the hop at which a check ended early.
var errCheckCancelled = errors.New("the check was cancelled")

// cancelled is the error of a hop that was not tried to its end.
func (s *session) cancelled(ctx context.Context) *Error {
	err := errExited
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", errCheckCancelled, ctx.Err())
	}
	return &Error{Hop: s.hop, hops: s.chain.length(), Operation: "check", RoleARN: s.role, Kind: Unknown, Err: err}
}

// probe is one attempt at a hop's session.
type probe struct {
	report HopReport
	snap   *snapshot
	rec    *record
	err    *Error
}

func (s *session) probe(ctx context.Context, from *snapshot) (p probe) {
	defer func() {
		if v := recover(); v != nil {
			p.err = s.panicked(v)
		}
	}()
	s.come()
	defer s.leave()
	rec := &record{sentAt: time.Now(), from: from}
	snap, v, err := s.attempt(ctx, rec)
	p = probe{snap: snap, rec: rec, report: HopReport{
		Hop: s.hop, RoleARN: s.role, Operation: rec.operation, Endpoint: rec.endpoint, Latency: time.Since(rec.sentAt),
	}}
	if !rec.date.IsZero() {
		p.report.Skew = skewOf(rec.sentAt, rec.date)
	}
	p.report.Notes = p.report.notes()
	if err != nil {
		p.err = s.failure(rec, v, err, 1)
		return p
	}
	p.report.CallerARN = snap.caller
	if snap.creds.CanExpire {
		p.report.Life = snap.life
	}
	return p
}

// checkToken looks at the token file of hop 1.
func (c *Chain) checkToken(ctx context.Context, path string) *TokenReport {
	t := &TokenReport{Path: path}
	if target, err := filepath.EvalSymlinks(path); err == nil && target != path {
		t.Target = target
	}
	if info, err := os.Stat(path); err == nil {
		t.Mode, t.Modified = info.Mode().String(), info.ModTime()
		t.Owner = strings.TrimPrefix(owner(info), ", owner ")
	}
	w, web := c.source.(WebIdentity)
	if !web {
		return t // the agent's token is its own business
	}
	_, token, failure := readToken(ctx, path)
	if failure != nil {
		t.Err = failure
		return t
	}
	t.Claims = &token
	if left := time.Until(token.Expires); left < 0 {
		t.Notes = append(t.Notes, fmt.Sprintf("by the local clock it expired %v ago", (-left).Round(time.Second)))
	}
	if len(token.Audience) > 1 {
		t.Notes = append(t.Notes, fmt.Sprintf("it has %d audiences; one of them must be a client id of the OIDC provider", len(token.Audience)))
	}
	for _, a := range token.Audience {
		if strings.TrimSpace(a) != a {
			t.Notes = append(t.Notes, fmt.Sprintf("audience %q has white space at its end", a))
		}
	}
	if strings.HasSuffix(token.Issuer, "/") {
		t.Notes = append(t.Notes, fmt.Sprintf("issuer %q ends in a slash, which must stand in the provider's URL too", token.Issuer))
	}
	if failure := c.checkClaims(w, token); failure != nil && failure.Kind != TokenExpired {
		t.Notes = append(t.Notes, failure.Err.Error())
	}
	return t
}

// errorAsJSON is an Error for programs.
type errorAsJSON struct {
	Kind      Kind     `json:"kind"`
	Operation string   `json:"operation,omitempty"`
	Code      string   `json:"code,omitempty"`
	Message   string   `json:"message,omitempty"`
	RequestID string   `json:"request_id,omitempty"`
	Caller    string   `json:"caller,omitempty"`
	Text      string   `json:"text"`
	Fixes     []string `json:"fixes,omitempty"`
}

func (e *Error) json() *errorAsJSON {
	if e == nil {
		return nil
	}
	return &errorAsJSON{e.Kind, e.Operation, e.Code, e.Message, e.RequestID, e.Caller, e.paragraph(), e.Fixes}
}
