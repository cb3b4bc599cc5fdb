package credentials

import (
	"time"
)

// skewWarning is the clock difference worth a line in the log: AWS refuses
// signatures that are further off (S3: 15 minutes).
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
const skewWarning = 5 * time.Minute

// tokenSeen is the token of the last success.
type tokenSeen struct {
	raw    string
	issuer string
}

// clock is the server's time at a moment of ours.
type clock struct{ date, at time.Time }

// learn keeps what a success says apart from the keys: the server's clock, and
// whether the pod's token is another one than before.
func (s *session) learn(rec *record) {
	c := s.chain
	if !rec.date.IsZero() {
		c.clock.Store(&clock{date: rec.date, at: rec.sentAt})
		if skew := rec.sentAt.Round(0).Sub(rec.date); skew.Abs() > skewWarning {
			c.warnOnce("skew", "the local clock differs from AWS's: it is "+describeSkew(skew), "ahead", skew.Round(time.Second), "endpoint", rec.endpoint)
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

// skewOf returns the local clock less the server's: positive if the local one is
// ahead. A Date has whole seconds, and the response took its time: less than two
// seconds are none.
func skewOf(local, date time.Time) time.Duration {
	skew := local.Round(0).Sub(date)
	if skew.Abs() < 2*time.Second {
		return 0
	}
	return skew
}

// describeSkew says which way the local clock is off.
func describeSkew(skew time.Duration) string {
	switch skew = skew.Round(time.Second); {
	case skew > 0:
		return skew.String() + " ahead of the server's"
	case skew < 0:
		return (-skew).String() + " behind the server's"
	}
	return "equal to the server's"
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
