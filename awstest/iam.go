package awstest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crossrole/crossrole/trust"
)

// access is a question to IAM: whether p may do action on an account's
// resource. Within one account the identity policy or the resource policy must
// allow, across accounts both must; session policies must allow what the
// identity policy allows; a Deny anywhere wins.
type access struct {
	p                *principal // nil: anonymous
	owner            *Account   // of the resource
	action, resource string
	keys             map[string][]string // in addition to those of p

	policy         *trust.Policy // resource policy; nil: none
	policyResource string        // the resource as policy knows it: a trust policy has none
	pins           pins
	isTrust        bool // a role's trust policy, without which no caller may assume it
}

// decide reports whether the request is allowed, and in words why not. It takes
// no lock.
func (a *access) decide() (bool, string) {
	keys := maps.Clone(a.keys)
	if keys == nil {
		keys = map[string][]string{}
	}
	if a.p == nil {
		d := a.explain(keys, nil)
		return d.Allowed && !d.Denied, reasons("resource policy", d)
	}
	maps.Copy(keys, a.p.keys)

	self, holder, account := a.names()
	everyName := slices.Concat(self, holder, account)
	resourceSays := a.explain(keys, everyName)
	if resourceSays.Denied {
		return false, reasons(a.policyName(), resourceSays)
	}
	identitySays := a.p.policy.Explain(trust.Request{Action: a.action, Resource: a.resource, Context: keys})
	if identitySays.Denied {
		return false, reasons("identity policy of "+a.p.arn, identitySays)
	}
	sessionAllows, sessionWhy := true, ""
	if a.p.session != nil {
		d := a.p.session.Explain(trust.Request{Action: a.action, Resource: a.resource, Context: keys})
		if sessionAllows = d.Allowed && !d.Denied; !sessionAllows {
			sessionWhy = reasons("session policy", d)
		}
		if d.Denied {
			return false, sessionWhy
		}
	}

	if a.p.account == a.owner {
		// A policy that names the session itself is not narrowed by session
		// policies; one that names its role is. A policy that names the account
		// leaves the decision to the account's identity policies.
		if a.explain(keys, self).Allowed && !a.explain(keys, []string{"arn:aws:sts::000000000000:nobody"}).Allowed {
			return true, ""
		}
		if a.explain(keys, slices.Concat(self, holder)).Allowed {
			return sessionAllows, sessionWhy
		}
	}
	if (a.p.account != a.owner || a.isTrust) && !resourceSays.Allowed {
		return false, reasons(a.policyName(), resourceSays)
	}
	if !identitySays.Allowed {
		return false, reasons("identity policy of "+a.p.arn, identitySays)
	}
	return sessionAllows, sessionWhy
}

// names are the caller's names in a resource policy: its own, that of the role
// it holds, those of its account.
func (a *access) names() (self, holder, account []string) {
	p := a.p
	if p.role == nil {
		if a.pins.names(p.arn, p.userID) {
			self = []string{p.arn}
		}
	} else {
		self = []string{p.arn}
		if a.pins.names(p.role.arn, p.role.id) {
			holder = []string{p.role.arn}
		}
	}
	return self, holder, []string{p.account.rootARN(), p.account.id}
}

// explain asks the resource policy about a caller with these names.
func (a *access) explain(keys map[string][]string, names []string) trust.Decision {
	if a.policy == nil {
		return trust.Decision{}
	}
	return a.policy.Explain(trust.Request{
		Action: a.action, Resource: a.policyResource, Context: keys,
		Principal: trust.Principals{"AWS": names},
	})
}

func (a *access) policyName() string {
	if a.isTrust {
		return "trust policy of " + a.resource
	}
	return "resource policy"
}

// reasons puts a policy's refusal into words.
func reasons(policy string, d trust.Decision) string {
	if len(d.Reasons) == 0 {
		return policy + ": no statement"
	}
	var words []string
	for _, r := range d.Reasons {
		name := fmt.Sprintf("statement %d", r.Statement)
		if r.SID != "" {
			name += " " + r.SID
		}
		switch {
		case r.Matched && d.Denied:
			words = append(words, fmt.Sprintf("%s matched: %s", name, r.Text))
		case !r.Matched:
			words = append(words, fmt.Sprintf("%s: %s: %s", name, r.Element, r.Text))
		}
	}
	return policy + ": " + strings.Join(words, "; ")
}

// conditionKeys are the condition keys of a request.
type conditionKeys map[string][]string

// globalKeys are those that every request has.
func globalKeys(r *request) conditionKeys {
	keys := conditionKeys{
		"aws:CurrentTime":     {r.now.UTC().Format(time.RFC3339)},
		"aws:EpochTime":       {strconv.FormatInt(r.now.Unix(), 10)},
		"aws:SecureTransport": {strconv.FormatBool(r.secure)},
	}
	if agent := r.UserAgent(); agent != "" {
		keys["aws:UserAgent"] = []string{agent}
	}
	if r.region != "" {
		keys["aws:RequestedRegion"] = []string{r.region}
	}
	return keys
}

func (k conditionKeys) setDuration(life time.Duration) {
	if life > 0 {
		k["sts:DurationSeconds"] = []string{strconv.Itoa(int(life.Seconds()))}
	}
}

// setTags sets the keys of the tags that the request itself carries.
func (k conditionKeys) setTags(r *request, tags sessionTags) {
	var names []string
	for _, m := range r.list("Tags") {
		name := r.param(m + ".Key")
		names = append(names, name)
		k["aws:RequestTag/"+name] = []string{r.param(m + ".Value")}
	}
	if names != nil {
		k["aws:TagKeys"] = names
	}
	var transitive []string
	for _, t := range tags {
		if t.transitive {
			transitive = append(transitive, t.key)
		}
	}
	if transitive != nil {
		k["sts:TransitiveTagKeys"] = transitive
	}
}
