package awstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/crossrole/crossrole/trust"
)

// parseTrustPolicy panics on what IAM refuses as a trust policy.
func parseTrustPolicy(what, document string) *trust.Policy {
	p, err := trust.ParsePolicy([]byte(document))
	if err == nil {
		err = p.ValidateTrust()
	}
	if err != nil {
		panic(fmt.Sprintf("awstest: %s: trust policy: %v", what, err))
	}
	return p
}

// parseIdentityPolicy panics on what IAM refuses as the inline policies of holder
// ("role hub"), which may have so many characters in all. An empty document is
// the policy that allows nothing.
func parseIdentityPolicy(what, holder, document string, limit int) *trust.Policy {
	if strings.TrimSpace(document) == "" {
		return &trust.Policy{}
	}
	p, err := trust.ParsePolicy([]byte(document))
	if err == nil {
		err = p.ValidateIdentity()
	}
	if err != nil {
		panic(fmt.Sprintf("awstest: %s: identity policy: %v", what, err))
	}
	if n := policySize(document); n > limit {
		panic(fmt.Sprintf("awstest: %s: Maximum policy size of %d bytes exceeded for %s: it has %d; name fewer resources, by prefixes for example", what, limit, holder, n))
	}
	return p
}

// policySize counts the characters of a policy document as IAM does: all but the
// white space outside strings.
func policySize(document string) int {
	var compact bytes.Buffer
	if json.Compact(&compact, []byte(document)) != nil {
		return utf8.RuneCountInString(document)
	}
	return utf8.RuneCount(compact.Bytes())
}

// pins are the unique ids that roles and users had when a policy named them by
// ARN. IAM keeps the id, so that a policy does not match what is created later
// under the same name.
type pins map[string]string

// pin looks up the roles and users that a policy names and panics if one does
// not exist, as IAM refuses the policy then. c.mu must be held.
func (c *Cloud) pin(what string, p *trust.Policy) pins {
	ids := pins{}
	for _, s := range p.Statements {
		for _, name := range slices.Concat(s.Principal["AWS"], s.NotPrincipal["AWS"]) {
			_, _, isRole := cutIAM(name, "role")
			_, _, isUser := cutIAM(name, "user")
			switch {
			case isRole:
				r := c.role(name)
				if r == nil {
					panic(fmt.Sprintf("awstest: %s: Invalid principal in policy: %q: no such role; create it first (IAM stores its unique id)", what, name))
				}
				ids[name] = r.id
			case isUser:
				u := c.user(name)
				if u == nil {
					panic(fmt.Sprintf("awstest: %s: Invalid principal in policy: %q: no such user; make it with UserCredentials first", what, name))
				}
				ids[name] = u.id
			}
		}
	}
	return ids
}

// names says whether a policy with these pins means the holder of id by arn.
func (p pins) names(arn, id string) bool {
	pinned, ok := p[arn]
	return !ok || pinned == id
}

// user finds a user by its ARN; nil if there is none. c.mu must be held.
func (c *Cloud) user(arn string) *user {
	for _, a := range c.accounts {
		for u := range maps.Values(a.users) {
			if u.arn == arn {
				return u
			}
		}
	}
	return nil
}
