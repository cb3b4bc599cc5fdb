package awstest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/crossrole/crossrole/trust"
)

// Cluster is a Kubernetes cluster as AWS sees it: an issuer, and a key that signs
// service-account tokens with RS256.
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

// Issuer returns the cluster's issuer URL.
func (c *Cluster) Issuer() string { return c.issuer }

// Subject returns the "sub" of a service account's token:
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

// DropOldKeys removes all keys except the current one from the cluster's JWKS.
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

// signing returns the current key.
func (c *Cluster) signing() clusterKey {
	c.cloud.mu.Lock()
	defer c.cloud.mu.Unlock()
	return c.keys[len(c.keys)-1]
}

// JWKS returns the JSON web key set that the issuer publishes.
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

// keyPool holds the RSA keys of the process. Generating a key takes a tenth of a
// second, so clouds share them: the nth key of a cloud is the nth key of the pool.
// Within a cloud no two clusters have the same key. A token from another cloud is
// still refused, because each cluster has its own key ID.
var keyPool struct {
	mu   sync.Mutex
	keys []func() *rsa.PrivateKey
}

// signingKey returns the pool's nth key and generates it on first use.
func signingKey(n int) func() *rsa.PrivateKey {
	keyPool.mu.Lock()
	defer keyPool.mu.Unlock()
	for len(keyPool.keys) <= n {
		keyPool.keys = append(keyPool.keys, sync.OnceValue(func() *rsa.PrivateKey {
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				panic("awstest: RSA key: " + err.Error()) // only without randomness
			}
			return key
		}))
	}
	return keyPool.keys[n]
}

// Token returns a signed token for a service account, like one from the API server:
// with the audience sts.amazonaws.com, valid for 24 hours from now. The edits change
// the claims before they are signed. A claim that an edit sets to zero is omitted.
func (c *Cluster) Token(namespace, serviceAccount string, edits ...func(*trust.Token)) string {
	now := time.Now().Truncate(time.Second)
	t := trust.Token{
		Issuer:    c.issuer,
		Subject:   Subject(namespace, serviceAccount),
		Audience:  []string{"sts.amazonaws.com"},
		IssuedAt:  now,
		NotBefore: now,
		Expires:   now.Add(24 * time.Hour),
		Namespace: namespace, ServiceAccount: serviceAccount,
	}
	for _, edit := range edits {
		edit(&t)
	}
	key := c.signing()
	return signJWT(key.key(), key.id, claims(t))
}

// claims returns the token's claims in the form that kube-apiserver writes.
func claims(t trust.Token) map[string]any {
	kubernetes := map[string]any{}
	if t.Namespace != "" {
		kubernetes["namespace"] = t.Namespace
	}
	if t.ServiceAccount != "" {
		kubernetes["serviceaccount"] = map[string]string{"name": t.ServiceAccount, "uid": stableUUID(t.Issuer, t.Namespace, t.ServiceAccount)}
	}
	if t.Pod != "" {
		kubernetes["pod"] = map[string]string{"name": t.Pod, "uid": stableUUID(t.Issuer, t.Namespace, t.Pod)}
		kubernetes["node"] = map[string]string{"name": "ip-10-0-0-1.ec2.internal", "uid": stableUUID(t.Issuer, "node")}
	}
	out := map[string]any{"jti": newUUID(), "kubernetes.io": kubernetes}
	if t.Issuer != "" {
		out["iss"] = t.Issuer
	}
	if t.Subject != "" {
		out["sub"] = t.Subject
	}
	if len(t.Audience) > 0 {
		out["aud"] = t.Audience
	}
	for name, at := range map[string]time.Time{"iat": t.IssuedAt, "nbf": t.NotBefore, "exp": t.Expires} {
		if !at.IsZero() {
			out[name] = at.Unix()
		}
	}
	return out
}

// signJWT returns a compact JWS signed with RS256.
func signJWT(key *rsa.PrivateKey, kid string, claims map[string]any) string {
	signed := jsonSegment(map[string]string{"alg": "RS256", "kid": kid}) + "." + jsonSegment(claims)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		panic("awstest: signing a token: " + err.Error()) // the digest always fits a 2048-bit key
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func jsonSegment(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("awstest: writing a token: " + err.Error()) // strings and numbers always marshal
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// verifyToken checks the token's signature against the keys that the cluster
// publishes.
func (c *Cluster) verifyToken(token string) *refusal {
	c.cloud.mu.Lock()
	keys := c.keys
	c.cloud.mu.Unlock()

	dot := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.Strict().DecodeString(token[dot+1:])
	encodedHeader, _, _ := strings.Cut(token, ".")
	head, headErr := base64.RawURLEncoding.Strict().DecodeString(encodedHeader)
	var header struct {
		Algorithm string   `json:"alg"`
		KeyID     string   `json:"kid"`
		Critical  []string `json:"crit"`
	}
	if err != nil || headErr != nil || json.Unmarshal(head, &header) != nil || len(header.Critical) > 0 {
		return invalidToken("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
	}
	if header.Algorithm != "RS256" {
		return invalidToken(fmt.Sprintf("The ID Token provided could not be validated: the algorithm %q is not one that the provider's keys are for", header.Algorithm))
	}
	i := slices.IndexFunc(keys, func(k clusterKey) bool { return k.id == header.KeyID })
	if i < 0 {
		return invalidToken("The ID Token provided could not be validated: no key of the identity provider has its key id")
	}
	digest := sha256.Sum256([]byte(token[:dot]))
	if rsa.VerifyPKCS1v15(&keys[i].key().PublicKey, crypto.SHA256, digest[:], signature) != nil {
		return invalidToken("The ID Token provided could not be validated: its signature is not valid")
	}
	return nil
}

// checkClaims checks a token whose signature is valid: its times against the cloud's
// clock, which is also the cluster's, and its audience against the registered client
// IDs of the provider.
func checkClaims(t *trust.Token, clientIDs []string, now time.Time) *refusal {
	switch {
	case t.Subject == "" || t.Expires.IsZero() || t.IssuedAt.IsZero():
		return invalidToken("Missing a required claim: a token has iss, sub, aud, exp and iat")
	case !now.Before(t.Expires):
		return &refusal{status: http.StatusBadRequest, code: "ExpiredTokenException", message: fmt.Sprintf("Token expired: current date/time %d must be before the expiration date/time %d", now.Unix(), t.Expires.Unix())}
	case t.NotBefore.After(now):
		return &refusal{status: http.StatusBadRequest, code: "ExpiredTokenException", message: fmt.Sprintf("Token is not valid yet: current date/time %d must not be before the not-before date/time %d", now.Unix(), t.NotBefore.Unix())}
	}
	known := slices.DeleteFunc(slices.Clone(t.Audience), func(aud string) bool { return !slices.Contains(clientIDs, aud) })
	if len(known) == 0 {
		return invalidToken("Incorrect token audience")
	}
	t.Audience = known
	return nil
}

func invalidToken(message string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "InvalidIdentityToken", message: message}
}
