package awstest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/crossrole/crossrole/trust"
)

// Policies of IAM: what makes a document a policy, for the methods that set up a
// cloud and for requests to IAM alike, and the actions on managed policies. The
// actions on a role's policies are in iamrole.go.

// What IAM allows (IAM User Guide, "IAM and AWS STS quotas"; the sizes are package
// trust's constants).
const (
	maxAttached       = 10 // managed policies of a role or user; a quota that can be raised
	maxPolicyVersions = 5
	maxPolicyName     = 128
)

// parseTrustPolicy reads the trust policy of a role.
func parseTrustPolicy(text string) (*document, *refusal) {
	return parsePolicy(text, "trust policy", (*trust.Policy).ValidateTrust, trustFault)
}

// parseIdentityPolicy reads a policy for a role or user.
func parseIdentityPolicy(text string) (*document, *refusal) {
	return parsePolicy(text, "identity policy", (*trust.Policy).ValidateIdentity, identityFault)
}

// parseOptionalPolicy is parseIdentityPolicy for the methods that set up a cloud,
// where an empty policy is none.
func parseOptionalPolicy(text string) (*document, *refusal) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	return parseIdentityPolicy(text)
}

// parseManagedPolicy reads a managed policy. For the methods that set up a cloud an
// empty one is none.
func parseManagedPolicy(text string) (*document, *refusal) {
	d, refused := parseOptionalPolicy(text)
	if d != nil && d.size > trust.MaxManagedPolicySize {
		return nil, limitExceeded(fmt.Sprintf("Cannot exceed quota for PolicySize: %d", trust.MaxManagedPolicySize), fmt.Sprintf("the policy has %d characters", d.size))
	}
	return d, refused
}

// parsePolicy reads a policy. AWS's text of a fault is one of few, which fault
// selects by the first statement that it fits; the reason is package trust's.
func parsePolicy(text, kind string, validate func(*trust.Policy) error, fault func(trust.Statement) string) (*document, *refusal) {
	p, err := trust.ParsePolicy([]byte(text))
	if err == nil {
		err = validate(p)
	}
	if err == nil {
		return &document{text: text, policy: p, size: policySize(text)}, nil
	}
	why := kind + ": " + err.Error()
	if !json.Valid([]byte(text)) {
		return nil, malformed("This policy contains invalid Json", why)
	}
	seen := map[string]bool{}
	for _, s := range statementsOf(text) {
		if message := fault(s); message != "" {
			return nil, malformed(message, why)
		}
		if s.SID != "" && seen[s.SID] {
			return nil, malformed("Statement IDs (SID) in a single policy must be unique.", why)
		}
		seen[s.SID] = true
	}
	return nil, malformed("Syntax errors in policy.", why)
}

// statementsOf reads the statements of a policy that has a fault; nil if they
// cannot be read.
func statementsOf(text string) []trust.Statement {
	var policy struct{ Statement json.RawMessage }
	if json.Unmarshal([]byte(text), &policy) != nil {
		return nil
	}
	var list []trust.Statement
	if json.Unmarshal(policy.Statement, &list) == nil {
		return list
	}
	var one trust.Statement
	if json.Unmarshal(policy.Statement, &one) == nil {
		return []trust.Statement{one}
	}
	return nil
}

// trustFault is AWS's text of what is wrong with a statement of a trust policy;
// empty if it has no text of its own.
func trustFault(s trust.Statement) string {
	switch {
	case s.Resource != nil:
		return "Has prohibited field Resource"
	case s.NotResource != nil:
		return "Has prohibited field NotResource"
	case s.NotPrincipal != nil:
		return "Has prohibited field NotPrincipal"
	case s.Principal == nil:
		return "Missing required field Principal"
	}
	for _, action := range slices.Concat(s.Action, s.NotAction) {
		if action != "*" && !strings.HasPrefix(strings.ToLower(action), "sts:") {
			return "AssumeRole policy may only specify STS AssumeRole actions."
		}
	}
	for _, kind := range []string{"Federated", "AWS", "Service"} {
		for _, name := range s.Principal[kind] {
			alone := trust.Policy{Statements: []trust.Statement{{Effect: "Allow", Principal: trust.Principals{kind: {name}}, Action: []string{"sts:AssumeRole"}}}}
			switch {
			case alone.ValidateTrust() == nil:
			case kind == "Federated":
				return "Federated principals must be valid domain names or SAML metadata ARNs"
			default:
				return fmt.Sprintf("Invalid principal in policy: %q:%q", kind, name)
			}
		}
	}
	return ""
}

// identityFault is trustFault for a policy of a role or user.
func identityFault(s trust.Statement) string {
	switch {
	case s.Principal != nil || s.NotPrincipal != nil:
		return "Policy document should not specify a principal."
	case s.Action == nil && s.NotAction == nil:
		return "Policy statement must contain actions."
	case s.Resource == nil && s.NotResource == nil:
		return "Policy statement must contain resources."
	}
	for _, action := range slices.Concat(s.Action, s.NotAction) {
		if action != "*" && !strings.Contains(action, ":") {
			return "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
		}
	}
	for _, resource := range slices.Concat(s.Resource, s.NotResource) {
		if resource != "*" && !strings.HasPrefix(resource, "arn:") {
			return fmt.Sprintf("Resource %s must be in ARN format or \"*\".", resource)
		}
	}
	return ""
}

// managedPolicy is a managed policy: an account's own or one of AWS's.
type managedPolicy struct {
	account     *Account // nil: one of AWS's
	name, path  string
	arn, id     string
	description string
	created     time.Time

	// Guarded by the cloud's mutex.
	versions []*policyVersion // oldest first
	document *document        // of the default version
	latest   int              // number of the version created last
	updated  time.Time
	tags     []tag
}

// policyVersion is one version of a managed policy.
type policyVersion struct {
	number   int
	document *document
	created  time.Time
}

func (v *policyVersion) id() string { return "v" + strconv.Itoa(v.number) }

// awsPolicies are AWS managed policies, which every account of every partition
// has.
var awsPolicies = sync.OnceValue(func() map[string]*document {
	parsed := map[string]*document{}
	for name, text := range map[string]string{
		"AdministratorAccess":    `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
		"AmazonS3ReadOnlyAccess": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*","s3:Describe*","s3-object-lambda:Get*","s3-object-lambda:List*"],"Resource":"*"}]}`,
		"AmazonS3FullAccess":     `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","s3-object-lambda:*"],"Resource":"*"}]}`,
	} {
		d, refused := parseIdentityPolicy(text)
		must("managed policy "+name, refused) // they are our own
		parsed[name] = d
	}
	return parsed
})

// awsPolicy returns an AWS managed policy; nil if the cloud has none of that name.
func awsPolicy(c *Cloud, name string) *managedPolicy {
	d := awsPolicies()[name]
	if d == nil {
		return nil
	}
	created := time.Date(2015, 2, 6, 18, 40, 0, 0, time.UTC)
	return &managedPolicy{
		name: name, path: "/", arn: "arn:" + c.partition.name + ":iam::aws:policy/" + name, id: "ANPA" + strings.ToUpper(stableUUID(name)[:8]) + "AWSPOLICY",
		created: created, updated: created, document: d, latest: 1,
		versions: []*policyVersion{{number: 1, document: d, created: created}},
	}
}

// newManagedPolicy makes a policy without versions that is not yet one of the
// account's.
func newManagedPolicy(a *Account, path, name string) *managedPolicy {
	return &managedPolicy{
		account: a, name: name, path: path, arn: a.iamARN("policy" + path + name), id: newID("ANPA", 21),
		created: time.Now().UTC().Truncate(time.Second),
	}
}

// guardrail is the policy as a permissions boundary; nil if there is none. The
// cloud's mutex must be held.
func (m *managedPolicy) guardrail() *guardrail {
	if m == nil {
		return nil
	}
	return &guardrail{name: m.name, arn: m.arn, policy: m.document.policy}
}

// holders returns the account's roles and users that the policy is attached to,
// and how many have it as their permissions boundary. The cloud's mutex must be
// held.
func (m *managedPolicy) holders(a *Account) (attached []*entity, boundaries int) {
	visit := func(e *entity) {
		if e.boundary != nil && e.boundary.arn == m.arn {
			boundaries++
		}
		if slices.ContainsFunc(e.attached, func(o *managedPolicy) bool { return o.arn == m.arn }) {
			attached = append(attached, e)
		}
	}
	for _, r := range a.roles {
		visit(&r.entity)
	}
	for _, u := range a.users {
		visit(&u.entity)
	}
	return attached, boundaries
}

// setDefault makes a version the one in force. The cloud's mutex must be held.
func (m *managedPolicy) setDefault(v *policyVersion) {
	m.document, m.updated = v.document, time.Now().UTC().Truncate(time.Second)
	attached, _ := m.holders(m.account)
	for _, e := range attached {
		e.combine()
	}
}

func (m *managedPolicy) addVersion(d *document) *policyVersion {
	m.latest++
	v := &policyVersion{number: m.latest, document: d, created: time.Now().UTC().Truncate(time.Second)}
	m.versions = append(m.versions, v)
	return v
}

// write adds the policy's elements, as account a sees it.
func (m *managedPolicy) write(b *strings.Builder, a *Account) {
	attached, boundaries := m.holders(a)
	element(b, "PolicyName", m.name)
	element(b, "PolicyId", m.id)
	element(b, "Arn", m.arn)
	element(b, "Path", m.path)
	for _, v := range m.versions {
		if v.document == m.document {
			element(b, "DefaultVersionId", v.id())
		}
	}
	element(b, "AttachmentCount", strconv.Itoa(len(attached)))
	element(b, "PermissionsBoundaryUsageCount", strconv.Itoa(boundaries))
	element(b, "IsAttachable", "true")
	if m.description != "" {
		element(b, "Description", m.description)
	}
	element(b, "CreateDate", m.created.Format(time.RFC3339))
	element(b, "UpdateDate", m.updated.Format(time.RFC3339))
	writeTags(b, m.tags)
}

func (v *policyVersion) write(b *strings.Builder, m *managedPolicy, withDocument bool) {
	if withDocument {
		element(b, "Document", encodePolicy(v.document.text))
	}
	element(b, "VersionId", v.id())
	element(b, "IsDefaultVersion", strconv.FormatBool(v.document == m.document))
	element(b, "CreateDate", v.created.Format(time.RFC3339))
}

var (
	policyARN       = parameter{name: "PolicyArn", label: "policyArn", required: true, min: 20, max: 2048}
	policyDocument  = parameter{name: "PolicyDocument", label: "policyDocument", required: true, min: 1, max: 131072, pattern: textPattern, shown: `[\u0009\u000A\u000D\u0020-\u00FF]+`}
	policyVersionID = parameter{name: "VersionId", label: "versionId", required: true, min: 2, max: 21}
	description     = parameter{name: "Description", label: "description", max: 1000}
	setAsDefault    = parameter{name: "SetAsDefault", label: "setAsDefault", min: 4, max: 5}
)

// requestedDocument reads the PolicyDocument of a managed policy.
func requestedDocument(req *request) (*document, *refusal) {
	d, refused := parseManagedPolicy(req.param("PolicyDocument"))
	if refused == nil && d == nil {
		refused = malformed("Syntax errors in policy.", "it is empty")
	}
	return d, refused
}

func createPolicy(_ *Cloud, req *request) (string, *refusal) {
	a := req.caller.account
	name, path := req.param("PolicyName"), pathOf(req)
	arn := a.iamARN("policy" + path + name)
	tags, refused := tagsOf(req)
	if refused != nil {
		return "", refused
	}
	if refused := permit(req, "policy "+name, arn, requestTagKeys(tags)); refused != nil {
		return "", refused
	}
	if refused := permitTagging(req, "iam:TagPolicy", arn, tags); refused != nil {
		return "", refused
	}
	d, refused := requestedDocument(req)
	if refused != nil {
		return "", refused
	}
	if a.policies[strings.ToLower(name)] != nil {
		return "", alreadyExists(fmt.Sprintf("A policy called %s already exists. Duplicate names are not allowed.", name), "")
	}
	m := newManagedPolicy(a, path, name)
	m.description, m.tags = req.param("Description"), tags
	m.setDefault(m.addVersion(d))
	a.policies[strings.ToLower(name)] = m
	var b strings.Builder
	b.WriteString("<Policy>")
	m.write(&b, a)
	b.WriteString("</Policy>")
	return b.String(), nil
}

// requestedPolicy finds the policy that a request names and checks that the
// caller's policies allow the action on it.
func requestedPolicy(req *request) (*managedPolicy, *refusal) {
	arn := req.param("PolicyArn")
	keys := conditionKeys{}
	m, unknown := req.caller.account.cloud.managedPolicy(req.caller.account.id, arn)
	if m != nil {
		keys.setResourceTags(m.tags)
	}
	if refused := permit(req, "policy "+arn, arn, keys); refused != nil {
		return nil, refused
	}
	switch {
	case unknown != nil:
		return nil, unknown
	case m == nil:
		return nil, noSuchEntity("Policy %s was not found.", arn)
	}
	return m, nil
}

// ownPolicy is requestedPolicy for what an account may do with its own only.
func ownPolicy(req *request) (*managedPolicy, *refusal) {
	m, refused := requestedPolicy(req)
	if refused == nil && m.account == nil {
		return nil, accessDenied(fmt.Sprintf("User: %s is not authorized to perform: iam:%s on resource: policy %s", req.caller.arn, req.param("Action"), m.arn), "the policy is AWS's own")
	}
	return m, refused
}

func getPolicy(_ *Cloud, req *request) (string, *refusal) {
	m, refused := requestedPolicy(req)
	if refused != nil {
		return "", refused
	}
	var b strings.Builder
	b.WriteString("<Policy>")
	m.write(&b, req.caller.account)
	b.WriteString("</Policy>")
	return b.String(), nil
}

func (m *managedPolicy) version(id string) (*policyVersion, *refusal) {
	for _, v := range m.versions {
		if v.id() == id {
			return v, nil
		}
	}
	return nil, noSuchEntity("Policy %s version %s does not exist or is not attachable.", m.arn, id)
}

func getPolicyVersion(_ *Cloud, req *request) (string, *refusal) {
	m, refused := requestedPolicy(req)
	if refused != nil {
		return "", refused
	}
	v, refused := m.version(req.param("VersionId"))
	if refused != nil {
		return "", refused
	}
	var b strings.Builder
	b.WriteString("<PolicyVersion>")
	v.write(&b, m, true)
	b.WriteString("</PolicyVersion>")
	return b.String(), nil
}

func deletePolicy(_ *Cloud, req *request) (string, *refusal) {
	m, refused := ownPolicy(req)
	if refused != nil {
		return "", refused
	}
	attached, boundaries := m.holders(m.account)
	switch {
	case len(attached) > 0 || boundaries > 0:
		return "", deleteConflict("Cannot delete a policy attached to entities.")
	case len(m.versions) > 1:
		return "", deleteConflict("This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
	}
	delete(m.account.policies, strings.ToLower(m.name))
	return "", nil
}

func createPolicyVersion(_ *Cloud, req *request) (string, *refusal) {
	m, refused := ownPolicy(req)
	if refused != nil {
		return "", refused
	}
	d, refused := requestedDocument(req)
	if refused != nil {
		return "", refused
	}
	if len(m.versions) >= maxPolicyVersions {
		return "", limitExceeded(fmt.Sprintf("A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", maxPolicyVersions), "")
	}
	v := m.addVersion(d)
	if req.param("SetAsDefault") == "true" {
		m.setDefault(v)
	}
	var b strings.Builder
	b.WriteString("<PolicyVersion>")
	v.write(&b, m, false)
	b.WriteString("</PolicyVersion>")
	return b.String(), nil
}

func listPolicyVersions(_ *Cloud, req *request) (string, *refusal) {
	m, refused := requestedPolicy(req)
	if refused != nil {
		return "", refused
	}
	newest := slices.Clone(m.versions)
	slices.Reverse(newest)
	return writePage(req, "Versions", newest, (*policyVersion).id, func(b *strings.Builder, v *policyVersion) {
		v.write(b, m, false)
	})
}

func setDefaultPolicyVersion(_ *Cloud, req *request) (string, *refusal) {
	m, refused := ownPolicy(req)
	if refused != nil {
		return "", refused
	}
	v, refused := m.version(req.param("VersionId"))
	if refused != nil {
		return "", refused
	}
	m.setDefault(v)
	return "", nil
}

func deletePolicyVersion(_ *Cloud, req *request) (string, *refusal) {
	m, refused := ownPolicy(req)
	if refused != nil {
		return "", refused
	}
	v, refused := m.version(req.param("VersionId"))
	switch {
	case refused != nil:
		return "", refused
	case v.document == m.document:
		return "", deleteConflict("Cannot delete the default version of a policy.")
	}
	m.versions = slices.DeleteFunc(m.versions, func(o *policyVersion) bool { return o == v })
	return "", nil
}
