package awstest

import (
	"crypto/sha256"
	"encoding/hex"
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
	roles     map[string]*Role          // by lower-case name without the path: IAM's names are unique so
	users     map[string]*user          // the same
	policies  map[string]*managedPolicy // the same
	providers map[string]*oidcProvider  // by URL

	// As the services know them.
	rolesInForce     eventualMap[*Role]
	providersInForce eventualMap[*oidcProvider]

	stsDisabled map[string]bool // regions where STS issues no sessions

	trustLimit int      // characters of a trust policy
	issuer     *Cluster // of outbound identity federation; nil: it was never enabled
	federates  bool     // outbound identity federation is enabled
	admin      *user    // of AdminKey; nil: not asked for yet
}

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

// roleARN returns the ARN of a role by its name, which may carry a path.
func (a *Account) roleARN(name string) string {
	dir, base := splitPath(name)
	return a.iamARN("role" + dir + base)
}

// canonicalID returns the account's ID as S3 names owners.
func (a *Account) canonicalID() string {
	sum := sha256.Sum256([]byte("canonical user of " + a.id))
	return hex.EncodeToString(sum[:])
}

// orgNode implements PolicyTarget.
func (a *Account) orgNode(o *Organization) *orgNode { return o.accounts[a] }

// AddOIDCProvider registers the cluster's issuer with the account, as
// aws iam create-open-id-connect-provider does. Without clientIDs the audience
// sts.amazonaws.com is accepted, as the EKS guides set it up. Registering again
// replaces the list. It panics on a client id that IAM refuses and on a cluster
// of another cloud, unless it is the OutboundIssuer of an account of another
// partition.
func (a *Account) AddOIDCProvider(cluster *Cluster, clientIDs ...string) {
	what := fmt.Sprintf("AddOIDCProvider(%q)", cluster.issuer)
	foreign := cluster.cloud != a.cloud
	if foreign && !(cluster.outbound && cluster.cloud.partition.name != a.cloud.partition.name) {
		panic(fmt.Sprintf("awstest: %s: the cluster belongs to another cloud, whose keys this one cannot fetch; make it with this cloud's Cluster", what))
	}
	if len(clientIDs) == 0 {
		clientIDs = []string{"sts.amazonaws.com"}
	}
	p, refused := newOIDCProvider(a, cluster.issuer, clientIDs, nil)
	must(what, refused)
	if foreign {
		p.foreign = cluster
	}
	a.cloud.mu.Lock()
	defer a.cloud.mu.Unlock()
	must(what, a.addProvider(p))
}

// OutboundIssuer enables outbound identity federation, as
// aws iam enable-outbound-web-identity-federation does, and returns the issuer of
// the tokens that STS's GetWebIdentityToken gives to callers of this account. To
// exchange them in another partition, pass it to AddOIDCProvider of an account of a
// cloud with that partition; AWS refuses them within one (IAM User Guide,
// "Federating AWS identities across AWS partitions"). Each call returns the same
// issuer.
func (a *Account) OutboundIssuer() *Cluster {
	a.cloud.mu.Lock()
	defer a.cloud.mu.Unlock()
	return a.enableFederation()
}

// enableFederation is OutboundIssuer for a caller that holds the cloud's mutex.
func (a *Account) enableFederation() *Cluster {
	if a.issuer == nil {
		a.issuer = newOutboundIssuer(a.cloud)
	}
	a.federates = true
	return a.issuer
}

// addProvider adds a provider to the account or replaces it. The cloud's mutex
// must be held.
func (a *Account) addProvider(p *oidcProvider) *refusal {
	if a.providers[p.url] == nil && len(a.providers) >= maxProviders {
		return limitExceeded(fmt.Sprintf("Cannot exceed quota for OpenIdConnectProvidersPerAccount: %d", maxProviders), fmt.Sprintf("account %s has as many", a.id))
	}
	a.setProvider(p.url, p)
	return nil
}

// setProvider makes p the provider with that URL; nil removes it. A provider's client
// ids do not change: a provider with others replaces it. The cloud's mutex must be
// held.
func (a *Account) setProvider(url string, p *oidcProvider) {
	a.providersInForce.set(a.cloud, url, p)
	if a.providers[url] = p; p == nil {
		delete(a.providers, url)
	}
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

// checkTrustSize refuses a trust policy that is longer than the account's quota.
// The cloud's mutex must be held.
func (a *Account) checkTrustSize(d *document) *refusal {
	if d.size <= a.trustLimit {
		return nil
	}
	return limitExceeded(
		fmt.Sprintf("Cannot exceed quota for ACLSizePerRole: %d", a.trustLimit),
		fmt.Sprintf("the trust policy has %d characters; admit fewer subjects, or raise the quota by Account.SetTrustPolicyLimit (to %d at most)", d.size, trust.MaxRaisedTrustPolicySize),
	)
}

// DisableSTSRegion deactivates STS in a region for the account, as the IAM console
// does: a request to an endpoint of that region for a session of one of the account's
// roles gets RegionDisabledException until enable is called. In a region that accounts
// opt in to, such as "ap-east-1", the account of the caller of AssumeRole counts as
// well (IAM User Guide, "Manage AWS STS in an AWS Region"). GetCallerIdentity still
// works. It panics on what is not a region, and on us-east-1 or the first region of
// another partition, which AWS does not let accounts deactivate; sts.amazonaws.com is
// in us-east-1 too.
//
// A listener knows the region of a request only by its signature, so that it does not
// refuse AssumeRoleWithWebIdentity, which has none.
func (a *Account) DisableSTSRegion(region string) (enable func()) {
	what := fmt.Sprintf("awstest: DisableSTSRegion(%q) of account %s", region, a.id)
	switch {
	case !regionName().MatchString(region):
		panic(what + ": not the name of a region; use one such as \"eu-west-1\"")
	case region == a.cloud.partition.region:
		panic(what + ": STS cannot be deactivated in this region; use another")
	}
	a.cloud.mu.Lock()
	defer a.cloud.mu.Unlock()
	if a.stsDisabled == nil {
		a.stsDisabled = map[string]bool{}
	}
	a.stsDisabled[region] = true
	return func() {
		a.cloud.mu.Lock()
		defer a.cloud.mu.Unlock()
		delete(a.stsDisabled, region)
	}
}

// RemoveOIDCProvider undoes AddOIDCProvider. Sessions already issued stay valid.
func (a *Account) RemoveOIDCProvider(cluster *Cluster) {
	a.cloud.mu.Lock()
	defer a.cloud.mu.Unlock()
	a.setProvider(cluster.issuer, nil)
}

// CreateRole creates a role. name may carry a path ("team/x"). trustJSON is its
// trust policy, policyJSON its identity policy, which IAM's API lists as the inline
// policy "policy"; an empty policyJSON allows nothing. It panics, naming the rule, on
// a name or a policy that IAM refuses and when the role exists.
//
// Roles and users that the trust policy names must exist, as in IAM, which
// keeps their unique ids: create the hub before the role that trusts it. An
// account that it names need not be known to the cloud.
func (a *Account) CreateRole(name, trustJSON, policyJSON string) *Role {
	what := fmt.Sprintf("CreateRole(%q)", name)
	path, base := splitPath(name)
	must(what, checkName(path, base))
	trustPolicy, refused := parseTrustPolicy(trustJSON)
	must(what, refused)
	policy, refused := parseOptionalPolicy(policyJSON)
	must(what, refused)

	a.cloud.mu.Lock()
	defer a.cloud.mu.Unlock()
	r, refused := a.newRole(path, base, trustPolicy)
	must(what, refused)
	must(what, r.setInline(rolePolicyName, policy))
	a.addRole(r)
	return r
}

// addRole adds a role to the account. The cloud's mutex must be held.
func (a *Account) addRole(r *Role) {
	key := strings.ToLower(r.name)
	a.roles[key] = r
	a.rolesInForce.set(a.cloud, key, r)
}

// newRole makes a role that is not yet one of the account's. The cloud's mutex
// must be held.
func (a *Account) newRole(path, name string, trustPolicy *document) (*Role, *refusal) {
	if old := a.roles[strings.ToLower(name)]; old != nil {
		return nil, alreadyExists(
			fmt.Sprintf("Role with name %s already exists.", name),
			fmt.Sprintf("account %s has the role %s already (names differ by more than case and path); use SetTrust and SetPolicy to change it, or another name", a.id, old.arn),
		)
	}
	r := &Role{entity: newEntity(a, "role", path, name), maxSession: defaultDuration}
	if refused := r.setTrust(trustPolicy); refused != nil {
		return nil, refused
	}
	return r, nil
}

// DeleteRole deletes a role, and its sessions with it. A role created again
// under the same name is another role: a trust policy that named the old one no
// longer matches. Deleting a role twice does nothing.
func (a *Account) DeleteRole(role *Role) {
	a.cloud.mu.Lock()
	defer a.cloud.mu.Unlock()
	a.removeRole(role)
}

// removeRole is DeleteRole for a caller that holds the cloud's mutex.
func (a *Account) removeRole(role *Role) {
	key := strings.ToLower(role.name)
	if a.roles[key] != role {
		return
	}
	delete(a.roles, key)
	a.rolesInForce.set(a.cloud, key, nil)
}

// UserCredentials creates an IAM user with identity policy policyJSON (empty:
// allows nothing) and returns its long-term keys, like those in a laptop's
// profile. It panics on a name or policy that IAM refuses and when the user exists.
func (a *Account) UserCredentials(name, policyJSON string) aws.Credentials {
	what := fmt.Sprintf("UserCredentials(%q)", name)
	path, base := splitPath(name)
	must(what, checkName(path, base))
	policy, refused := parseOptionalPolicy(policyJSON)
	must(what, refused)

	a.cloud.mu.Lock()
	defer a.cloud.mu.Unlock()
	u, refused := a.newUser(path, base)
	must(what, refused)
	must(what, u.setInline(rolePolicyName, policy))
	a.users[strings.ToLower(base)] = u
	return u.newAccessKey().credentials()
}

// adminName is the name of the user that AdminKey creates.
const adminName = "awstest-admin"

// AdminKey returns the long-term keys of the account's administrator: the IAM
// user awstest-admin with the policy AdministratorAccess, which the first call
// creates. With them a test can set up everything else by requests to IAM, as
// people do with a new account. Service control policies limit it as any other
// user. Each call returns the same keys, or new ones if a request deleted them. It
// panics if the account has another user of that name.
func (a *Account) AdminKey() aws.Credentials {
	a.cloud.mu.Lock()
	defer a.cloud.mu.Unlock()
	if a.admin == nil {
		u, refused := a.newUser("/", adminName)
		must("AdminKey", refused)
		u.attached = []*managedPolicy{awsPolicy(a.cloud, "AdministratorAccess")}
		u.policy.value = union(u.named())
		a.users[adminName], a.admin = u, u
	}
	if len(a.admin.keys) == 0 {
		a.admin.newAccessKey()
	}
	return a.admin.keys[0].credentials()
}

// newUser makes a user that is not yet one of the account's. The cloud's mutex
// must be held.
func (a *Account) newUser(path, name string) (*user, *refusal) {
	if a.users[strings.ToLower(name)] != nil {
		return nil, alreadyExists(
			fmt.Sprintf("User with name %s already exists.", name),
			fmt.Sprintf("account %s has that user already; keep the credentials of the first call, or use another name", a.id),
		)
	}
	return &user{entity: newEntity(a, "user", path, name)}, nil
}

// SetUserPermissionsBoundary sets the permissions boundary of a user that
// UserCredentials has created, as [Role.SetPermissionsBoundary] does for a role. An
// empty policyJSON removes it. It panics on a policy that IAM refuses and when
// there is no such user.
func (a *Account) SetUserPermissionsBoundary(name, policyJSON string) {
	_, base := splitPath(name)
	what := fmt.Sprintf("SetUserPermissionsBoundary(%q)", name)
	d, refused := parseManagedPolicy(policyJSON)
	must(what, refused)
	a.cloud.mu.Lock()
	defer a.cloud.mu.Unlock()
	u := a.users[strings.ToLower(base)]
	if u == nil {
		panic(fmt.Sprintf("awstest: %s: account %s has no such user; make it with UserCredentials first", what, a.id))
	}
	u.setBoundary(d)
}
