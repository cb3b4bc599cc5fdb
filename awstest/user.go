package awstest

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// user is an IAM user.
type user struct {
	entity
	keys []*accessKey // guarded by the cloud's mutex
	made int          // keys so far; the same
}

// accessKey is a long-term key of a user.
type accessKey struct {
	user       *user
	id, secret string
	created    time.Time
}

// newAccessKey creates a key. The cloud's mutex must be held.
func (u *user) newAccessKey() *accessKey {
	id, secret := newID("AKIA", 20), newSecret(30)
	if u.made++; u.account.cloud.stableKeys {
		id, secret = stableKey(u.arn, strconv.Itoa(u.made))
	}
	k := &accessKey{user: u, id: id, secret: secret, created: time.Now().UTC().Truncate(time.Second)}
	u.keys = append(u.keys, k)
	u.account.cloud.userKeys[k.id] = k
	return k
}

// stableKey returns the access key that these names name, in the form that a document's
// keys have.
func stableKey(names ...string) (id, secret string) {
	sum := sha256.Sum256([]byte(strings.Join(names, "\x00")))
	return "AKIA" + base32.StdEncoding.EncodeToString(sum[:])[:9] + "EXAMPLE", base64.StdEncoding.EncodeToString(sum[8:])[:30] + "EXAMPLEKEY"
}

// replaceKey gives a user another key than the one that it has, and returns that. It
// panics when a key has that id.
func replaceKey(c *Cloud, old aws.Credentials, id, secret string) aws.Credentials {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.userKeys[id] != nil {
		panic(fmt.Sprintf("awstest: the access key %s is there twice", id))
	}
	k := c.userKeys[old.AccessKeyID]
	delete(c.userKeys, k.id)
	k.id, k.secret = id, secret
	c.userKeys[id] = k
	return k.credentials()
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
