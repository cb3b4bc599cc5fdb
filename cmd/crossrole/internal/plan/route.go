package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crossrole/crossrole/cmd/crossrole/internal/rolesetting"
	"github.com/crossrole/crossrole/trust"
)

// The routes: what each account must contain.

// Request says what to set up. New expects names that were checked.
type Request struct {
	Route     string // "hub", "direct" or "pod-identity"
	Cluster   string // "eks" or "other"
	Inject    bool   // Cluster other: the admission policy, and not a pod spec, injects the token
	Region    string // Cluster other: AWS_REGION of the pod; empty: a region of the partition
	Partition string

	Issuers                       []string
	ClusterAccount, SharedAccount string // IDs; the direct route has no ClusterAccount
	Hub                           string // name of the hub role
	HubPattern                    string // ARN of the hub roles that the target trusts; empty: the hub role alone
	RoleName                      string
	Role                          rolesetting.Setting // of the role RoleName, or of the pod's own role on the direct route

	Buckets []string
	Prefix  string // of the keys in every bucket
	KMSKeys []string

	Namespace, ServiceAccount string
	ClusterName               string        // pod-identity
	SessionPolicy             *trust.Policy // pod-identity; nil: none
}

const (
	audience   = "sts.amazonaws.com"
	policyName = "crossrole" // of the inline policy of every role
)

// New works out the plan. It returns an error if IAM would reject a policy.
func New(r Request) (*Plan, error) {
	p := &Plan{Version: 1, Route: r.Route, Cluster: r.Cluster, Partition: r.Partition}
	hub, target := r.roleARN(r.ClusterAccount, r.Hub), r.roleARN(r.SharedAccount, r.RoleName)
	read, err := r.read()
	if err != nil {
		return nil, err
	}
	reader := Role{label: "target", Name: r.RoleName, ARN: target, MaxSessionDuration: int(max(r.Role.Role.Duration, time.Hour) / time.Second), Policy: read}
	switch r.Route {
	case "direct":
		reader.Trust = trust.WebIdentityPolicy(r.SharedAccount, r.Issuers, r.subjects(), r.options)
		bucket := p.account(r.SharedAccount, "bucket")
		bucket.Providers, bucket.Roles = r.providers(r.SharedAccount), append(bucket.Roles, reader)
	case "hub":
		cluster := p.account(r.ClusterAccount, "cluster")
		cluster.Providers = r.providers(r.ClusterAccount)
		cluster.Roles = append(cluster.Roles, Role{
			label: "hub", Name: r.Hub, ARN: hub, MaxSessionDuration: 3600,
			Trust:  trust.WebIdentityPolicy(r.ClusterAccount, r.Issuers, r.subjects(), r.options),
			Policy: trust.AssumePolicy([]string{target}, r.options),
		})
		reader.Trust, reader.after = r.trustHub(hub), "hub"
		bucket := p.account(r.SharedAccount, "bucket")
		bucket.Roles = append(bucket.Roles, reader)
	case "pod-identity":
		cluster := p.account(r.ClusterAccount, "cluster")
		cluster.Roles = append(cluster.Roles, Role{
			label: "hub", Name: r.Hub, ARN: hub, MaxSessionDuration: 3600,
			Trust:  r.trustAgent(),
			Policy: trust.AssumePolicy([]string{target}, r.options),
		})
		cluster.Associations = append(cluster.Associations, Association{
			ClusterName: r.ClusterName, Namespace: r.Namespace, ServiceAccount: r.ServiceAccount,
			RoleARN: hub, TargetRoleARN: target, DisableSessionTags: r.SessionPolicy != nil, Policy: r.SessionPolicy,
		})
		reader.Trust, reader.after = r.trustAssociation(hub), "hub"
		bucket := p.account(r.SharedAccount, "bucket")
		bucket.Roles = append(bucket.Roles, reader)
	default:
		return nil, fmt.Errorf("plan: route %q", r.Route)
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	p.Kubernetes = r.manifest(hub, target)
	p.Notes = append(p.Notes, r.notes()...)
	return p, nil
}

func (r *Request) roleARN(account, name string) string {
	return "arn:" + r.Partition + ":iam::" + account + ":role/" + name
}

func (r *Request) subjects() []string {
	return []string{"system:serviceaccount:" + r.Namespace + ":" + r.ServiceAccount}
}

func (r *Request) options(o *trust.PolicyOptions) {
	o.Partition = r.Partition
	o.ExternalID = r.Role.Role.ExternalID
	o.TagSession, o.SetSourceIdentity = r.tagged(), r.Role.Role.SourceIdentity != ""
}

// tagged reports whether the sessions of the last role have tags. EKS adds some unless
// the association has a session policy.
func (r *Request) tagged() bool {
	if r.Route == "pod-identity" {
		return r.SessionPolicy == nil
	}
	return r.Role.Role.Tags != nil
}

func (r *Request) providers(account string) []Provider {
	var list []Provider
	for i, issuer := range r.Issuers {
		list = append(list, Provider{
			Name:      fmt.Sprintf("issuer_%d", i+1),
			ARN:       "arn:" + r.Partition + ":iam::" + account + ":oidc-provider/" + strings.TrimPrefix(issuer, "https://"),
			URL:       issuer,
			ClientIDs: []string{audience},
		})
	}
	return list
}

// read returns the policy of the role that reads the buckets.
func (r *Request) read() (*trust.Policy, error) {
	all := &trust.Policy{}
	for i, bucket := range r.Buckets {
		one := trust.ReadBucketPolicy(bucket, r.Prefix, r.options, func(o *trust.PolicyOptions) {
			if i == len(r.Buckets)-1 {
				o.KMSKeyARNs = r.KMSKeys
			}
		})
		if err := one.ValidateIdentity(); err != nil {
			return nil, err
		}
		all.Version, all.Statements = one.Version, append(all.Statements, one.Statements...)
	}
	return all, nil
}

// trustHub returns the trust policy of the target on the hub route.
func (r *Request) trustHub(hub string) *trust.Policy {
	return trust.RolePolicy(cmp.Or(r.HubPattern, hub), r.options, func(o *trust.PolicyOptions) { o.HubPattern = r.HubPattern != "" })
}

// trustAgent returns the trust policy of the role that EKS assumes for the service
// account (EKS User Guide, "Create IAM role with trust policy required by EKS Pod
// Identity"). The session tags name the service account. Without them, the policy can
// only name the cluster.
func (r *Request) trustAgent() *trust.Policy {
	s := trust.Statement{
		Effect:    "Allow",
		Principal: trust.Principals{"Service": {"pods.eks.amazonaws.com"}},
		Action:    []string{"sts:AssumeRole"},
	}
	if r.tagged() {
		s.Action = append(s.Action, "sts:TagSession")
		s.Condition = trust.Conditions{"StringEquals": {
			"aws:RequestTag/eks-cluster-name":           {r.ClusterName},
			"aws:RequestTag/kubernetes-namespace":       {r.Namespace},
			"aws:RequestTag/kubernetes-service-account": {r.ServiceAccount},
		}}
	} else {
		s.Condition = trust.Conditions{
			"StringEquals": {"aws:SourceAccount": {r.ClusterAccount}},
			"ArnLike":      {"aws:SourceArn": {"arn:" + r.Partition + ":eks:*:" + r.ClusterAccount + ":cluster/" + r.ClusterName}},
		}
	}
	return &trust.Policy{Version: "2012-10-17", Statements: []trust.Statement{s}}
}

// trustAssociation returns the trust policy of the target on the Pod Identity route.
// Without session tags, EKS sends an external ID of the form
// REGION/ACCOUNT/CLUSTER/NAMESPACE/SERVICEACCOUNT (EKS User Guide, "Access AWS Resources
// using EKS Pod Identity Target IAM Roles").
func (r *Request) trustAssociation(hub string) *trust.Policy {
	policy := trust.RolePolicy(hub, r.options)
	if r.Role.Role.ExternalID == "" && !r.tagged() {
		id := strings.Join([]string{"*", r.ClusterAccount, r.ClusterName, r.Namespace, r.ServiceAccount}, "/")
		policy.Statements[0].Condition = trust.Conditions{"StringLike": {"sts:ExternalId": {id}}}
	}
	return policy
}

// finish names the statements and validates the policies.
func (p *Plan) finish() error {
	for i := range p.Accounts {
		for j := range p.Accounts[i].Roles {
			role := &p.Accounts[i].Roles[j]
			role.PolicyName = policyName
			if err := errors.Join(role.Trust.ValidateTrust(), role.Policy.ValidateIdentity()); err != nil {
				return err
			}
			for _, policy := range []*trust.Policy{role.Trust, role.Policy} {
				for k := range policy.Statements {
					policy.Statements[k].SID = p.sid(policy.Statements[k])
				}
			}
			warning, err := SizeOfTrust("the trust policy of the role "+role.Name, role.Trust)
			if err != nil {
				return err
			}
			p.note(warning)
			if size, limit := role.Policy.Size(), trust.MaxRolePoliciesSize; size > limit {
				return fmt.Errorf("the policy of the role %s has %d characters; IAM allows %d for all inline policies of a role", role.Name, size, limit)
			} else if size*10 >= limit*8 {
				p.note(fmt.Sprintf("the policy of the role %s has %d of the %d characters that IAM allows for all inline policies of a role; use a second role for further buckets", role.Name, size, limit))
			}
		}
	}
	return nil
}

func (p *Plan) note(text string) {
	if text != "" {
		p.Notes = append(p.Notes, text)
	}
}

// SizeOfTrust returns a warning if a trust policy has 80 % or more of the characters
// that IAM allows by default, and an error if it has more than IAM allows at all. what
// names the policy.
func SizeOfTrust(what string, policy *trust.Policy) (warning string, err error) {
	const wayOut = "use one hub role per cluster and let the targets trust them by --hub-pattern (docs/many-clusters.md)"
	switch size := policy.Size(); {
	case size > trust.MaxRaisedTrustPolicySize:
		return "", fmt.Errorf("%s has %d characters; IAM allows at most %d; %s", what, size, trust.MaxRaisedTrustPolicySize, wayOut)
	case size > trust.MaxTrustPolicySize:
		return fmt.Sprintf("%s has %d characters; IAM rejects it unless you raise the quota %q (%d by default, at most %d); or %s", what, size, "Role trust policy length", trust.MaxTrustPolicySize, trust.MaxRaisedTrustPolicySize, wayOut), nil
	case size*10 >= trust.MaxTrustPolicySize*8:
		return fmt.Sprintf("%s has %d of the %d characters that IAM allows by default; before you add clusters, raise the quota %q, or %s", what, size, trust.MaxTrustPolicySize, "Role trust policy length", wayOut), nil
	}
	return "", nil
}

// sid returns a name for a statement that is the same whenever setup writes a statement
// about the same thing: for the same caller and resources. The actions that go with
// sts:AssumeRole are not part of it. Neither is the external ID, so that a statement that
// requires one takes the place of one that does not. With Pod Identity, the external ID
// names the association, so it is part of the caller.
func (p *Plan) sid(s trust.Statement) string {
	s.SID = ""
	if slices.Contains(s.Action, "sts:AssumeRole") {
		s.Action = []string{"sts:AssumeRole"}
	}
	conditions := trust.Conditions{}
	for operator, keys := range s.Condition {
		for key, values := range keys {
			if key == "sts:ExternalId" && p.Route != "pod-identity" {
				continue
			}
			if conditions[operator] == nil {
				conditions[operator] = map[string][]string{}
			}
			conditions[operator][key] = values
		}
	}
	s.Condition = conditions
	if len(conditions) == 0 {
		s.Condition = nil
	}
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings, slices and maps of strings
	}
	sum := sha256.Sum256(text)
	return "Crossrole" + hex.EncodeToString(sum[:4])
}

// notes says what the plan cannot contain.
func (r *Request) notes() []string {
	var notes []string
	if r.Route == "hub" && r.ClusterAccount != r.SharedAccount || r.Route == "pod-identity" && r.ClusterAccount != r.SharedAccount {
		notes = append(notes, fmt.Sprintf("set up account %s first: the trust policy in account %s names a role of it", r.ClusterAccount, r.SharedAccount))
	}
	if r.Route == "pod-identity" && (r.Role.Role.ExternalID != "" || !r.tagged()) {
		notes = append(notes, fmt.Sprintf("if the trust policy of %s has a statement without an external ID for this hub role, from an earlier set-up, it still admits every association of that role; remove it if no association needs it", r.roleARN(r.SharedAccount, r.RoleName)))
	}
	for _, key := range r.KMSKeys {
		if account := strings.Split(key, ":")[4]; account != r.SharedAccount {
			notes = append(notes, fmt.Sprintf("the KMS key %s belongs to account %s: its key policy must allow kms:Decrypt for %s", key, account, r.roleARN(r.SharedAccount, r.RoleName)))
		}
	}
	if r.Inject {
		notes = append(notes, "the admission policy changes pods of every service account of the cluster with the annotation eks.amazonaws.com/role-arn, not only those of this one; it takes the place of Amazon's webhook")
	}
	if r.Cluster == "other" && r.Region == "" {
		notes = append(notes, fmt.Sprintf("AWS_REGION of the pod is %s; change it to the region of the bucket", r.region()))
	}
	return notes
}

// region returns AWS_REGION for pods that no webhook of EKS changes.
func (r *Request) region() string {
	return cmp.Or(r.Region, map[string]string{
		"aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1", "aws-eusc": "eusc-de-east-1", "aws-iso": "us-iso-east-1",
		"aws-iso-b": "us-isob-east-1", "aws-iso-e": "eu-isoe-west-1", "aws-iso-f": "us-isof-south-1",
	}[r.Partition], "us-east-1")
}
