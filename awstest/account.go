package awstest

import "github.com/aws/aws-sdk-go-v2/aws"

// Account is one AWS account.
type Account struct{}

// ID is the account's 12-digit id.
func (a *Account) ID() string { return "" }

// AddOIDCProvider registers the cluster's issuer with the account, as
// aws iam create-open-id-connect-provider does. Without clientIDs the audience
// sts.amazonaws.com is accepted, as the EKS guides set it up. Registering again
// replaces the list.
func (a *Account) AddOIDCProvider(cluster *Cluster, clientIDs ...string) {}

// RemoveOIDCProvider undoes AddOIDCProvider.
func (a *Account) RemoveOIDCProvider(cluster *Cluster) {}

// CreateRole creates a role. name may carry a path ("team/x"). trustJSON is its
// trust policy, policyJSON its identity policy; an empty policyJSON allows
// nothing. It panics, naming the rule, on a name or a policy that IAM refuses
// and when the role exists.
func (a *Account) CreateRole(name, trustJSON, policyJSON string) *Role { return &Role{} }

// DeleteRole deletes a role. A role created again under the same name is
// another role: a trust policy that named the old one no longer matches.
func (a *Account) DeleteRole(role *Role) {}

// CreateBucket creates a bucket in us-east-1 and returns it. It panics on a bad
// name and when any account owns that name already.
func (a *Account) CreateBucket(name string) *Bucket { return &Bucket{} }

// UserCredentials creates an IAM user with identity policy policyJSON and
// returns its long-term keys, such as a laptop's profile has.
func (a *Account) UserCredentials(name, policyJSON string) aws.Credentials {
	return aws.Credentials{}
}
