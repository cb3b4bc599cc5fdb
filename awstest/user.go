package awstest

import (
	"maps"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// user is an IAM user.
type user struct {
	entity
	keys []*accessKey // guarded by the cloud's mutex
}

// accessKey is a long-term key of a user.
type accessKey struct {
	user       *user
	id, secret string
	created    time.Time
}

// newAccessKey creates a key. The cloud's mutex must be held.
func (u *user) newAccessKey() *accessKey {
	k := &accessKey{user: u, id: newID("AKIA", 20), secret: newSecret(30), created: time.Now().UTC().Truncate(time.Second)}
	u.keys = append(u.keys, k)
	u.account.cloud.userKeys[k.id] = k
	return k
}

func (k *accessKey) credentials() aws.Credentials {
	return aws.Credentials{AccessKeyID: k.id, SecretAccessKey: k.secret, Source: "awstest", AccountID: k.user.account.id}
}

// principal is the user as the caller that signed with the key. The cloud's mutex
// must be held.
func (k *accessKey) principal() *principal {
	u := k.user
	p := &principal{
		account: u.account, arn: u.arn, policy: u.policy.inForce(u.account.cloud), boundary: u.boundary.guardrail(), accessKeyID: k.id, userID: u.id,
		keys: map[string][]string{
			"aws:PrincipalArn":     {u.arn},
			"aws:PrincipalAccount": {u.account.id},
			"aws:PrincipalType":    {"User"},
			"aws:userid":           {u.id},
			"aws:username":         {u.name},
		},
	}
	maps.Copy(p.keys, u.principalTags())
	return p
}
