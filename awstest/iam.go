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

// How it works
//
// access.decide follows AWS's flow chart from top to bottom (IAM User Guide, "How
// AWS enforcement code logic evaluates requests to allow or deny access" and
// "Cross-account policy evaluation logic"):
//
//  1. An explicit Deny in any policy that applies refuses the request.
//  2. Resource control policies of the resource's account have no more to say:
//     only AWS's own RCPFullAWSAccess allows, and it is attached everywhere.
//  3. Service control policies of the caller's account: one must allow at each
//     level, from the root of the organization to the account.
//  4. The resource policy. Within one account an Allow that names the session or
//     the user itself is the end of it; one that names the role makes identity
//     policies unnecessary; one that names the account leaves it to them. Across
//     accounts, and for the policy of a role or a KMS key, there must be an Allow.
//  5. The identity policies must allow.
//  6. The permissions boundary must allow.
//  7. The session policies must allow.
//
// Each step asks the policies of one kind and gets a verdict. The verdict that
// refuses is kept: message words it as AWS does, and the explanation names the
// policy and its statement, which AWS does not.

// access is a question to IAM: whether a caller may do action on an account's
// resource.
type access struct {
	p                *principal       // nil: no principal of an account
	federated        trust.Principals // p is nil: the provider of the caller's token; nil: anonymous
	owner            *Account         // of the resource
	action, resource string
	keys             map[string][]string // in addition to those of p and of the accounts

	policy         *trust.Policy // resource policy; nil: none
	policyResource string        // the resource as policy knows it: a trust policy has none
	pins           pins
	isTrust        bool // a role's trust policy, without which no caller may assume it

	blamed verdict // of the policies that refuse, once decide has refused
}

// decide reports whether the request is allowed, and in words why: the statements
// that grant it, or those that refuse. It takes no lock but that of the organization.
func (a *access) decide() (allowed bool, why string) {
	keys := a.contextKeys()
	rcp, scp := a.resourceControl(keys), a.serviceControl(keys)
	resource, named := a.resourceBased(keys)
	identity, boundary, session := a.callersOwn(keys)

	for _, v := range []verdict{scp, rcp, resource, identity, boundary, session} {
		if v.denied {
			return a.refuse(v)
		}
	}
	if !scp.allowed {
		return a.refuse(scp)
	}
	switch oneAccount := a.p != nil && a.p.account == a.owner; {
	case oneAccount && named == callerNamed:
		return true, resource.why
	case oneAccount && named == roleNamed && !identity.allowed:
		identity.allowed, identity.why = true, ""
	case (!oneAccount || a.mustBeNamed()) && !resource.allowed:
		return a.refuse(resource)
	}
	for _, v := range []verdict{identity, boundary, session} {
		if !v.allowed {
			return a.refuse(v)
		}
	}
	// SCPs, RCPs, boundaries and session policies limit what these grant.
	var grants []string
	for _, v := range []verdict{identity, resource} {
		if v.allowed && v.why != "" {
			grants = append(grants, v.why)
		}
	}
	return true, strings.Join(grants, "; ")
}

// mustBeNamed reports whether the resource's policy must allow even within one
// account: that of a role and that of a KMS key.
func (a *access) mustBeNamed() bool { return a.isTrust || a.isKey() }

// isKey reports whether the resource is a KMS key.
func (a *access) isKey() bool {
	fields := strings.SplitN(a.resource, ":", 6)
	return len(fields) == 6 && fields[2] == "kms" && strings.HasPrefix(fields[5], "key/")
}

func (a *access) refuse(v verdict) (bool, string) {
	a.blamed = v
	return false, v.why
}

// verdict is what the policies of one kind say about a request. A kind that does
// not apply allows it.
type verdict struct {
	kind            policyKind
	allowed, denied bool
	arn             string // of the policy that denies, if it has one
	why             string // in words: the statements that allow it, or why it is not allowed
}

// policyKind is a kind of policies, as AWS's messages name it.
type policyKind string

const (
	scpKind      policyKind = "service control policy"
	rcpKind      policyKind = "resource control policy"
	resourceKind policyKind = "resource-based policy"
	trustKind    policyKind = "role trust policy"
	identityKind policyKind = "identity-based policy"
	boundaryKind policyKind = "permissions boundary"
	sessionKind  policyKind = "session policy"
)

// guardrail is a policy that grants nothing and limits what others grant: a
// service control policy, a resource control policy or a permissions boundary.
type guardrail struct {
	name, arn string
	policy    *trust.Policy // nil: FullAWSAccess, which allows everything
}

// ask asks a policy, which explanations call name.
func (a *access) ask(kind policyKind, name, arn string, policy *trust.Policy, resource string, caller trust.Principals, keys conditionKeys) (verdict, trust.Decision) {
	d := policy.Explain(trust.Request{Action: a.action, Resource: resource, Principal: caller, Context: keys})
	v := verdict{kind: kind, allowed: d.Allowed, denied: d.Denied}
	if d.Denied {
		v.arn = arn
	}
	v.why = reasons(name, policy, d)
	return v, d
}

// resourceControl asks the RCPs that apply to the resource. They affect those of
// member accounts and of some services only, and no call of a service-linked role
// (AWS Organizations User Guide, "Resource control policies").
func (a *access) resourceControl(keys conditionKeys) verdict {
	v := verdict{kind: rcpKind, allowed: true}
	service, _, _ := strings.Cut(a.action, ":")
	m := memberOf(a.owner)
	if m == nil || m.management || !slices.Contains(rcpServices, strings.ToLower(service)) || a.p.isServiceLinked() {
		return v
	}
	for _, level := range m.levels {
		for _, g := range level.rcps {
			v, _ := a.ask(rcpKind, g.explain(rcpKind, level), g.arn, g.policy, a.resource, a.callerNames(), keys)
			if v.denied {
				return v
			}
		}
	}
	return v
}

// serviceControl asks the SCPs that apply to the caller. They affect principals
// of member accounts only, and no service-linked role (AWS Organizations User
// Guide, "Service control policies").
func (a *access) serviceControl(keys conditionKeys) verdict {
	all := verdict{kind: scpKind, allowed: true}
	if a.p == nil || a.p.isServiceLinked() {
		return all
	}
	m := memberOf(a.p.account)
	if m == nil || m.management {
		return all
	}
	for _, level := range m.levels {
		allowed, why := false, []string(nil)
		for _, g := range level.scps {
			if g.policy == nil {
				allowed = true
				continue
			}
			v, _ := a.ask(scpKind, g.explain(scpKind, level), g.arn, g.policy, a.resource, nil, keys)
			if v.denied {
				return v
			}
			allowed, why = allowed || v.allowed, append(why, v.why)
		}
		if !allowed && all.allowed {
			all.allowed, all.why = false, strings.Join(why, "; and ")
		}
	}
	return all
}

// explain names the policy in explanations.
func (g *guardrail) explain(kind policyKind, level level) string {
	return fmt.Sprintf("%s %s (%s) of %s", kind, g.name, g.arn, level.name)
}

// naming is how an Allow of a resource policy names the caller, which decides what
// else must allow (IAM User Guide, "Policy evaluation for requests within a single
// account" and "AWS JSON policy elements: Principal").
type naming int

const (
	notNamed     naming = iota
	accountNamed        // its account, whose identity policies decide
	roleNamed           // its role, or everyone: boundary and session policies limit the Allow
	callerNamed         // the user or session itself: nothing limits the Allow
)

// resourceBased asks the resource policy, and how it names the caller that it
// allows.
func (a *access) resourceBased(keys conditionKeys) (verdict, naming) {
	kind, name := resourceKind, "resource policy of "+a.resource
	switch {
	case a.isTrust:
		kind, name = trustKind, "trust policy of "+a.resource
	case a.isKey():
		name = "key policy of " + a.resource
	}
	if a.policy == nil {
		return verdict{kind: kind, why: name + ": there is none"}, notNamed
	}
	v, d := a.ask(kind, name, "", a.policy, a.policyResource, a.callerNames(), keys)
	best := notNamed
	if d.Allowed && a.p != nil {
		self, role, _ := a.names()
		for _, r := range d.Reasons {
			if s := &a.policy.Statements[r.Statement]; r.Matched && s.Effect == "Allow" {
				best = max(best, namingOf(s, self, role))
			}
		}
	}
	return v, best
}

// namingOf returns how a statement that matches the caller names it.
func namingOf(s *trust.Statement, self, role []string) naming {
	lists := func(names []string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(s.Principal["AWS"], name) })
	}
	everyone := s.NotPrincipal != nil || len(s.Principal["*"]) > 0 || slices.Contains(s.Principal["AWS"], "*")
	switch {
	case lists(self), everyone && wantsPrincipalARN(s.Condition):
		return callerNamed
	case lists(role), everyone:
		// AWS does not say whether boundary and session policies limit an Allow for
		// everyone without a condition on aws:PrincipalArn. Here they do.
		return roleNamed
	}
	return accountNamed
}

// wantsPrincipalARN reports whether conditions admit callers by aws:PrincipalArn.
func wantsPrincipalARN(conditions trust.Conditions) bool {
	for operator, keys := range conditions {
		if strings.Contains(operator, "Not") || operator == "Null" {
			continue
		}
		for key := range keys {
			if strings.EqualFold(key, "aws:PrincipalArn") {
				return true
			}
		}
	}
	return false
}

// callersOwn asks the policies that come with the caller.
func (a *access) callersOwn(keys conditionKeys) (identity, boundary, session verdict) {
	identity, boundary, session = verdict{kind: identityKind, allowed: true}, verdict{kind: boundaryKind, allowed: true}, verdict{kind: sessionKind, allowed: true}
	p := a.p
	if p == nil {
		return
	}
	holder := p.arn
	if p.role != nil {
		holder = p.role.arn
	}
	identity, _ = a.ask(identityKind, "identity policy of "+holder, "", p.policy, a.resource, nil, keys)
	if b := p.boundary; b != nil {
		boundary, _ = a.ask(boundaryKind, fmt.Sprintf("permissions boundary %s of %s", b.arn, holder), b.arn, b.policy, a.resource, nil, keys)
	}
	if p.session != nil {
		session, _ = a.ask(sessionKind, "session policy of "+p.arn, "", p.session, a.resource, nil, keys)
	}
	return identity, boundary, session
}

// callerNames are all names of the caller in a resource policy.
func (a *access) callerNames() trust.Principals {
	if a.p == nil {
		return a.federated
	}
	self, role, account := a.names()
	return trust.Principals{"AWS": slices.Concat(self, role, account)}
}

// names are the caller's names in a resource policy: its own, that of the role
// it holds, those of its account.
func (a *access) names() (self, role, account []string) {
	p := a.p
	if p.role == nil {
		if a.pins.names(p.arn, p.userID) {
			self = []string{p.arn}
		}
	} else {
		self = []string{p.arn}
		if a.pins.names(p.role.arn, p.role.id) {
			role = []string{p.role.arn}
		}
	}
	return self, role, []string{p.account.rootARN(), p.account.id}
}

// isServiceLinked reports whether the caller is a session of a service-linked
// role.
func (p *principal) isServiceLinked() bool {
	return p != nil && p.role != nil && strings.Contains(p.role.arn, ":role/aws-service-role/")
}

// contextKeys are the condition keys of the request, those of the caller and
// those of the two accounts.
func (a *access) contextKeys() conditionKeys {
	keys := conditionKeys{"aws:ViaAWSService": {"false"}}
	maps.Copy(keys, a.keys)
	switch {
	case a.p != nil:
		maps.Copy(keys, a.p.keys)
		keys["aws:PrincipalIsAWSService"] = []string{"false"}
		if a.p.state != nil {
			// Requests with temporary credentials have the key, those with long-term
			// keys have not.
			keys["aws:MultiFactorAuthPresent"] = []string{"false"}
		}
		if m := memberOf(a.p.account); m != nil {
			keys["aws:PrincipalOrgID"], keys["aws:PrincipalOrgPaths"] = []string{m.organization}, []string{m.path}
		}
	case a.federated == nil:
		keys["aws:PrincipalType"], keys["aws:userid"] = []string{"Anonymous"}, []string{"anonymous"}
	}
	if a.owner != nil {
		keys["aws:ResourceAccount"] = []string{a.owner.id}
		if m := memberOf(a.owner); m != nil {
			keys["aws:ResourceOrgID"], keys["aws:ResourceOrgPaths"] = []string{m.organization}, []string{m.path}
		}
	}
	return keys
}

// message is the text of AWS's refusal, after decide has refused (IAM User Guide,
// "Troubleshoot access denied error messages"). resource is how the service shows
// the resource. The ARN of the policy that denies is for callers of the
// resource's account or organization only.
func (a *access) message(resource string) string {
	text := fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s", a.p.arn, a.action, resource)
	kind := a.blamed.kind
	article := "a"
	switch kind {
	case identityKind:
		article = "an"
	case trustKind:
		article = "the"
	}
	if !a.blamed.denied {
		return fmt.Sprintf("%s because no %s allows the %s action", text, kind, a.action)
	}
	text = fmt.Sprintf("%s with an explicit deny in %s %s", text, article, kind)
	if a.blamed.arn != "" && a.acquainted() {
		text += ": " + a.blamed.arn
	}
	return text
}

// acquainted reports whether the caller and the resource are of one account or
// one organization.
func (a *access) acquainted() bool {
	if a.p == nil {
		return false
	}
	return a.p.account == a.owner || memberOf(a.p.account) != nil && memberOf(a.owner) != nil
}

// reasons puts a policy's decision into words: the statements that deny, or those that
// allow, or else what keeps each from matching.
func reasons(name string, policy *trust.Policy, d trust.Decision) string {
	if len(d.Reasons) == 0 {
		return name + ": no statement"
	}
	var words []string
	for _, r := range d.Reasons {
		statement := fmt.Sprintf("statement %d", r.Statement)
		if r.SID != "" {
			statement += " " + r.SID
		}
		switch {
		case d.Allowed && r.Matched:
			words = append(words, statement)
		case d.Denied && r.Matched && policy.Statements[r.Statement].Effect == "Deny":
			words = append(words, fmt.Sprintf("%s matched: %s", statement, r.Text))
		case !d.Allowed && !d.Denied && !r.Matched:
			words = append(words, fmt.Sprintf("%s: %s: %s", statement, r.Element, r.Text))
		}
	}
	return name + ": " + strings.Join(words, "; ")
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
