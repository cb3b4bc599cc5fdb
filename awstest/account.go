package awstest

import (
	"fmt"
	"slices"
	"strings"
)

// Account is one AWS account.
type Account struct {
	cloud *Cloud
	id    string

	// Guarded by cloud.mu.
	roles     map[string]*Role // by lower-case name without the path: IAM's names are unique so
	users     map[string]*user // the same
	providers map[*Cluster][]string
}

// ID is the account's 12-digit id.
func (a *Account) ID() string { return a.id }

// rootARN names the account in policies.
func (a *Account) rootARN() string { return "arn:aws:iam::" + a.id + ":root" }

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
	if len(clientIDs) > 100 {
		panic(fmt.Sprintf("awstest: AddOIDCProvider: %d client ids; IAM takes at most 100", len(clientIDs)))
	}
	for _, id := range clientIDs {
		if id == "" || len(id) > 255 {
			panic(fmt.Sprintf("awstest: AddOIDCProvider: client id %q has %d characters; IAM takes 1 to 255", id, len(id)))
		}
	}
	a.cloud.mu.Lock()
	defer a.cloud.mu.Unlock()
	a.providers[cluster] = slices.Clone(clientIDs)
}

// RemoveOIDCProvider undoes AddOIDCProvider. Sessions already given out stay
// valid.
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
	policy := parseIdentityPolicy(what, policyJSON)

	a.cloud.mu.Lock()
	defer a.cloud.mu.Unlock()
	key := strings.ToLower(base)
	if old := a.roles[key]; old != nil {
		panic(fmt.Sprintf("awstest: %s: account %s has the role %s already (names differ by more than case and path); use SetTrust and SetPolicy to change it, or another name", what, a.id, old.arn))
	}
	r := &Role{
		account: a, name: base, arn: "arn:aws:iam::" + a.id + ":role" + path + base, id: newID("AROA", 21),
		trust: trustPolicy, policy: policy, maxSession: defaultDuration,
	}
	r.pins = a.cloud.pin(what, trustPolicy)
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
