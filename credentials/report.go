package credentials

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/crossrole/crossrole/trust"
)

// Report is what [Chain.Check] found: the token file, then each hop as it was
// tried. It holds no secret. String is for people, JSON for programs; both are
// the same facts.
type Report struct {
	Chain string // as Chain.String
	Token *TokenReport
	Hops  []HopReport
}

// TokenReport is the state of the token file. Chains without one have none.
type TokenReport struct {
	Path     string
	Target   string // where links lead; empty: nowhere else
	Mode     string // as ls prints it; empty: it could not be looked at
	Owner    string // uid:gid; empty where the system has none
	Modified time.Time
	Claims   *trust.Token // nil: not a service-account token, or not one that can be read
	Err      *Error       // why not
	Notes    []string     // what is worth knowing and not a failure by itself
}

// HopReport is one hop, tried once.
type HopReport struct {
	Hop       int
	Operation string
	RoleARN   string
	Endpoint  string        // host
	CallerARN string        // who we are now
	Latency   time.Duration // of the last request, with its reply
	Life      time.Duration // of the session; zero: it names no end
	Skew      time.Duration // local clock less the server's: positive if it is ahead; zero also where unknown
	Skipped   bool          // a previous hop failed
	Notes     []string      // what is worth knowing and not a failure by itself
	Err       *Error
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

// String is the report as text, a fact a line, with a verdict at the end.
func (r *Report) String() string {
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
	switch h := r.failed(); {
	case h == nil:
		line("verdict", "healthy")
	case errors.Is(h.Err, errCheckCancelled):
		line("verdict", "none: %v at hop %d of %d", errCheckCancelled, h.Hop, len(r.Hops))
	default:
		line("verdict", "hop %d of %d fails: %s", h.Hop, len(r.Hops), h.Err.Kind)
	}
	return b.String()
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
		line("", "%s", h.Err.paragraph())
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
	for _, note := range h.Notes {
		line("", "note: %s", note)
	}
}

// notes are what is worth knowing of a hop, whether it works or not.
func (h *HopReport) notes() []string {
	if h.Skew.Abs() <= skewWarning {
		return nil
	}
	return []string{fmt.Sprintf("the local clock is %s: AWS refuses signatures that are more than %v off. The chain corrects for it; other programs on this node may not: set the node's clock (NTP)", describeSkew(h.Skew), skewWarning)}
}

// MarshalJSON writes durations in seconds and errors with their fixes.
func (r *Report) MarshalJSON() ([]byte, error) {
	type claims struct {
		Issuer   string    `json:"iss"`
		Subject  string    `json:"sub"`
		Audience []string  `json:"aud"`
		Expires  time.Time `json:"exp"`
	}
	type token struct {
		Path     string       `json:"path"`
		Target   string       `json:"target,omitempty"`
		Mode     string       `json:"mode,omitempty"`
		Owner    string       `json:"owner,omitempty"`
		Modified time.Time    `json:"modified,omitzero"`
		Claims   *claims      `json:"claims,omitempty"`
		Err      *errorAsJSON `json:"error,omitempty"`
		Notes    []string     `json:"notes,omitempty"`
	}
	type hop struct {
		Hop       int          `json:"hop"`
		Operation string       `json:"operation,omitempty"`
		RoleARN   string       `json:"role,omitempty"`
		Endpoint  string       `json:"endpoint,omitempty"`
		CallerARN string       `json:"caller,omitempty"`
		Latency   float64      `json:"latency_seconds"`
		Life      float64      `json:"session_seconds,omitempty"`
		Skew      float64      `json:"skew_seconds"`
		Skipped   bool         `json:"skipped,omitempty"`
		Notes     []string     `json:"notes,omitempty"`
		Err       *errorAsJSON `json:"error,omitempty"`
	}
	out := struct {
		Chain   string `json:"chain"`
		Healthy bool   `json:"healthy"`
		Token   *token `json:"token,omitempty"`
		Hops    []hop  `json:"hops"`
	}{Chain: r.Chain, Healthy: r.Healthy()}
	if t := r.Token; t != nil {
		out.Token = &token{Path: t.Path, Target: t.Target, Mode: t.Mode, Owner: t.Owner, Modified: t.Modified, Err: t.Err.json(), Notes: t.Notes}
		if c := t.Claims; c != nil {
			out.Token.Claims = &claims{c.Issuer, c.Subject, c.Audience, c.Expires}
		}
	}
	for _, h := range r.Hops {
		out.Hops = append(out.Hops, hop{h.Hop, h.Operation, h.RoleARN, h.Endpoint, h.CallerARN,
			h.Latency.Seconds(), h.Life.Seconds(), h.Skew.Seconds(), h.Skipped, h.Notes, h.Err.json()})
	}
	return json.Marshal(out)
}
