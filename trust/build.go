package trust

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// PolicyOptions are the settings of the functions that write policies. If a field's
// comment names functions, only those use the field.
//
// The policies admit what the arguments say and nothing more: the functions escape
// wildcards and policy variables, except where the documentation says that an
// argument is a pattern. If an argument cannot be written literally, such as a bucket
// p*, the policy has no statements, and [Policy.String] and the Validate methods say
// why. Other invalid arguments go into the policy unchanged, and the Validate methods
// report them.
type PolicyOptions struct {
	// Partition is the partition of the ARNs in the policy: "aws", "aws-cn",
	// "aws-us-gov", "aws-eusc", …. If empty, it is the partition of the ARNs or of
	// the issuers on AWS hosts among the arguments (see [PartitionOf]), or else "aws".
	// An ARN of a different partition is an error.
	Partition string

	Audience string // WebIdentityPolicy; empty: "sts.amazonaws.com"

	// RolePolicy: the external ID that the caller must send; empty: none. The options
	// print it as "[redacted]". The policy itself contains it, because IAM needs it.
	ExternalID string

	// RolePolicy, AssumePolicy: also allow sts:TagSession and
	// sts:SetSourceIdentity, which a hop with tags or a source identity needs.
	TagSession, SetSourceIdentity bool

	// RolePolicy: hubRoleARN is a pattern of roles, such as
	// arn:aws:iam::111122223333:role/hub-*, with * and ? as wildcards in the role's
	// name.
	HubPattern bool

	// RolePolicy: the organization to which the caller's account must belong, such as
	// "o-a1b2c3d4e5"; empty: any. With HubPattern, the account in hubRoleARN may then
	// be *.
	OrganizationID string

	// ReadBucketPolicy: the ARNs of the KMS keys with which the bucket's objects are
	// encrypted; empty: none.
	KMSKeyARNs []string
}

// Format prints the options without the external ID, a secret shared by two accounts,
// whatever the verb. It has no effect on options in an unexported field of a struct.
func (o PolicyOptions) Format(f fmt.State, _ rune) {
	if o.ExternalID != "" {
		o.ExternalID = redacted
	}
	fmt.Fprintf(f, "trust.PolicyOptions{Partition: %q, Audience: %q, ExternalID: %q, TagSession: %t, SetSourceIdentity: %t, HubPattern: %t, OrganizationID: %q, KMSKeyARNs: %q}",
		o.Partition, o.Audience, o.ExternalID, o.TagSession, o.SetSourceIdentity, o.HubPattern, o.OrganizationID, o.KMSKeyARNs)
}

// MarshalText does the same for JSON and slog.
func (o PolicyOptions) MarshalText() ([]byte, error) { return fmt.Append(nil, o), nil }

const redacted = "[redacted]"

func newOptions(optFns []func(*PolicyOptions)) PolicyOptions {
	var opts PolicyOptions
	for _, fn := range optFns {
		if fn != nil {
			fn(&opts)
		}
	}
	if opts.Audience == "" {
		opts.Audience = "sts.amazonaws.com"
	}
	return opts
}

// writer holds a policy while a function writes it.
type writer struct {
	policy     Policy
	function   string // its name, for errors
	opts       PolicyOptions
	partitions partitions
	refused    bool // an argument cannot be written
}

func newWriter(function string, optFns []func(*PolicyOptions)) *writer {
	w := &writer{policy: Policy{Version: version2012}, function: function, opts: newOptions(optFns)}
	if p := w.opts.Partition; p != "" && !isPartition(p) {
		w.refuse("the partition %q is not one of AWS (aws, aws-cn, aws-us-gov, …)", p)
	} else {
		w.partitions.add(p, "PolicyOptions.Partition")
	}
	return w
}

// fault records what is wrong with an argument.
func (w *writer) fault(format string, args ...any) {
	w.policy.faults = append(w.policy.faults, fmt.Errorf("trust: "+w.function+": "+format, args...))
}

// refuse records what is wrong with an argument that cannot be written.
func (w *writer) refuse(format string, args ...any) {
	w.fault(format, args...)
	w.refused = true
}

func (w *writer) add(s Statement) { w.policy.Statements = append(w.policy.Statements, s) }

// done returns the policy, without statements if an argument was refused.
func (w *writer) done() *Policy {
	if w.partitions.differ != nil {
		w.fault("%w", w.partitions.differ)
	}
	if w.refused {
		w.policy.Statements = nil
	}
	return &w.policy
}

// WebIdentityPolicy writes the trust policy of a role that service accounts assume
// with their tokens. Each issuer gets a statement that admits the subjects; during a
// cluster migration, give the issuers of blue and green. account is the account of the
// role, where each issuer must be registered as an OIDC provider. A subject with * or ?
// is a pattern and compared with StringLike; all others are compared with StringEquals.
// If there are both, each issuer gets two statements. Policy variables are escaped.
//
// Write the issuers exactly as in the tokens; the scheme may be missing. Apart from the
// rules of [PolicyOptions], the arguments are not validated: [Policy.ValidateTrust]
// reports what AWS would refuse. Without subjects the policy admits no caller, and AWS
// refuses it.
func WebIdentityPolicy(account string, issuers, subjects []string, optFns ...func(*PolicyOptions)) *Policy {
	w := newWriter("WebIdentityPolicy", optFns)
	if hasWildcard(account) {
		w.refuse("the account %q has a wildcard: write its 12 digits", account)
	}
	var exact, patterns []string
	for _, subject := range subjects {
		if hasWildcard(subject) {
			patterns = append(patterns, escapeVariables(subject))
		} else {
			exact = append(exact, escapeVariables(subject))
		}
	}
	for _, issuer := range issuers {
		if hasWildcard(issuer) {
			w.refuse("the issuer %q has a wildcard or a query: write it as the tokens spell it", issuer)
		}
		if w.opts.Partition == "" {
			w.partitions.add(PartitionOf(issuer), "the issuer "+issuer)
		}
	}
	partition := w.partitions.orDefault()
	admit := func(issuer, operator string, subjects []string) {
		path := issuerPath(issuer)
		conditions := Conditions{"StringEquals": {path + ":aud": {escapeVariables(w.opts.Audience)}}}
		if conditions[operator] == nil {
			conditions[operator] = map[string][]string{}
		}
		conditions[operator][path+":sub"] = slices.Clone(subjects)
		w.add(Statement{
			Effect:    "Allow",
			Principal: Principals{"Federated": {providerARN(partition, account, issuer)}},
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
	return w.done()
}

// RolePolicy writes the trust policy of a role that another role, the hub, may
// assume. If the two are in different accounts, the hub's own identity policy must
// allow it too: see [AssumePolicy].
//
// An external ID is required for sts:AssumeRole only. Requests for sts:TagSession and
// sts:SetSourceIdentity do not carry one, so these get a separate statement.
//
// hubRoleARN is one principal: "*" and other wildcards are refused. Apart from that it
// is not validated: [Policy.ValidateTrust] reports what AWS would refuse.
//
// With [PolicyOptions].HubPattern, the policy trusts every role whose ARN matches
// hubRoleARN, so that a new hub role does not change it. A principal cannot be a
// pattern: the principal is the account of the hub roles, or * with
// [PolicyOptions].OrganizationID, and a condition on aws:PrincipalArn (ArnLike) bounds
// it. Every administrator of IAM roles in such an account can create a role that
// matches.
func RolePolicy(hubRoleARN string, optFns ...func(*PolicyOptions)) *Policy {
	w := newWriter("RolePolicy", optFns)
	w.partitions.add(PartitionOf(hubRoleARN), "hubRoleARN "+hubRoleARN)
	principal, bound := hubRoleARN, Conditions{}
	switch {
	case w.opts.HubPattern:
		principal = w.hubAccount(hubRoleARN)
		bound["ArnLike"] = map[string][]string{"aws:PrincipalArn": {escapeVariables(hubRoleARN)}}
	case hasWildcard(hubRoleARN):
		w.refuse("hubRoleARN %q has a wildcard: name one role, or set PolicyOptions.HubPattern", hubRoleARN)
	}
	equals := map[string]string{}
	if id := w.opts.OrganizationID; id != "" {
		if !isOrganization(id) {
			w.refuse("the organization %q is not an ID like o-a1b2c3d4e5", id)
		}
		equals["aws:PrincipalOrgID"] = id
	}
	allow := func(actions []string) {
		condition := maps.Clone(bound)
		if len(equals) > 0 {
			condition["StringEquals"] = map[string][]string{}
			for key, value := range equals {
				condition["StringEquals"][key] = []string{value}
			}
		}
		if len(condition) == 0 {
			condition = nil
		}
		w.add(Statement{
			Effect:    "Allow",
			Principal: Principals{"AWS": {principal}},
			Action:    actions,
			Condition: condition,
		})
	}
	assume, session := []string{"sts:AssumeRole"}, w.opts.sessionActions()
	if w.opts.ExternalID == "" {
		allow(append(assume, session...))
		return w.done()
	}
	if !isExternalID(w.opts.ExternalID) {
		w.fault("the external id (not shown) is not valid for AssumeRole: want 2 to 1,224 letters, digits and _+=,.@:/-")
	}
	equals["sts:ExternalId"] = escapeVariables(w.opts.ExternalID)
	allow(assume)
	if delete(equals, "sts:ExternalId"); len(session) > 0 {
		allow(session)
	}
	return w.done()
}

// hubAccount returns the principal of a policy that trusts the roles that match
// pattern: their account, or * if the policy names their organization.
func (w *writer) hubAccount(pattern string) string {
	a, ok := splitARN(pattern)
	name, isRole := strings.CutPrefix(a.resource, "role/")
	switch {
	case !ok || a.service != "iam" || a.region != "" || !isRole || !isPartition(a.partition):
		w.refuse("hubRoleARN %q is not a pattern of roles, like arn:aws:iam::111122223333:role/hub-*", pattern)
	case strings.Trim(name, "*?/") == "":
		w.refuse("hubRoleARN %q matches every role: write a part of the hub roles' name", pattern)
	case isAccount(a.account):
		return iamARN(a.partition, a.account, "root")
	case a.account != "*":
		w.refuse("hubRoleARN %q: the account is not 12 digits", pattern)
	case w.opts.OrganizationID == "":
		w.refuse("hubRoleARN %q matches roles of every AWS account: name one account, or set PolicyOptions.OrganizationID", pattern)
	}
	return "*"
}

// isOrganization reports whether s is the ID of an organization (AWS Organizations API
// reference, Organization).
func isOrganization(s string) bool {
	id, ok := strings.CutPrefix(s, "o-")
	return ok && len(id) >= 10 && len(id) <= 32 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// isExternalID reports whether AssumeRole accepts s as ExternalId (AWS STS API
// reference, AssumeRole).
func isExternalID(s string) bool {
	return len(s) >= 2 && len(s) <= 1224 && strings.Trim(s, alphanumeric+"_+=,.@:/-") == ""
}

// sessionActions returns the actions that a hop with tags or a source identity needs
// in addition to sts:AssumeRole.
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

// escapeResource escapes text so that IAM takes it literally in a resource.
func escapeResource(text string) string {
	return strings.NewReplacer("$", "${$}", "*", "${*}", "?", "${?}").Replace(text)
}

// escapeVariables escapes text so that IAM finds no policy variables in it (IAM User
// Guide, "Variables and tags").
func escapeVariables(text string) string { return strings.ReplaceAll(text, "$", "${$}") }

// AssumePolicy writes the identity policy of a hub role, which allows it to assume the
// target roles. Their trust policies must admit the hub as well (see [RolePolicy]).
// Without targets the policy allows nothing, and AWS refuses it.
//
// A target with * or ? is a pattern, such as arn:aws:iam::*:role/audit for a role that
// exists in every account. Its partition and service must not contain wildcards, so
// "*" alone is refused. Policy variables are escaped. Apart from that the ARNs are not
// validated: [Policy.ValidateIdentity] reports what AWS would refuse.
func AssumePolicy(targetRoleARNs []string, optFns ...func(*PolicyOptions)) *Policy {
	w := newWriter("AssumePolicy", optFns)
	targets := make([]string, 0, len(targetRoleARNs))
	for _, target := range targetRoleARNs {
		head, resource, ok := w.literalARN("target", target)
		if ok {
			targets = append(targets, head+escapeVariables(resource))
		}
	}
	w.add(Statement{
		Effect:   "Allow",
		Action:   append([]string{"sts:AssumeRole"}, w.opts.sessionActions()...),
		Resource: targets,
	})
	return w.done()
}

// literalARN splits an ARN that is to become a Resource before its resource part, the
// only part where IAM supports escapes. It refuses an incomplete ARN, because AWS
// replaces missing fields with wildcards.
func (w *writer) literalARN(argument, text string) (head, resource string, ok bool) {
	a, ok := splitARN(text)
	switch {
	case !ok || a.resource == "":
		w.refuse("the %s %q is not a complete ARN, like arn:aws:iam::444455556666:role/name", argument, text)
		return "", "", false
	case !isPartition(a.partition) || a.service == "" || hasWildcard(a.service):
		w.refuse("the %s %q does not name one partition and service", argument, text)
		return "", "", false
	}
	head = text[:len(text)-len(a.resource)]
	if strings.Contains(head, "$") {
		w.refuse("the %s %q has a $ before its fifth colon, where IAM has no escape for it", argument, text)
		return "", "", false
	}
	w.partitions.add(a.partition, "the "+argument+" "+text)
	return head, a.resource, true
}

// ReadBucketPolicy writes the identity policy of a role that reads a bucket. The role
// may list the objects whose keys begin with prefix and get them, in any version. An
// empty prefix means the whole bucket. bucket is the bucket's name or ARN. The prefix
// is taken literally: wildcards and policy variables in it are escaped. In a bucket's
// name they are refused, because no bucket has such a name.
//
// If the objects are encrypted with KMS keys, list the full ARNs of the keys in
// [PolicyOptions].KMSKeyARNs. If a key belongs to another account than the role, its
// key policy must admit the role as well.
func ReadBucketPolicy(bucket, prefix string, optFns ...func(*PolicyOptions)) *Policy {
	w := newWriter("ReadBucketPolicy", optFns)
	name := bucket
	if a, ok := splitARN(bucket); ok {
		if !isPartition(a.partition) || a.service != "s3" || a.region != "" || a.account != "" {
			w.refuse("%q is not the ARN of a bucket, like arn:aws:s3:::pics", bucket)
		}
		w.partitions.add(a.partition, "the bucket "+bucket)
		name = a.resource
	}
	if strings.ContainsAny(name, "*?$/") {
		w.refuse("the bucket %q has characters that no bucket's name has; give a part of it by prefix", name)
	}
	var keys []string
	for _, key := range w.opts.KMSKeyARNs {
		head, resource, ok := w.literalARN("KMS key", key)
		if ok && hasWildcard(key) {
			w.refuse("the KMS key %q has a wildcard: name each key by its ARN", key)
		}
		keys = append(keys, head+escapeVariables(resource))
	}
	bucketARN := "arn:" + w.partitions.orDefault() + ":s3:::" + name
	literal := escapeResource(prefix)
	list := Statement{
		Effect:   "Allow",
		Action:   []string{"s3:ListBucket"},
		Resource: []string{bucketARN},
	}
	if prefix != "" {
		list.Condition = Conditions{"StringLike": {"s3:prefix": {literal + "*"}}}
	}
	w.add(Statement{
		Effect:   "Allow",
		Action:   []string{"s3:GetObject", "s3:GetObjectVersion"},
		Resource: []string{bucketARN + "/" + literal + "*"},
	})
	w.add(list)
	if len(keys) > 0 {
		w.add(Statement{
			Effect:   "Allow",
			Action:   []string{"kms:Decrypt"},
			Resource: keys,
		})
	}
	return w.done()
}
