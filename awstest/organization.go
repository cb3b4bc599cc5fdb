package awstest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/crossrole/crossrole/trust"
)

// AWS Organizations, by Go calls only: the tree of accounts and the policies that
// are attached to it. access.decide evaluates them (iam.go).

// Organization is the cloud's AWS organization, with all features enabled. Its
// service control policies (SCPs) limit what the principals of its member accounts
// may do, its resource control policies (RCPs) what anyone may do with resources
// of its member accounts. Neither limits the management account, nor sessions of
// service-linked roles (those whose path is /aws-service-role/…).
//
// The methods act as an administrator and take effect immediately. They panic on
// what AWS would refuse.
type Organization struct {
	cloud *Cloud
	id    string // o-…

	mu         sync.RWMutex // guards all below; taken after Cloud.mu, never before
	management *Account     // nil: an account outside of the cloud
	root       *OrganizationalUnit
	accounts   map[*Account]*orgNode
	policies   map[string]*guardrail // by type and name, as in their ARNs
}

// OrganizationalUnit is an OU of an [Organization]. Policies that are attached to
// it apply to its accounts and to those of the OUs below.
type OrganizationalUnit struct {
	org   *Organization
	node  orgNode
	below []string // names of the OUs directly below; guarded by org.mu
}

// PolicyTarget is what a policy of an organization can be attached to, other than
// its root: an *[OrganizationalUnit] or an *[Account].
type PolicyTarget interface {
	orgNode(o *Organization) *orgNode // o.mu is held; nil: not of this organization
}

// orgNode is a place of the tree: the root, an OU or an account.
type orgNode struct {
	parent     *orgNode // nil: the root
	name       string   // as explanations name it
	id         string   // r-…, ou-…; empty for an account
	scps, rcps []*guardrail
}

// What an organization has at most (AWS Organizations User Guide, "Quotas and
// service limits").
const (
	maxOrganizationPolicy = 5_120 // characters of an SCP or RCP
	maxOUDepth            = 5     // levels of OUs below the root
)

// The types of policies, as their ARNs name them.
const (
	scpType = "service_control_policy"
	rcpType = "resource_control_policy"
)

// fullAccess and fullResourceAccess are the names of AWS's policies that are
// attached to everything at first.
const (
	fullAccess         = "FullAWSAccess"
	fullResourceAccess = "RCPFullAWSAccess"
)

// outsideManagement is the account that manages the organization until
// SetManagementAccount names another.
const outsideManagement = "999999999999"

// rcpServices are the services whose resources RCPs apply to.
var rcpServices = []string{"s3", "sts", "sqs", "secretsmanager", "kms", "ecr", "aoss"}

func newOrganization(c *Cloud) *Organization {
	o := &Organization{cloud: c, id: orgID("o-", 10), accounts: map[*Account]*orgNode{}, policies: map[string]*guardrail{}}
	o.policies[scpType+"/"+fullAccess] = &guardrail{name: fullAccess, arn: "arn:" + c.partition.name + ":organizations::aws:policy/" + scpType + "/p-" + fullAccess}
	o.root = &OrganizationalUnit{org: o, node: orgNode{name: "the root", id: orgID("r-", 4)}}
	o.root.node.scps = []*guardrail{o.policies[scpType+"/"+fullAccess]}
	return o
}

// orgID returns an id of AWS Organizations: lower-case letters and digits.
func orgID(prefix string, length int) string { return prefix + strings.ToLower(newID("", length)) }

// ID returns the organization's id, the value of aws:PrincipalOrgID and
// aws:ResourceOrgID: o- and 10 letters and digits.
func (o *Organization) ID() string { return o.id }

// SetManagementAccount makes a the management account, to whose principals and
// resources no policy of the organization applies. It is a member like the
// others, so that aws:PrincipalOrgID and aws:ResourceOrgID name the organization.
// The ARNs of policies name it: call this first. It panics on an account of
// another cloud, and when policies are there already.
func (o *Organization) SetManagementAccount(a *Account) {
	o.Add(a)
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.policies) > 1 {
		panic(fmt.Sprintf("awstest: SetManagementAccount(%s): the organization has policies, whose ARNs name its management account; call it before AttachSCP and AttachRCP", a.id))
	}
	o.management = a
}

// Add makes accounts members, directly below the root. One that is a member is
// moved there. It panics on an account of another cloud.
func (o *Organization) Add(accounts ...*Account) { o.root.Add(accounts...) }

// Add moves accounts into the OU, and makes those members that are not. It panics
// on an account of another cloud.
func (u *OrganizationalUnit) Add(accounts ...*Account) {
	o := u.org
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range accounts {
		if a.cloud != o.cloud {
			panic(fmt.Sprintf("awstest: Add: account %s belongs to another cloud; make it with this cloud's Account", a.id))
		}
		if o.accounts[a] == nil {
			o.accounts[a] = &orgNode{name: "account " + a.id, scps: []*guardrail{o.policies[scpType+"/"+fullAccess]}}
		}
		o.accounts[a].parent = &u.node
	}
}

// Remove makes accounts leave the organization, with the policies that were
// attached to them. It panics on the management account, which cannot leave, and
// does nothing to one that is no member.
func (o *Organization) Remove(accounts ...*Account) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range accounts {
		if a == o.management {
			panic(fmt.Sprintf("awstest: Remove: account %s is the management account, which cannot leave the organization", a.id))
		}
		delete(o.accounts, a)
	}
}

// CreateOU creates an OU below the root and moves accounts into it, as Add does.
// It panics when the root has an OU of that name.
func (o *Organization) CreateOU(name string, accounts ...*Account) *OrganizationalUnit {
	return o.root.CreateOU(name, accounts...)
}

// CreateOU creates an OU below this one, at most five levels below the root, and
// moves accounts into it, as Add does. It panics when this OU has one of that
// name.
func (u *OrganizationalUnit) CreateOU(name string, accounts ...*Account) *OrganizationalUnit {
	depth := 1
	for n := u.node.parent; n != nil; n = n.parent {
		depth++
	}
	if name == "" || len(name) > 128 || depth > maxOUDepth {
		panic(fmt.Sprintf("awstest: CreateOU(%q): an OU has a name of 1 to 128 characters and is at most %d levels below the root", name, maxOUDepth))
	}
	rootID := strings.TrimPrefix(u.org.root.node.id, "r-")
	child := &OrganizationalUnit{org: u.org, node: orgNode{parent: &u.node, name: "OU " + name, id: orgID("ou-"+rootID+"-", 8)}}
	u.addBelow(child, name)
	child.Add(accounts...)
	return child
}

func (u *OrganizationalUnit) addBelow(child *OrganizationalUnit, name string) {
	u.org.mu.Lock()
	defer u.org.mu.Unlock()
	if slices.Contains(u.below, name) {
		panic(fmt.Sprintf("awstest: CreateOU(%q): DuplicateOrganizationalUnitException: %s has an OU of that name; choose another", name, u.node.name))
	}
	u.below = append(u.below, name)
	child.node.scps = []*guardrail{u.org.policies[scpType+"/"+fullAccess]}
}

func (u *OrganizationalUnit) orgNode(o *Organization) *orgNode {
	if u.org != o {
		return nil
	}
	return &u.node
}

// AttachSCP attaches a service control policy to targets, or to the root if there
// are none, and returns its ARN, which a refusal names. Under a name that exists
// it replaces the policy's content wherever it is attached.
//
// An SCP grants nothing. AWS's policy FullAWSAccess, which allows everything, is
// attached to the root, each OU and each account at first: see
// [Organization.DetachSCP].
func (o *Organization) AttachSCP(name, policyJSON string, targets ...PolicyTarget) string {
	what := fmt.Sprintf("AttachSCP(%q)", name)
	p, err := trust.ParsePolicy([]byte(policyJSON))
	if err == nil {
		err = errors.Join(p.ValidateIdentity(), checkOrganizationPolicy(p, policyJSON))
	}
	if err != nil || name == "" || name == fullAccess {
		panic(fmt.Sprintf("awstest: %s: a policy needs a name of its own and a valid document: %v", what, err))
	}
	return o.attach(what, scpType, name, p, targets)
}

// AttachRCP attaches a resource control policy to targets, or to the root if there
// are none, and returns its ARN, which a refusal names. Under a name that exists
// it replaces the policy's content wherever it is attached.
//
// An RCP only denies: it has the principal "*" and neither NotPrincipal nor
// NotAction. It applies to S3, STS, SQS, Secrets Manager, KMS, ECR and OpenSearch
// Serverless.
func (o *Organization) AttachRCP(name, policyJSON string, targets ...PolicyTarget) string {
	what := fmt.Sprintf("AttachRCP(%q)", name)
	p, err := trust.ParsePolicy([]byte(policyJSON))
	if err == nil {
		err = errors.Join(p.ValidateResource(), checkOrganizationPolicy(p, policyJSON), checkRCP(p))
	}
	if err != nil || name == "" || name == fullResourceAccess {
		panic(fmt.Sprintf("awstest: %s: a policy needs a name of its own and a valid document: %v", what, err))
	}
	return o.attach(what, rcpType, name, p, targets)
}

// checkOrganizationPolicy refuses what AWS refuses in both types.
func checkOrganizationPolicy(p *trust.Policy, document string) error {
	if n := policySize(document); n > maxOrganizationPolicy {
		return fmt.Errorf("it has %d characters, at most %d are allowed", n, maxOrganizationPolicy)
	}
	if p.Version != "2012-10-17" {
		return fmt.Errorf("its Version is %q, it must be \"2012-10-17\"", p.Version)
	}
	return nil
}

// checkRCP refuses what only resource policies may have (AWS Organizations User
// Guide, "RCP syntax").
func checkRCP(p *trust.Policy) error {
	for i, s := range p.Statements {
		switch {
		case s.Effect != "Deny":
			return fmt.Errorf("statement %d allows: an RCP can only deny", i)
		case s.NotPrincipal != nil || len(s.Principal["*"]) == 0:
			return fmt.Errorf("statement %d: the Principal of an RCP is \"*\"; name callers by a Condition on aws:PrincipalArn", i)
		case s.NotAction != nil:
			return fmt.Errorf("statement %d: an RCP has no NotAction", i)
		}
		for _, action := range s.Action {
			if service, _, _ := strings.Cut(action, ":"); action != "*" && !slices.Contains(rcpServices, strings.ToLower(service)) {
				return fmt.Errorf("statement %d: awstest applies RCPs to actions of %s only, not to %q", i, strings.Join(rcpServices, ", "), action)
			}
		}
	}
	return nil
}

func (o *Organization) attach(what, kind, name string, p *trust.Policy, targets []PolicyTarget) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	nodes := o.nodes(what, targets)
	g := o.policies[kind+"/"+name]
	if g == nil {
		account := outsideManagement
		if o.management != nil {
			account = o.management.id
		}
		g = &guardrail{name: name, arn: "arn:" + o.cloud.partition.name + ":organizations::" + account + ":policy/" + o.id + "/" + kind + "/" + orgID("p-", 8)}
		o.policies[kind+"/"+name] = g
	}
	g.policy = p
	for _, n := range nodes {
		if attached := n.attached(kind); !slices.Contains(*attached, g) {
			*attached = append(*attached, g)
		}
	}
	return g.arn
}

// nodes are the places that targets name.
func (o *Organization) nodes(what string, targets []PolicyTarget) []*orgNode {
	if len(targets) == 0 {
		return []*orgNode{&o.root.node}
	}
	nodes := make([]*orgNode, len(targets))
	for i, t := range targets {
		if nodes[i] = t.orgNode(o); nodes[i] == nil {
			panic(fmt.Sprintf("awstest: %s: target %d is not in this organization; Add the account first", what, i))
		}
	}
	return nodes
}

func (n *orgNode) attached(kind string) *[]*guardrail {
	if kind == scpType {
		return &n.scps
	}
	return &n.rcps
}

// DetachSCP detaches a service control policy from targets, or from the root if
// there are none. FullAWSAccess can be detached where another SCP is attached. It
// panics when the policy is not attached, and when it is the target's last, which
// AWS keeps.
func (o *Organization) DetachSCP(name string, targets ...PolicyTarget) {
	o.detach(fmt.Sprintf("DetachSCP(%q)", name), scpType, name, targets)
}

// DetachRCP detaches a resource control policy from targets, or from the root if
// there are none. It panics when the policy is not attached.
func (o *Organization) DetachRCP(name string, targets ...PolicyTarget) {
	o.detach(fmt.Sprintf("DetachRCP(%q)", name), rcpType, name, targets)
}

func (o *Organization) detach(what, kind, name string, targets []PolicyTarget) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range o.nodes(what, targets) {
		attached := n.attached(kind)
		i := slices.Index(*attached, o.policies[kind+"/"+name])
		switch {
		case i < 0:
			panic(fmt.Sprintf("awstest: %s: PolicyNotAttachedException: it is not attached to %s", what, n.name))
		case kind == scpType && len(*attached) == 1:
			panic(fmt.Sprintf("awstest: %s: it is the last SCP of %s, which must have one; attach another first", what, n.name))
		}
		*attached = slices.Delete(slices.Clone(*attached), i, i+1)
	}
}

// membership is an account's place in an organization, and the policies that
// apply there.
type membership struct {
	organization string // its id
	path         string // the value of aws:PrincipalOrgPaths: "o-…/r-…/ou-…/"
	management   bool
	levels       []level // the root first, the account last
}

// level is a place from the root to an account, with the policies attached to it.
type level struct {
	name       string
	scps, rcps []guardrail
}

// memberOf returns the membership of an account; nil if it is in no organization.
func memberOf(a *Account) *membership {
	if a == nil {
		return nil
	}
	o := a.cloud.organization.Load()
	if o == nil {
		return nil
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	n := o.accounts[a]
	if n == nil {
		return nil
	}
	m := &membership{organization: o.id, management: a == o.management}
	var ids []string
	for ; n != nil; n = n.parent {
		l := level{name: n.name}
		for _, g := range n.scps {
			l.scps = append(l.scps, *g)
		}
		for _, g := range n.rcps {
			l.rcps = append(l.rcps, *g)
		}
		m.levels = append(m.levels, l)
		if n.id != "" {
			ids = append(ids, n.id)
		}
	}
	slices.Reverse(m.levels)
	slices.Reverse(ids)
	m.path = o.id + "/" + strings.Join(ids, "/") + "/"
	return m
}
