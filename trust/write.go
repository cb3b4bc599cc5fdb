package trust

import (
	"slices"
	"strings"
)

// PolicyOptions are the settings of the functions that write policies. A field
// names the functions that read it; the others do not.
type PolicyOptions struct {
	Partition  string // WebIdentityPolicy, ReadBucketPolicy; empty: "aws"
	Audience   string // WebIdentityPolicy; empty: "sts.amazonaws.com"
	ExternalID string // RolePolicy; empty: none asked for

	// RolePolicy, AssumePolicy: also allow sts:TagSession and
	// sts:SetSourceIdentity, which a hop needs that carries tags or a source
	// identity.
	TagSession, SetSourceIdentity bool

	// ReadBucketPolicy: the KMS keys, by ARN, that the bucket's objects are
	// encrypted with; empty: none.
	KMSKeyARNs []string
}

func newOptions(optFns []func(*PolicyOptions)) PolicyOptions {
	opts := PolicyOptions{Partition: "aws", Audience: "sts.amazonaws.com"}
	for _, fn := range optFns {
		if fn != nil {
			fn(&opts)
		}
	}
	if opts.Partition == "" {
		opts.Partition = "aws"
	}
	if opts.Audience == "" {
		opts.Audience = "sts.amazonaws.com"
	}
	return opts
}

// WebIdentityPolicy writes the trust policy of a role that service accounts
// assume with their tokens: one statement an issuer (blue and green during a
// cluster migration), each admitting the subjects. account is the account of
// the role, where each issuer must be registered as an OIDC provider. A subject
// with * or ? is compared by StringLike, any other by StringEquals; an issuer
// gets a statement for each of the two kinds that there are.
//
// The issuers are taken as the tokens spell them, but for the scheme. The
// arguments are not checked: [Policy.ValidateTrust] says what AWS would refuse.
// Without subjects nobody is admitted, and AWS refuses the policy.
func WebIdentityPolicy(account string, issuers, subjects []string, optFns ...func(*PolicyOptions)) *Policy {
	opts := newOptions(optFns)
	var exact, patterns []string
	for _, subject := range subjects {
		if hasWildcard(subject) {
			patterns = append(patterns, subject)
		} else {
			exact = append(exact, subject)
		}
	}
	policy := &Policy{Version: version2012}
	admit := func(issuer, operator string, subjects []string) {
		path := issuerPath(issuer)
		conditions := Conditions{"StringEquals": {path + ":aud": {opts.Audience}}}
		if conditions[operator] == nil {
			conditions[operator] = map[string][]string{}
		}
		conditions[operator][path+":sub"] = slices.Clone(subjects)
		policy.Statements = append(policy.Statements, Statement{
			Effect:    "Allow",
			Principal: Principals{"Federated": {providerARN(opts.Partition, account, issuer)}},
			Action:    []string{"sts:AssumeRoleWithWebIdentity"},
			Condition: conditions,
		})
	}
	for _, issuer := range issuers {
		if len(exact) > 0 || len(patterns) == 0 {
			admit(issuer, "StringEquals", exact)
		}
		if len(patterns) > 0 {
			admit(issuer, "StringLike", patterns)
		}
	}
	return policy
}

// RolePolicy writes the trust policy of a role that another role, the hub, may
// assume. The hub's own identity policy must allow that too where the two are
// in different accounts: see [AssumePolicy].
//
// An external id is asked for sts:AssumeRole alone; sts:TagSession and
// sts:SetSourceIdentity carry none, and get a statement of their own. hubRoleARN
// is not checked: [Policy.ValidateTrust] says what AWS would refuse.
func RolePolicy(hubRoleARN string, optFns ...func(*PolicyOptions)) *Policy {
	opts := newOptions(optFns)
	policy := &Policy{Version: version2012}
	allow := func(actions []string, condition Conditions) {
		policy.Statements = append(policy.Statements, Statement{
			Effect:    "Allow",
			Principal: Principals{"AWS": {hubRoleARN}},
			Action:    actions,
			Condition: condition,
		})
	}
	assume, session := []string{"sts:AssumeRole"}, opts.sessionActions()
	if opts.ExternalID == "" {
		allow(append(assume, session...), nil)
		return policy
	}
	allow(assume, Conditions{"StringEquals": {"sts:ExternalId": {opts.ExternalID}}})
	if len(session) > 0 {
		allow(session, nil)
	}
	return policy
}

// sessionActions are the actions that a hop with tags or a source identity
// needs besides sts:AssumeRole.
func (o PolicyOptions) sessionActions() []string {
	var actions []string
	if o.TagSession {
		actions = append(actions, "sts:TagSession")
	}
	if o.SetSourceIdentity {
		actions = append(actions, "sts:SetSourceIdentity")
	}
	return actions
}

// escapeResource writes text of a resource so that IAM takes it literally.
func escapeResource(text string) string {
	return strings.NewReplacer("$", "${$}", "*", "${*}", "?", "${?}").Replace(text)
}
