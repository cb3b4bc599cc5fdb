package credentials

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crossrole/crossrole/trust"
)

// rotationFix is the fix for an expired token.
const rotationFix = "check that kubelet still rotates the projected token (at about 80 % of its life) and that the file is the mounted one, not a copy of it"

// issuerDiffers says in which way two issuers differ, because the eye takes the
// usual ways for equality.
func issuerDiffers(want, got string) error {
	why := "another id: the token comes from another cluster"
	path := func(s string) string {
		_, p, _ := strings.Cut(strings.TrimPrefix(s, "https://"), "/")
		return p
	}
	switch {
	case strings.TrimSuffix(want, "/") == strings.TrimSuffix(got, "/"):
		why = "only a trailing slash"
	case strings.EqualFold(want, got):
		why = "only upper and lower case"
	case path(want) != "" && path(want) == path(got):
		why = "only the host"
	}
	return fmt.Errorf("the token's issuer is %q, WebIdentity.Issuer is %q; what differs is %s, and AWS compares them byte for byte", got, want, why)
}

// audienceDiffers is nil if want is among the token's audiences, or empty.
func audienceDiffers(want string, got []string) error {
	if want == "" || slices.Contains(got, want) {
		return nil
	}
	return fmt.Errorf("the token's audience is %q, WebIdentity.Audience is %q", got, want)
}

// expiredToken names the times in the token, which its issuer wrote. The file's own
// time is by the node's clock and is not mixed in. Neither time changes until
// kubelet writes a newer token, so the text stays the same.
func expiredToken(file string, t trust.Token) error {
	s := "the token in " + file
	if !t.IssuedAt.IsZero() {
		s += " was issued at " + t.IssuedAt.UTC().Format(time.RFC3339) + " and"
	}
	return fmt.Errorf("%s expired at %s, by the clock of AWS", s, t.Expires.UTC().Format(time.RFC3339))
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
		return fail(TokenExpired, expiredToken(w.TokenFile, t), rotationFix)
	} else if !known && time.Since(t.Expires) > expSlack {
		c.warnOnce("exp", "the token has expired by the local clock; it is sent all the same, since the clock may be wrong", "file", w.TokenFile, "expired", t.Expires)
	}
	return nil
}
