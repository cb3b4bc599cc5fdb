package awstest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/crossrole/crossrole/trust"
)

// entity holds what an IAM role and an IAM user have in common: a name and the
// policies that say what they may do.
type entity struct {
	account *Account
	kind    string // "role" or "user"
	name    string // without the path
	path    string // "/team/"
	arn     string
	id      string // AROA… or AIDA…: another one if it is created again
	created time.Time

	// Guarded by the cloud's mutex.
	inline   map[string]*document // inline policies by name
	attached []*managedPolicy     // in the order of attachment
	boundary *managedPolicy       // permissions boundary; nil: none
	tags     []tag
	policy   eventual[*trust.Policy] // what the inline and attached policies say together
}

// document is a policy as it was given and as it is evaluated.
type document struct {
	text   string
	policy *trust.Policy
	size   int // characters, as IAM counts them
}

// tag is a tag of an IAM resource.
type tag struct{ key, value string }

// newEntity returns a role or user without policies, created now.
func newEntity(a *Account, kind, path, name string) entity {
	prefix := "AROA"
	if kind == "user" {
		prefix = "AIDA"
	}
	return entity{
		account: a, kind: kind, name: name, path: path, arn: a.iamARN(kind + path + name), id: newID(prefix, 21),
		created: time.Now().UTC().Truncate(time.Second), inline: map[string]*document{}, policy: eventual[*trust.Policy]{value: &trust.Policy{}},
	}
}

// setInline replaces the inline policy of that name; nil removes it. The cloud's
// mutex must be held.
func (e *entity) setInline(name string, d *document) *refusal {
	if d == nil {
		delete(e.inline, name)
		e.combine()
		return nil
	}
	limit := trust.MaxRolePoliciesSize
	if e.kind == "user" {
		limit = trust.MaxUserPoliciesSize
	}
	size := d.size
	for other, o := range e.inline {
		if other != name {
			size += o.size
		}
	}
	if size > limit {
		return limitExceeded(
			fmt.Sprintf("Maximum policy size of %d bytes exceeded for %s %s", limit, e.kind, e.name),
			fmt.Sprintf("its inline policies would have %d; name fewer resources, by prefixes for example", size),
		)
	}
	e.inline[name] = d
	e.combine()
	return nil
}

// combine brings policy up to date. The cloud's mutex must be held.
func (e *entity) combine() { e.policy.set(e.account.cloud, union(e.named())) }

// named returns the policies that say what the entity may do, inline ones first.
func (e *entity) named() []namedPolicy {
	var all []namedPolicy
	for _, name := range slices.Sorted(maps.Keys(e.inline)) {
		all = append(all, namedPolicy{name, e.inline[name].policy})
	}
	for _, m := range e.attached {
		all = append(all, namedPolicy{m.name, m.document.policy})
	}
	return all
}

// attach adds a managed policy to a role or user. The cloud's mutex must be held.
func (e *entity) attach(m *managedPolicy) *refusal {
	if slices.ContainsFunc(e.attached, func(o *managedPolicy) bool { return o.arn == m.arn }) {
		return nil
	}
	if len(e.attached) >= maxAttached {
		quota := "PoliciesPerRole"
		if e.kind == "user" {
			quota = "PoliciesPerUser"
		}
		return limitExceeded(fmt.Sprintf("Cannot exceed quota for %s: %d", quota, maxAttached), "")
	}
	e.attached = append(e.attached, m)
	e.combine()
	return nil
}

// detach removes a managed policy. The cloud's mutex must be held.
func (e *entity) detach(arn string) *refusal {
	kept := slices.DeleteFunc(slices.Clone(e.attached), func(o *managedPolicy) bool { return o.arn == arn })
	if len(kept) == len(e.attached) {
		return noSuchEntity("Policy %s was not found.", arn)
	}
	e.attached = kept
	e.combine()
	return nil
}

// resourceKeys returns the condition keys of the entity as the resource of a
// request to IAM.
func (e *entity) resourceKeys() conditionKeys {
	keys := conditionKeys{}
	keys.setResourceTags(e.tags)
	if e.boundary != nil {
		keys["iam:PermissionsBoundary"] = []string{e.boundary.arn}
	}
	return keys
}

// setBoundary makes the document the permissions boundary, as a managed policy
// named <name>-boundary; nil removes it. The cloud's mutex must be held.
func (e *entity) setBoundary(d *document) {
	if d == nil {
		e.boundary = nil
		return
	}
	name := e.name + "-boundary"
	m := newManagedPolicy(e.account, "/", name)
	m.setDefault(m.addVersion(d))
	e.account.policies[strings.ToLower(name)] = m
	e.boundary = m
}

// principalTags returns the condition keys of the entity's tags as those of a
// caller.
func (e *entity) principalTags() conditionKeys {
	keys := conditionKeys{}
	for _, t := range e.tags {
		keys["aws:PrincipalTag/"+t.key] = []string{t.value}
	}
	return keys
}

// setResourceTags sets the keys of the tags of a request's resource.
func (k conditionKeys) setResourceTags(tags []tag) {
	for _, t := range tags {
		k["aws:ResourceTag/"+t.key] = []string{t.value}
		k["iam:ResourceTag/"+t.key] = []string{t.value}
	}
}

type namedPolicy struct {
	name   string
	policy *trust.Policy
}

// union returns the policy that says what all of these say. If there are several,
// the Sid of a statement is preceded by its policy's name, for explanations.
// Where "${" is plain text, because the policy has the old Version, it stays so.
func union(policies []namedPolicy) *trust.Policy {
	if len(policies) == 1 {
		return policies[0].policy
	}
	out := &trust.Policy{Version: "2012-10-17"}
	for _, p := range policies {
		for _, s := range p.policy.Statements {
			s.SID = strings.TrimSuffix(p.name+" "+s.SID, " ")
			if p.policy.Version != out.Version {
				s.Resource, s.NotResource = withoutVariables(s.Resource), withoutVariables(s.NotResource)
				s.Condition = maps.Clone(s.Condition)
				for operator, lines := range s.Condition {
					lines = maps.Clone(lines)
					for key, values := range lines {
						lines[key] = withoutVariables(values)
					}
					s.Condition[operator] = lines
				}
			}
			out.Statements = append(out.Statements, s)
		}
	}
	return out
}

// withoutVariables writes each "${" such that it stays plain text in a policy of
// Version 2012-10-17.
func withoutVariables(values []string) []string {
	out := slices.Clone(values)
	for i, v := range out {
		out[i] = strings.ReplaceAll(v, "${", "${$}{")
	}
	return out
}
