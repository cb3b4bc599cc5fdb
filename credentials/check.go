package credentials

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Check tries every hop of the chain now, one after the other, and reports who
// we are at each and what to fix where it fails. It asks anew, whatever
// sessions the chain holds, and leaves them as they are; nor does it retry. It
// takes as long as the requests do, ctx permitting.
func (c *Chain) Check(ctx context.Context) *Report {
	r := &Report{Chain: c.String(), Token: c.checkToken(ctx)}
	var from *snapshot
	failed := false
	for _, s := range c.hops {
		h := HopReport{Hop: s.hop, RoleARN: s.role, Skipped: failed}
		if !failed {
			from = s.probe(ctx, from, &h)
			failed = h.Err != nil
		}
		r.Hops = append(r.Hops, h)
	}
	c.deliver()
	return r
}

// probe makes one attempt at a hop's session, and tells it in h.
func (s *session) probe(ctx context.Context, from *snapshot, h *HopReport) *snapshot {
	started := time.Now()
	rec := &record{sentAt: started, from: from}
	snap, v, err := s.attempt(ctx, rec)
	h.Operation, h.Endpoint, h.Latency = rec.operation, rec.endpoint, time.Since(rec.sentAt)
	if !rec.date.IsZero() {
		h.Skew = rec.sentAt.Round(0).Sub(rec.date)
		if h.Skew.Abs() < 2*time.Second { // Date has whole seconds, and the reply took its time
			h.Skew = 0
		}
	}
	if err != nil {
		h.Err = s.failure(rec, v, err, 1)
		return nil
	}
	h.CallerARN = snap.caller
	if snap.creds.CanExpire {
		h.Life = snap.life
	}
	return snap
}

// checkToken looks at the token file of hop 1.
func (c *Chain) checkToken(ctx context.Context) *TokenReport {
	path := c.hops[0].tokenFile
	if path == "" {
		return nil
	}
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
