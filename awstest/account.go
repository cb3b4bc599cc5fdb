package awstest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/trust"
)

// Account is one AWS account.
type Account struct {
	cloud *Cloud
	id    string

	// Guarded by cloud.mu.
	roles     map[string]*Role // by lower-case name without the path: IAM's names are unique so
	users     map[string]*user // the same
	providers map[*Cluster][]string

	trustLimit int // characters of a trust policy
}

// What IAM allows an account to have (IAM User Guide, "IAM and AWS STS quotas").
const (
	maxProviders = 100
	maxClientIDs = 100
)

// ID returns the account's 12-digit id.
func (a *Account) ID() string { return a.id }

// Roles returns the account's roles, sorted by ARN.
func (a *Account) Roles() []*Role {
	a.cloud.mu.Lock()
	defer a.cloud.mu.Unlock()
	roles := slices.Collect(maps.Values(a.roles))
	slices.SortFunc(roles, func(x, y *Role) int { return strings.Compare(x.arn, y.arn) })
	return roles
}

// Buckets returns the buckets that the account owns, sorted by name.
func (a *Account) Buckets() []*Bucket {
	s := &a.cloud.buckets
	s.mu.RLock()
	defer s.mu.RUnlock()
	var owned []*Bucket
	for _, b := range s.byName {
		if b.owner == a {
			owned = append(owned, b)
		}
	}
	slices.SortFunc(owned, func(x, y *Bucket) int { return strings.Compare(x.name, y.name) })
	return owned
}

// rootARN returns the name of the account in policies.
func (a *Account) rootARN() string { return a.iamARN("root") }

func (a *Account) iamARN(resource string) string {
	return "arn:" + a.cloud.partition.name + ":iam::" + a.id + ":" + resource
}

// AddOIDCProvider registers the cluster's issuer with the account, as
// aws iam create-open-id-connect-provider does. Without clientIDs the audience
// sts.amazonaws.com is accepted, as the EKS guides set it up. Registering again
// replaces the list. It panics on a client id that IAM refuses and on a cluster
// of another cloud.
func (a *Account) AddOIDCProvider(cluster *Cluster, clientIDs ...string) {
	if cluster.cloud != a.cloud {
		panic(fmt.Sprintf("awstest: AddOIDCProvider(%q): the cluster belongs to another cloud, whose keys this one cannot fetch; make it with this cloud's Cluster", cluster.issuer))
	}
	if len(clientIDs) == 0 {
		clientIDs = []string{"sts.amazonaws.com"}
	}
	if len(clientIDs) > maxClientIDs {
		panic(fmt.Sprintf("awstest: AddOIDCProvider: %d client ids: Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: %d", len(clientIDs), maxClientIDs))
	}
	for _, id := range clientIDs {
		if id == "" || len(id) > 255 {
			panic(fmt.Sprintf("awstest: AddOIDCProvider: client id %q has %d characters; IAM takes 1 to 255", id, len(id)))
		}
	}
	a.cloud.mu.Lock()
	defer a.cloud.mu.Unlock()
	if _, known := a.providers[cluster]; !known && len(a.providers) >= maxProviders {
		panic(fmt.Sprintf("awstest: AddOIDCProvider(%q): account %s: Cannot exceed quota for OpenIdConnectProvidersPerAccount: %d", cluster.issuer, a.id, maxProviders))
	}
	a.providers[cluster] = slices.Clone(clientIDs)
}

// SetTrustPolicyLimit sets how many characters a role's trust policy may have in
// this account, as a raised quota "Role trust policy length" does: from
// trust.MaxTrustPolicySize, which it is at first, to
// trust.MaxRaisedTrustPolicySize. White space outside strings does not count. It
// panics on any other number. Policies that are set stay.
func (a *Account) SetTrustPolicyLimit(characters int) {
	if characters < trust.MaxTrustPolicySize || characters > trust.MaxRaisedTrustPolicySize {
		panic(fmt.Sprintf("awstest: SetTrustPolicyLimit(%d) of account %s: the quota is from %d to %d characters", characters, a.id, trust.MaxTrustPolicySize, trust.MaxRaisedTrustPolicySize))
	}
	a.cloud.mu.Lock()
	defer a.cloud.mu.Unlock()
	a.trustLimit = characters
}

// checkTrustSize panics on a trust policy that is longer than the account's
// quota. The cloud's mutex must be held.
func (a *Account) checkTrustSize(what, document string) {
	if n := policySize(document); n > a.trustLimit {
		panic(fmt.Sprintf("awstest: %s: Cannot exceed quota for ACLSizePerRole: %d: the trust policy has %d characters; admit fewer subjects, or raise the quota by Account.SetTrustPolicyLimit (to %d at most)", what, a.trustLimit, n, trust.MaxRaisedTrustPolicySize))
	}
}

// RemoveOIDCProvider undoes AddOIDCProvider. Sessions already issued stay valid.
func (a *Account) RemoveOIDCProvider(cluster *Cluster) {
	a.cloud.mu.Lock()
	defer a.cloud.mu.Unlock()
	delete(a.providers, cluster)
}

// CreateRole creates a role. name may carry a path ("team/x"). trustJSON is its
// trust policy, policyJSON its identity policy; an empty policyJSON allows
// nothing. It panics, naming the rule, on a name or a policy that IAM refuses
// and when the role exists.
//
// Roles and users that the trust policy names must exist, as in IAM, which
// keeps their unique ids: create the hub before the role that trusts it. An
// account that it names need not be known to the cloud.
func (a *Account) CreateRole(name, trustJSON, policyJSON string) *Role {
	path, base := splitPath(name)
	checkName("CreateRole", name, path, base, 64)
	what := fmt.Sprintf("CreateRole(%q)", name)
	trustPolicy := parseTrustPolicy(what, trustJSON)
	policy := parseIdentityPolicy(what, "role "+base, policyJSON, trust.MaxRolePoliciesSize)

	a.cloud.mu.Lock()
	defer a.cloud.mu.Unlock()
	a.checkTrustSize(what, trustJSON)
	key := strings.ToLower(base)
	if old := a.roles[key]; old != nil {
		panic(fmt.Sprintf("awstest: %s: account %s has the role %s already (names differ by more than case and path); use SetTrust and SetPolicy to change it, or another name", what, a.id, old.arn))
	}
	r := &Role{
		account: a, name: base, arn: a.iamARN("role" + path + base), id: newID("AROA", 21),
		trust: trustPolicy, policy: policy, maxSession: defaultDuration,
	}
	r.pins = pin(a.cloud, what, trustPolicy)
	a.roles[key] = r
	return r
}

// DeleteRole deletes a role; its sessions die with it. A role created again
// under the same name is another role: a trust policy that named the old one no
// longer matches. Deleting a role twice does nothing.
func (a *Account) DeleteRole(role *Role) {
	a.cloud.mu.Lock()
	defer a.cloud.mu.Unlock()
	key := strings.ToLower(role.name)
	if a.roles[key] != role {
		return
	}
	delete(a.roles, key)
	for id, s := range a.cloud.sessions {
		if s.role == role {
			delete(a.cloud.sessions, id)
		}
	}
}

// user is an IAM user with one access key.
type user struct {
	account *Account
	name    string
	arn     string
	id      string // AIDA…
	policy  *trust.Policy

	boundary *guardrail // permissions boundary; nil: none. Guarded by cloud.mu

	accessKeyID, secret string
}

// UserCredentials creates an IAM user with identity policy policyJSON (empty:
// allows nothing) and returns its long-term keys, such as a laptop's profile
// has. It panics on a name or policy that IAM refuses and when the user exists.
func (a *Account) UserCredentials(name, policyJSON string) aws.Credentials {
	path, base := splitPath(name)
	checkName("UserCredentials", name, path, base, 64)
	what := fmt.Sprintf("UserCredentials(%q)", name)
	policy := parseIdentityPolicy(what, "user "+base, policyJSON, trust.MaxUserPoliciesSize)

	a.cloud.mu.Lock()
	defer a.cloud.mu.Unlock()
	key := strings.ToLower(base)
	if a.users[key] != nil {
		panic(fmt.Sprintf("awstest: %s: account %s has that user already; keep the credentials of the first call, or use another name", what, a.id))
	}
	u := &user{
		account: a, name: base, arn: a.iamARN("user" + path + base), id: newID("AIDA", 21), policy: policy,
		accessKeyID: newID("AKIA", 20), secret: newSecret(30),
	}
	a.users[key] = u
	a.cloud.users[u.accessKeyID] = u
	return aws.Credentials{AccessKeyID: u.accessKeyID, SecretAccessKey: u.secret, Source: "awstest", AccountID: a.id}
}

// SetUserPermissionsBoundary sets the permissions boundary of a user that
// UserCredentials has created, as [Role.SetPermissionsBoundary] does for a role. An
// empty policyJSON removes it. It panics on a policy that IAM refuses and when
// there is no such user.
func (a *Account) SetUserPermissionsBoundary(name, policyJSON string) {
	_, base := splitPath(name)
	what := fmt.Sprintf("SetUserPermissionsBoundary(%q)", name)
	g := parseBoundary(what, a, base, policyJSON)
	a.cloud.mu.Lock()
	defer a.cloud.mu.Unlock()
	u := a.users[strings.ToLower(base)]
	if u == nil {
		panic(fmt.Sprintf("awstest: %s: account %s has no such user; make it with UserCredentials first", what, a.id))
	}
	u.boundary = g
}
