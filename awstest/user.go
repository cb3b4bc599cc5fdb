package awstest

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/trust"
)

// user is an IAM user with one access key.
type user struct {
	account *Account
	name    string
	arn     string
	id      string // AIDA…
	policy  *trust.Policy

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
		account: a, name: base, arn: "arn:aws:iam::" + a.id + ":user" + path + base, id: newID("AIDA", 21), policy: policy,
		accessKeyID: newID("AKIA", 20), secret: newSecret(30),
	}
	a.users[key] = u
	a.cloud.users[u.accessKeyID] = u
	return aws.Credentials{AccessKeyID: u.accessKeyID, SecretAccessKey: u.secret, Source: "awstest", AccountID: a.id}
}
