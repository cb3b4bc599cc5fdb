// Package denial reads which policy refused a request, where the service's message names
// it, and says who can fix that and how.
package denial

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/crossrole/crossrole/internal/lazyregexp"
)

// owner is who can change a policy.
type owner int

const (
	unknown      owner = iota // AWS does not say
	caller                    // the account of the identity that made the request
	resource                  // the account of the role, bucket or key
	callerOrg                 // the organization of the caller's account
	resourceOrg               // the organization of the resource's account
	settings                  // the program that requested the session
	endpointUser              // the owner of the VPC endpoint
)

// policy is one kind of policy: a row of the table.
type policy struct {
	name      string   // as AWS's messages name it
	spellings []string // other names that AWS documents
	owner     owner
	doc       string // where AWS documents the kind
}

// policies are the kinds of policies that AWS's messages name. The messages are documented
// at https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html and
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html:
//
//	User: ARN is not authorized to perform: ACTION [on resource: ARN] with an explicit deny in a POLICY[: ARN of the policy]
//	User: ARN is not authorized to perform: ACTION [on resource: ARN] because no POLICY allows the ACTION action
//
// A policy's ARN is only in messages to callers of the same account or organization:
// https://aws.amazon.com/blogs/security/enhanced-access-denied-error-messages-with-policy-arns/
var policies = []policy{
	{
		name: "identity-based policy", owner: caller,
		doc: "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_id-based",
	},
	{
		name: "resource-based policy", owner: resource,
		doc: "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_resource-based",
	},
	{
		name: "role trust policy", spellings: []string{"trust policy"}, owner: resource,
		doc: "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#term_trust-policy",
	},
	{
		name: "session policy", spellings: []string{"sessions policy"}, owner: settings,
		doc: "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session",
	},
	{
		name: "permissions boundary", owner: caller,
		doc: "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html",
	},
	{
		name: "service control policy", owner: callerOrg,
		doc: "https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps.html",
	},
	{
		name: "resource control policy", owner: resourceOrg,
		doc: "https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps.html",
	},
	{
		name: "VPC endpoint policy", owner: endpointUser,
		doc: "https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html",
	},
}

// Denial describes the policy that refused a request. It is immutable.
type Denial struct {
	Policy   string // its kind, such as "service control policy"; "policy" if the message does not say
	ARN      string // of the policy; empty: the message does not say
	Explicit bool   // a statement of the policy denies the request; otherwise none allows it

	Action          string // such as "sts:AssumeRole"; empty: the message does not say
	Resource        string // that Fix names; Read leaves it empty
	CallerAccount   string // account ID; empty: the message does not say
	ResourceAccount string // account ID; empty: the message does not say, as for S3

	owner owner
}

const (
	policyName = `([A-Za-z][A-Za-z -]{0,60}?(?:policy|boundary))`
	policyARN  = `arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:(?:[0-9]{12}|aws):[\w+=,.@/-]{1,600}`
	perform    = `^(?:User: \S+ is not|[Nn]ot) authorized to perform:?\s+`
)

var (
	// The policy that denies "transitively" is the one to change.
	explicitDeny = lazyregexp.New(`with an explicit deny(?: in (?:an?|the) ` + policyName + `(?: transitively through (?:an?|the) ` + policyName + `)?)?(?:: (?:(` + policyARN + `)|\S+))?[.]?\s*$`)
	noAllow      = lazyregexp.New(`because no ` + policyName + ` allows the \S+ action[.]?\s*$`)

	deniedAction    = lazyregexp.New(perform + `([a-z0-9-]{1,40}:[A-Za-z0-9]{1,60})`)
	callerAccount   = lazyregexp.New(`^User: arn:aws[a-z-]*:(?:iam|sts)::([0-9]{12}):`)
	resourceAccount = lazyregexp.New(perform + `\S+ on resource: "?arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:([0-9]{12}):`)
)

// Read returns the policy that refused a request. It returns false if message names none
// and does not mention an explicit deny either.
func Read(message string) (Denial, bool) {
	var d Denial
	said := WithoutKey(message)
	if m := explicitDeny().FindStringSubmatch(said); m != nil {
		d.Explicit, d.ARN = true, strings.TrimRight(m[3], ".,")
		d.setPolicy(cmp.Or(m[2], m[1], "policy"))
	} else if m := noAllow().FindStringSubmatch(said); m != nil {
		d.setPolicy(m[1])
	} else {
		return Denial{}, false
	}
	first := func(re func() *regexp.Regexp) string {
		if m := re().FindStringSubmatch(message); m != nil {
			return m[1]
		}
		return ""
	}
	d.Action, d.CallerAccount, d.ResourceAccount = Action(message), first(callerAccount), first(resourceAccount)
	return d, true
}

// Action returns the action that message says is denied, such as "s3:ListBucket"; empty
// if it does not say.
func Action(message string) string {
	if m := deniedAction().FindStringSubmatch(message); m != nil {
		return m[1]
	}
	return ""
}

// WithoutKey returns message without a resource in quotes. S3 quotes them, and their keys
// may contain anything, also what looks like the rest of a message.
func WithoutKey(message string) string {
	before, rest, found := strings.Cut(message, `on resource: "`)
	if !found {
		return message
	}
	if end := strings.LastIndexByte(rest, '"'); end >= 0 {
		return before + rest[end+1:]
	}
	return before
}

// setPolicy looks up the kind of policy that a message names. A kind that is not in the
// table keeps the name that it has there, and nothing is known about its owner.
func (d *Denial) setPolicy(name string) {
	d.Policy = name
	for _, p := range policies {
		for _, spelling := range append(p.spellings, p.name) {
			if strings.EqualFold(spelling, name) {
				d.Policy, d.owner = p.name, p.owner
				return
			}
		}
	}
}

// OfCaller reports whether an Allow in an identity-based policy of the caller fixes the
// denial.
func (d Denial) OfCaller() bool { return !d.Explicit && d.Policy == "identity-based policy" }

// OfResource reports whether an Allow in the policy of the resource fixes the denial. For
// a role that is its trust policy.
func (d Denial) OfResource() bool { return !d.Explicit && d.owner == resource }

// Fix returns what to do, as a sentence without a final period. It names the policy and
// its owner, and proposes no change of another policy.
func (d Denial) Fix() string {
	request := cmp.Or(d.Action, "the request")
	if d.Resource != "" {
		request += " on " + d.Resource
	}
	if d.Explicit {
		name := withArticle(d.Policy)
		if d.ARN != "" {
			name += " (" + d.ARN + ")"
		}
		remedy := d.whose() + " must exempt the caller"
		if d.owner == settings {
			remedy = "change the " + sessionSettings
		}
		return fmt.Sprintf("%s denies %s: %s; an explicit deny overrides every allow", name, request, remedy)
	}
	text := fmt.Sprintf("let the %s allow %s", d.Policy, request)
	switch d.owner {
	case caller, resource, endpointUser:
		text += ": " + d.whose() + " can change it"
	case callerOrg, resourceOrg:
		text = fmt.Sprintf("let a %s at each level, from the root to the account, allow %s: %s can change it", d.Policy, request, d.whose())
	case settings:
		text += ": it is the " + sessionSettings
	}
	if d.grants() {
		return text
	}
	return text + "; until then, no other allow counts"
}

// grants reports whether an allow in a policy of this kind grants something. The other
// kinds limit what these grant.
func (d Denial) grants() bool { return d.OfCaller() || d.OfResource() }

// sessionSettings is where a session policy comes from.
const sessionSettings = "Policy or PolicyARNs with which the caller's session was requested"

// whose returns who can change the policy.
func (d Denial) whose() string {
	of := func(role, account string) string {
		if account == "" {
			return "the " + role + "'s account"
		}
		return fmt.Sprintf("account %s (the %s's)", account, role)
	}
	switch d.owner {
	case caller:
		return of("caller", d.CallerAccount)
	case resource:
		return of(d.noun(), d.ResourceAccount)
	case callerOrg:
		return "an administrator of the organization of " + of("caller", d.CallerAccount)
	case resourceOrg:
		return "an administrator of the organization of " + of(d.noun(), d.ResourceAccount)
	case settings:
		return "the program that requested the session"
	case endpointUser:
		return "the owner of the VPC endpoint that the request used"
	}
	return "its owner"
}

// noun returns what the resource is, by the action.
func (d Denial) noun() string {
	service, _, _ := strings.Cut(d.Action, ":")
	switch service {
	case "sts":
		return "role"
	case "s3":
		return "bucket"
	case "kms":
		return "key"
	}
	return "resource"
}

// Verdict returns in a few words which policy denied the request and who can fix that.
func (d Denial) Verdict() string {
	var of, fix string
	switch d.owner {
	case caller:
		of, fix = " of the caller", "only "+d.whose()+" can fix it"
	case resource:
		of, fix = " of the "+d.noun(), "only "+d.whose()+" can fix it"
		if d.Policy == "role trust policy" {
			of = ""
		}
	case callerOrg, resourceOrg:
		of, fix = " of the organization", "neither account can fix it"
	case settings:
		fix = "neither account can fix it, only " + d.whose()
	default:
		fix = "only " + d.whose() + " can fix it"
	}
	if d.Explicit {
		return "denied by " + withArticle(d.Policy) + of + ": " + fix
	}
	return fmt.Sprintf("no %s%s allows it: %s", d.Policy, of, fix)
}

func withArticle(name string) string {
	switch {
	case name == "role trust policy":
		return "the " + name
	case strings.ContainsAny(name[:1], "aeiou"):
		return "an " + name
	}
	return "a " + name
}
