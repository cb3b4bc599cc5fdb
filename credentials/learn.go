package credentials

import (
	"time"

	"github.com/crossrole/crossrole/trust"
)

// skewWarning is the clock difference worth a line in the log; S3 refuses
// requests at 15 minutes.
const skewWarning = 5 * time.Minute

// tokenSeen is the token of the last success.
type tokenSeen struct {
	raw    string
	issuer string
}

// clock is the server's time at a moment of ours.
type clock struct{ date, at time.Time }

// learn keeps what a success tells beside the keys: the server's clock, and
// whether the pod's token is another one than before.
func (s *session) learn(rec *record) {
	c := s.chain
	if !rec.date.IsZero() {
		c.clock.Store(&clock{date: rec.date, at: rec.sentAt})
		if skew := rec.sentAt.Round(0).Sub(rec.date); skew.Abs() > skewWarning {
			c.warnOnce("skew", "the local clock differs from AWS's", "ahead", skew.Round(time.Second), "endpoint", rec.endpoint)
		}
	}
	if rec.token == nil {
		return
	}
	s.mu.Lock()
	before := s.seen
	s.seen = tokenSeen{raw: string(rec.raw), issuer: rec.token.Issuer}
	s.mu.Unlock()
	if before.raw == "" || before.raw == string(rec.raw) {
		return
	}
	c.post(Event{Type: TokenRotated, Hop: s.hop, RoleARN: s.role})
	if before.issuer != rec.token.Issuer {
		c.info("the token comes from another cluster than before", "before", before.issuer, "now", rec.token.Issuer)
		c.post(Event{Type: IssuerChanged, Hop: s.hop, RoleARN: s.role})
	}
}

// serverNow is the server's clock, if a reply has told it. It runs on the
// monotonic clock, so that setting the local clock does not move it.
func (c *Chain) serverNow() (time.Time, bool) {
	k := c.clock.Load()
	if k == nil {
		return time.Time{}, false
	}
	return k.date.Add(time.Since(k.at)), true
}

// expSlack forgives what the two ways of telling the time may differ by.
const expSlack = time.Minute

// checkClaims looks at the token before it is sent. That it has expired is
// certain only by the server's own clock; by the local one it is worth a
// warning.
func (c *Chain) checkClaims(w WebIdentity, t trust.Token) *Error {
	fail := func(kind Kind, err error, fixes ...string) *Error {
		return &Error{Operation: "check token", RoleARN: w.RoleARN, Kind: kind, Token: &t, Err: err, Fixes: fixes}
	}
	if w.Issuer != "" && w.Issuer != t.Issuer {
		return fail(TokenRejected, issuerDiffers(w.Issuer, t.Issuer),
			"set WebIdentity.Issuer to the cluster's own issuer, or leave it empty so that a new cluster needs no change here")
	}
	if err := audienceDiffers(w.Audience, t.Audience); err != nil {
		return fail(AudienceMismatch, err,
			"project the token with that audience (on EKS the service account's eks.amazonaws.com/audience annotation), or set WebIdentity.Audience to the token's")
	}
	if now, known := c.serverNow(); known && now.Sub(t.Expires) > expSlack {
		c.clock.Store(nil) // that clock may have been wrong: the next attempt asks
		return fail(TokenExpired, expiredToken(w.TokenFile, t, now), rotationFix)
	} else if !known && time.Since(t.Expires) > expSlack {
		c.warnOnce("exp", "the token has expired by the local clock; it is sent all the same, since the clock may be wrong", "file", w.TokenFile, "expired", t.Expires)
	}
	return nil
}
