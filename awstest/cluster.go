package awstest

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
)

// Cluster is a Kubernetes cluster as far as AWS sees it: an issuer and a key
// that signs service-account tokens with RS256.
type Cluster struct {
	cloud  *Cloud
	issuer string

	keys []clusterKey // the current one last; guarded by cloud.mu
}

// clusterKey is a signing key and its "kid".
type clusterKey struct {
	id  string
	key func() *rsa.PrivateKey
}

// Issuer is the cluster's issuer URL.
func (c *Cluster) Issuer() string { return c.issuer }

// Subject is the "sub" of a service account's token:
// system:serviceaccount:<namespace>:<serviceAccount>.
func Subject(namespace, serviceAccount string) string {
	return "system:serviceaccount:" + namespace + ":" + serviceAccount
}

// RotateKeys makes the cluster sign with a new key. Tokens signed with the old
// one stay valid until DropOldKeys.
func (c *Cluster) RotateKeys() {
	c.cloud.mu.Lock()
	defer c.cloud.mu.Unlock()
	c.addKey()
}

// DropOldKeys removes every key but the current one from the cluster's JWKS.
func (c *Cluster) DropOldKeys() {
	c.cloud.mu.Lock()
	defer c.cloud.mu.Unlock()
	c.keys = c.keys[len(c.keys)-1:]
}

// addKey takes the cloud's next signing key. The cloud's mutex must be held.
func (c *Cluster) addKey() {
	c.keys = append(c.keys[:len(c.keys):len(c.keys)], clusterKey{id: newID("", 40), key: signingKey(c.cloud.keys)})
	c.cloud.keys++
}

// signing is the key that signs now.
func (c *Cluster) signing() clusterKey {
	c.cloud.mu.Lock()
	defer c.cloud.mu.Unlock()
	return c.keys[len(c.keys)-1]
}

// JWKS is the JSON key set that the issuer publishes.
func (c *Cluster) JWKS() []byte {
	c.cloud.mu.Lock()
	keys := c.keys
	c.cloud.mu.Unlock()

	type jwk struct {
		Use       string `json:"use"`
		KeyType   string `json:"kty"`
		KeyID     string `json:"kid"`
		Algorithm string `json:"alg"`
		Modulus   string `json:"n"`
		Exponent  string `json:"e"`
	}
	set := struct {
		Keys []jwk `json:"keys"`
	}{}
	for _, k := range keys {
		public := k.key().PublicKey
		set.Keys = append(set.Keys, jwk{
			Use: "sig", KeyType: "RSA", KeyID: k.id, Algorithm: "RS256",
			Modulus:  base64.RawURLEncoding.EncodeToString(public.N.Bytes()),
			Exponent: base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes()),
		})
	}
	out, err := json.Marshal(set)
	if err != nil {
		panic("awstest: JWKS: " + err.Error()) // strings always marshal
	}
	return out
}
