package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/crossrole/crossrole/credentials/internal/stsclient"
	"github.com/crossrole/crossrole/trust"
)

// Check tries every hop of the chain now, one after the other, and reports the identity at
// each and what to fix where it fails. It neither uses nor changes the sessions that the
// chain holds, and it does not retry. It takes as long as the requests do. If ctx ends
// first, Check returns immediately, and the report shows at which hop it was cancelled:
// that hop's error wraps ctx's own.
//
// Each hop is tried in every fallback region, too. A hop works if the chain's own region
// gives a session or, where that region does not respond, a fallback region does.
func (c *Chain) Check(ctx context.Context) *Report {
	r := &Report{Chain: c.String()}
	w, _ := c.facts.source.(WebIdentity)
	if path := c.hops[0].tokenFile; path != "" {
		// Reading from a volume that hangs does not return when ctx ends.
		t, ok := within(ctx, func() *TokenReport { return checkToken(ctx, c, path) })
		if !ok {
			t = &TokenReport{Path: path, Err: c.hops[0].checkCanceled(ctx)}
		}
		r.Token = t
	}
	var from *snapshot
	failed := false
	for _, s := range c.hops {
		h := HopReport{Hop: s.n, RoleARN: s.role, Skipped: failed}
		if !failed {
			started := time.Now()
			p, ok := within(ctx, func() probe { return s.probeRegions(ctx, from) })
			if ok {
				from, h = p.snap, p.report
			}
			if s.n == 1 && ok && w.Token != nil {
				r.Token = functionReport(c, w, p)
			}
			if !ok || p.err != nil && ctx.Err() != nil && (errors.Is(p.err, RefreshTimeout) || errors.Is(p.err, ctx.Err())) {
				h.Latency, h.Err = time.Since(started), s.checkCanceled(ctx)
			} else if h.Err = p.err; p.err == nil {
				s.observe(p.att)
			}
			failed = h.Err != nil
		}
		r.Hops = append(r.Hops, h)
	}
	c.notify.release()
	return r
}

// within returns the result of step, or false if ctx ends first; step may then still be
// running, and its result is discarded.
func within[T any](ctx context.Context, step func() T) (result T, ok bool) {
	if ctx.Err() != nil {
		return result, false
	}
	done := make(chan T, 1)
	go func() {
		defer close(done) // also if user code ends this goroutine
		done <- step()
	}()
	select {
	case result, ok = <-done:
		return result, ok
	case <-ctx.Done():
		return result, false
	}
}

// errCheckCanceled marks the hop at which a check ended early.
var errCheckCanceled = errors.New("the check was canceled")

// probe is the result of one attempt at a hop's session.
type probe struct {
	report HopReport
	snap   *snapshot
	att    *attempt
	err    *Error
}

// probeRegions tries the hop in the chain's own region and in each fallback region.
func (s *session) probeRegions(ctx context.Context, from *snapshot) probe {
	regions := s.facts.sts
	p := s.probe(ctx, from, regions.own())
	if !s.regional() || len(regions) == 1 {
		return p
	}
	own, tried := p, []RegionReport(nil)
	for _, r := range regions[1:] {
		if ctx.Err() != nil {
			break
		}
		other := s.probe(ctx, from, r)
		tried = append(tried, RegionReport{Region: r.Region(), Endpoint: other.report.Endpoint, Latency: other.report.Latency, Err: other.err})
		if p.err != nil && other.err == nil && (own.err.Kind == STSUnreachable || own.err.Kind == RefreshTimeout) {
			p = other
			p.report.Notes = append(p.report.Notes, fmt.Sprintf("the session is from %s, because %s gave none: %s", r.Region(), regions.own().Region(), own.err.brief()))
		}
	}
	p.report.Regions = tried
	return p
}

func (s *session) probe(ctx context.Context, from *snapshot, region *stsRegion) (p probe) {
	defer func() {
		if v := recover(); v != nil {
			p.err = s.panicError(v)
		}
	}()
	s.addWaiter()
	defer s.removeWaiter()
	att := &attempt{Trace: stsclient.Trace{SentAt: time.Now()}, region: region, timeout: s.chain.timeout / 3, signedBy: from}
	snap, c, err := s.try(ctx, att)
	p = probe{snap: snap, att: att, report: HopReport{
		Hop: s.n, RoleARN: s.role, Operation: att.operation, Endpoint: att.Endpoint, Latency: time.Since(att.SentAt),
	}}
	if !att.Date.IsZero() {
		p.report.Skew = skewOf(att.SentAt, att.Date)
	}
	p.report.Notes = p.report.notes()
	if err != nil {
		p.err = s.newError(att, c.kind, err, 1)
		return p
	}
	p.report.CallerARN = snap.caller
	if snap.creds.CanExpire {
		p.report.Life = snap.life
	}
	return p
}

// checkToken checks the token file of hop 1.
func checkToken(ctx context.Context, c *Chain, path string) *TokenReport {
	t := &TokenReport{Path: path}
	if target, err := filepath.EvalSymlinks(path); err == nil && target != path {
		t.Target = target
	}
	if info, err := os.Stat(path); err == nil {
		t.Mode, t.Modified = info.Mode().String(), info.ModTime()
		t.Owner = owner(info)
	}
	w, web := c.facts.source.(WebIdentity)
	if !web {
		return t // only the agent can check its token
	}
	_, token, failure := readToken(ctx, path)
	if failure != nil {
		t.Err = failure
		return t
	}
	t.describe(c, w, token)
	return t
}

// functionReport reports on the token that the token function returned at hop 1.
func functionReport(c *Chain, w WebIdentity, p probe) *TokenReport {
	t := &TokenReport{Path: w.String()}
	switch {
	case p.att != nil && p.att.token != nil:
		t.describe(c, w, *p.att.token)
	case p.err != nil:
		t.Err = p.err
	}
	return t
}

// describe adds the claims, and what is worth knowing about them.
func (t *TokenReport) describe(c *Chain, w WebIdentity, token trust.Token) {
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
		t.Notes = append(t.Notes, fmt.Sprintf("issuer %q ends in a slash; the provider's URL must end in one too", token.Issuer))
	}
	if failure := w.checkClaims(token, &c.clock, &c.notify); failure != nil && failure.Kind != TokenExpired {
		t.Notes = append(t.Notes, failure.Err.Error())
	}
}

// Report is what [Chain.Check] found: the token, then each hop as it was
// tried. It holds no secret. String is for people, JSON for programs; both show
// the same facts.
type Report struct {
	Chain string       `json:"chain"` // as Chain.String
	Token *TokenReport `json:"token,omitempty"`
	Hops  []HopReport  `json:"hops"`
}

// TokenReport is the state of the token file, or of the token that the function in
// WebIdentity.Token returned. Chains without a token have none.
type TokenReport struct {
	Path     string       `json:"path"`             // of the file, or "token function"
	Target   string       `json:"target,omitempty"` // where links lead; empty: nowhere else
	Mode     string       `json:"mode,omitempty"`   // as ls prints it; empty: stat failed
	Owner    string       `json:"owner,omitempty"`  // uid:gid; empty where the system has none
	Modified time.Time    `json:"modified,omitzero"`
	Claims   *trust.Token `json:"claims,omitempty"` // in JSON iss, sub, aud and exp; nil: there is no token that can be read
	Err      *Error       `json:"error,omitempty"`  // why not; in JSON an object, with Fixes
	Notes    []string     `json:"notes,omitempty"`  // worth knowing, but not a failure
}

// HopReport is one hop, tried once. Its durations are seconds in JSON.
type HopReport struct {
	Hop       int           `json:"hop"`
	Operation string        `json:"operation,omitempty"`
	RoleARN   string        `json:"role,omitempty"`
	Endpoint  string        `json:"endpoint,omitempty"`        // host
	CallerARN string        `json:"caller,omitempty"`          // the session's identity
	Latency   time.Duration `json:"latency_seconds"`           // of the last request, with its response
	Life      time.Duration `json:"session_seconds,omitempty"` // of the session; zero: no expiry
	Skew      time.Duration `json:"skew_seconds"`              // local clock less the server's: positive if it is ahead; zero also where unknown
	Skipped   bool          `json:"skipped,omitempty"`         // a previous hop failed
	Notes     []string      `json:"notes,omitempty"`           // worth knowing, but not a failure
	Err       *Error        `json:"error,omitempty"`           // in JSON an object, with Fixes

	// Regions are the fallback regions, as the hop was tried there; empty: there are none,
	// or the hop does not ask STS.
	Regions []RegionReport `json:"fallback_regions,omitempty"`
}

// RegionReport is one hop, tried once in a fallback region. Its Latency is seconds in
// JSON.
type RegionReport struct {
	Region   string        `json:"region"`
	Endpoint string        `json:"endpoint,omitempty"` // host
	Latency  time.Duration `json:"latency_seconds"`
	Err      *Error        `json:"error,omitempty"` // nil: it works; in JSON an object, with Fixes
}

// disabled reports whether the account has not enabled the region.
func (r *RegionReport) disabled() bool { return r.Err != nil && r.Err.Kind == RegionNotEnabled }

func (r *RegionReport) write(line func(label, format string, args ...any)) {
	switch {
	case r.Err == nil:
		line("", "fallback %s: ok, %s in %s", r.Region, r.Endpoint, r.Latency.Round(time.Millisecond))
	case r.disabled():
		line("", "fallback %s: NOT ENABLED in the account (%s): enable the region and its STS endpoint there, or use another region", r.Region, r.Err.brief())
	default:
		line("", "fallback %s: FAILED: %s", r.Region, r.Err.brief())
	}
}

// MarshalJSON writes the latency in seconds.
func (r RegionReport) MarshalJSON() ([]byte, error) {
	type plain RegionReport
	return json.Marshal(struct {
		plain
		Latency float64      `json:"latency_seconds"`
		Err     *errorObject `json:"error,omitempty"`
	}{plain(r), r.Latency.Seconds(), r.Err.object()})
}

// Healthy reports whether every hop was tried and worked.
func (r *Report) Healthy() bool { return r.failed() == nil }

func (r *Report) failed() *HopReport {
	for i := range r.Hops {
		if r.Hops[i].Err != nil {
			return &r.Hops[i]
		}
	}
	return nil
}

// String returns Details with the verdict at the end.
func (r *Report) String() string { return r.Details() + "verdict  " + r.Verdict() + "\n" }

// Details returns the report as text, one fact per line, without the verdict, for
// programs that add facts of their own.
func (r *Report) Details() string {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "%-8s %s\n", label, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\n         "))
	}
	line("chain", "%s", r.Chain)
	if t := r.Token; t != nil {
		t.write(line)
	}
	for _, h := range r.Hops {
		h.write(line)
	}
	return b.String()
}

// Verdict returns the result in a few words: "healthy", with the fallback regions that do
// not work; which hop fails, the Kind of its error and, if STS names it, the policy that
// denied; or that the check was canceled.
func (r *Report) Verdict() string {
	switch h := r.failed(); {
	case h == nil:
		if broken := r.brokenRegions(); len(broken) > 0 {
			return "healthy, but not in fallback region " + strings.Join(broken, ", ")
		}
		return "healthy"
	case errors.Is(h.Err, errCheckCanceled):
		return fmt.Sprintf("none: %v at hop %d of %d", errCheckCanceled, h.Hop, len(r.Hops))
	default:
		text := fmt.Sprintf("hop %d of %d fails: %s", h.Hop, len(r.Hops), h.Err.Kind)
		if d, named := h.Err.denial(); named {
			text += ", " + d.Verdict()
		}
		return text
	}
}

// brokenRegions returns the fallback regions where a hop does not work.
func (r *Report) brokenRegions() []string {
	var names []string
	for _, h := range r.Hops {
		for _, region := range h.Regions {
			if region.Err != nil && !slices.Contains(names, region.Region) {
				names = append(names, region.Region)
			}
		}
	}
	return names
}

func (t *TokenReport) write(line func(label, format string, args ...any)) {
	line("token", "%s", t.Path)
	if t.Target != "" {
		line("", "leads to %s", t.Target)
	}
	if t.Mode != "" {
		owner := ""
		if t.Owner != "" {
			owner = ", owner " + t.Owner
		}
		line("", "mode %s%s, written %s", t.Mode, owner, t.Modified.UTC().Format(time.RFC3339))
	}
	if c := t.Claims; c != nil {
		line("", "iss  %s", c.Issuer)
		line("", "sub  %s", c.Subject)
		line("", "aud  %q", c.Audience)
		line("", "exp  %s", c.Expires.UTC().Format(time.RFC3339))
	}
	for _, note := range t.Notes {
		line("", "note: %s", note)
	}
}

func (h *HopReport) write(line func(label, format string, args ...any)) {
	label := fmt.Sprintf("hop %d", h.Hop)
	switch {
	case h.Skipped:
		line(label, "not tried: %s", h.RoleARN)
		return
	case h.Err != nil:
		line(label, "FAILED, %s", h.Latency.Round(time.Millisecond))
		line("", "%s", h.Err.describe())
		if h.Err.RequestID != "" {
			line("", "request %s", h.Err.RequestID)
		}
		for _, fix := range h.Err.Fixes {
			line("", "fix: %s", fix)
		}
		h.writeNotes(line)
		return
	}
	did := h.Operation
	if h.RoleARN != "" {
		did += " " + h.RoleARN
	}
	if h.Endpoint != "" {
		did += " at " + h.Endpoint
	}
	line(label, "ok, %s", strings.TrimSpace(fmt.Sprintf("%s in %s", did, h.Latency.Round(time.Millisecond))))
	if h.CallerARN != "" {
		line("", "caller %s", h.CallerARN)
	}
	life := "without an expiry"
	if h.Life > 0 {
		life = "of " + h.Life.Round(time.Second).String()
	}
	line("", "session %s, local clock %s", life, describeSkew(h.Skew))
	h.writeNotes(line)
}

func (h *HopReport) writeNotes(line func(label, format string, args ...any)) {
	for i := range h.Regions {
		h.Regions[i].write(line)
	}
	for _, note := range h.Notes {
		line("", "note: %s", note)
	}
}

// notes returns what is worth knowing about a hop, whether it works or not.
func (h *HopReport) notes() []string {
	if h.Skew.Abs() <= skewWarning {
		return nil
	}
	return []string{fmt.Sprintf("the local clock is %s: AWS refuses signatures that are more than %v off. The chain corrects for it; other programs on this node may not: set the node's clock (NTP)", describeSkew(h.Skew), skewWarning)}
}

// MarshalJSON adds "healthy".
func (r Report) MarshalJSON() ([]byte, error) {
	type plain Report // without this method
	return json.Marshal(struct {
		plain
		Healthy bool `json:"healthy"`
	}{plain(r), r.Healthy()})
}

// MarshalJSON writes the claims under their names in a token.
func (t TokenReport) MarshalJSON() ([]byte, error) {
	type plain TokenReport
	var claims any
	if c := t.Claims; c != nil {
		claims = map[string]any{"iss": c.Issuer, "sub": c.Subject, "aud": c.Audience, "exp": c.Expires}
	}
	return json.Marshal(struct {
		plain
		Claims any          `json:"claims,omitempty"`
		Err    *errorObject `json:"error,omitempty"`
	}{plain(t), claims, t.Err.object()})
}

// MarshalJSON writes durations in seconds.
func (h HopReport) MarshalJSON() ([]byte, error) {
	type plain HopReport
	return json.Marshal(struct {
		plain
		Latency float64      `json:"latency_seconds"`
		Life    float64      `json:"session_seconds,omitempty"`
		Skew    float64      `json:"skew_seconds"`
		Err     *errorObject `json:"error,omitempty"`
	}{plain(h), h.Latency.Seconds(), h.Life.Seconds(), h.Skew.Seconds(), h.Err.object()})
}

// errorObject is an Error in the JSON of a Report; elsewhere an Error is a string.
type errorObject struct {
	Kind      Kind     `json:"kind"`
	Operation string   `json:"operation,omitempty"`
	Code      string   `json:"code,omitempty"`
	Message   string   `json:"message,omitempty"`
	RequestID string   `json:"request_id,omitempty"`
	Caller    string   `json:"caller,omitempty"`
	Text      string   `json:"text"`
	Fixes     []string `json:"fixes,omitempty"`
}

func (e *Error) object() *errorObject {
	if e == nil {
		return nil
	}
	return &errorObject{e.Kind, e.Operation, e.Code, e.Message, e.RequestID, e.Caller, e.describe(), e.Fixes}
}
