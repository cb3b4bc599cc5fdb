package awstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
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
	cloud    *Cloud
	issuer   string
	outbound bool // the issuer is STS, on behalf of an account (Account.OutboundIssuer)

	keys []clusterKey // the current one of an algorithm last; guarded by cloud.mu
}

// clusterKey is a signing key and its "kid".
type clusterKey struct {
	id        string
	algorithm string               // of a JWS: "RS256", or "ES384" of an account's issuer
	key       func() crypto.Signer // an *rsa.PrivateKey or an *ecdsa.PrivateKey
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
	current := map[string]clusterKey{}
	for _, k := range c.keys {
		current[k.algorithm] = k
	}
	c.keys = slices.DeleteFunc(slices.Clone(c.keys), func(k clusterKey) bool { return current[k.algorithm].id != k.id })
}

// addKey takes the cloud's next signing key. The cloud's mutex must be held.
func (c *Cluster) addKey() {
	rsaKey := signingKey(c.cloud.keys)
	c.keys = append(c.keys[:len(c.keys):len(c.keys)], clusterKey{id: newID("", 40), algorithm: "RS256", key: func() crypto.Signer { return rsaKey() }})
	c.cloud.keys++
}

// signing returns the current key of an algorithm. The cloud's mutex must be held.
func (c *Cluster) signing(algorithm string) clusterKey {
	for _, k := range slices.Backward(c.keys) {
		if k.algorithm == algorithm {
			return k
		}
	}
	panic("awstest: " + c.issuer + " has no key for " + algorithm) // each issuer has keys of all that are asked for
}

// JWKS returns the JSON web key set that the issuer publishes.
func (c *Cluster) JWKS() []byte {
	c.cloud.mu.Lock()
	keys := c.keys
	c.cloud.mu.Unlock()

	set := map[string][]map[string]string{"keys": {}}
	for _, k := range keys {
		jwk := map[string]string{"use": "sig", "kid": k.id, "alg": k.algorithm}
		switch public := k.key().Public().(type) {
		case *rsa.PublicKey:
			jwk["kty"] = "RSA"
			jwk["n"] = base64.RawURLEncoding.EncodeToString(public.N.Bytes())
			jwk["e"] = base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes())
		case *ecdsa.PublicKey:
			jwk["kty"], jwk["crv"] = "EC", "P-384"
			point, err := public.Bytes() // 4, x, y (SEC 1)
			if err != nil {
				panic("awstest: JWKS: " + err.Error()) // only for curves without this form
			}
			jwk["x"] = base64.RawURLEncoding.EncodeToString(point[1 : 1+es384Bytes])
			jwk["y"] = base64.RawURLEncoding.EncodeToString(point[1+es384Bytes:])
		}
		set["keys"] = append(set["keys"], jwk)
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
	c.cloud.mu.Lock()
	key := c.signing("RS256")
	c.cloud.mu.Unlock()
	return signJWT(key, claims(t))
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

// es384Bytes is the length of each half of an ES384 signature and of a coordinate
// of its key (RFC 7518, sections 3.4 and 6.2.1).
const es384Bytes = 48

// signJWT returns a compact JWS.
func signJWT(k clusterKey, claims map[string]any) string {
	signed := jsonSegment(map[string]string{"alg": k.algorithm, "kid": k.id}) + "." + jsonSegment(claims)
	var signature []byte
	var err error
	switch key := k.key().(type) {
	case *rsa.PrivateKey:
		digest := sha256.Sum256([]byte(signed))
		signature, err = rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	case *ecdsa.PrivateKey:
		digest := sha512.Sum384([]byte(signed))
		var r, s *big.Int
		if r, s, err = ecdsa.Sign(rand.Reader, key, digest[:]); err == nil {
			signature = make([]byte, 2*es384Bytes)
			r.FillBytes(signature[:es384Bytes])
			s.FillBytes(signature[es384Bytes:])
		}
	}
	if err != nil {
		panic("awstest: signing a token: " + err.Error()) // the digest always fits the key
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// verifies reports whether a signature of the text is the key's.
func (k clusterKey) verifies(text string, signature []byte) bool {
	switch public := k.key().Public().(type) {
	case *rsa.PublicKey:
		digest := sha256.Sum256([]byte(text))
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil
	case *ecdsa.PublicKey:
		digest := sha512.Sum384([]byte(text))
		if len(signature) != 2*es384Bytes {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:es384Bytes]), new(big.Int).SetBytes(signature[es384Bytes:])
		return ecdsa.Verify(public, digest[:], r, s)
	}
	return false
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
		return invalidToken("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)").because("the token's header or signature cannot be read")
	}
	if !slices.ContainsFunc(keys, func(k clusterKey) bool { return k.algorithm == header.Algorithm }) {
		return invalidToken(fmt.Sprintf("The ID Token provided could not be validated: the algorithm %q is not one that the provider's keys are for", header.Algorithm)).because("the token is signed with %q, for which %s has no key", header.Algorithm, c.issuer)
	}
	i := slices.IndexFunc(keys, func(k clusterKey) bool { return k.id == header.KeyID && k.algorithm == header.Algorithm })
	if i < 0 {
		return invalidToken("The ID Token provided could not be validated: no key of the identity provider has its key id").because("the token names the key %q, which %s does not publish; mount a token signed with a current key", header.KeyID, c.issuer)
	}
	if !keys[i].verifies(token[:dot], signature) {
		return invalidToken("The ID Token provided could not be validated: its signature is not valid").because("the token was changed after the key %q of %s signed it", header.KeyID, c.issuer)
	}
	return nil
}

// checkClaims checks a token whose signature is valid: its times against the cloud's
// clock, which is also the cluster's, and its audience against the registered client
// IDs of the provider.
func checkClaims(t *trust.Token, clientIDs []string, now time.Time) *refusal {
	switch {
	case t.Subject == "" || t.Expires.IsZero() || t.IssuedAt.IsZero():
		return invalidToken("Missing a required claim: a token has iss, sub, aud, exp and iat").because("the token lacks the claim sub, exp or iat")
	case !now.Before(t.Expires):
		return &refusal{status: http.StatusBadRequest, code: "ExpiredTokenException", message: fmt.Sprintf("Token expired: current date/time %d must be before the expiration date/time %d", now.Unix(), t.Expires.Unix()),
			why: fmt.Sprintf("the token expired at %s; read the token file again before each exchange (Pod.Rotate writes it anew)", t.Expires.UTC().Format(time.RFC3339))}
	case t.NotBefore.After(now):
		return &refusal{status: http.StatusBadRequest, code: "ExpiredTokenException", message: fmt.Sprintf("Token is not valid yet: current date/time %d must not be before the not-before date/time %d", now.Unix(), t.NotBefore.Unix()),
			why: fmt.Sprintf("the token is valid from %s on", t.NotBefore.UTC().Format(time.RFC3339))}
	}
	known := slices.DeleteFunc(slices.Clone(t.Audience), func(aud string) bool { return !slices.Contains(clientIDs, aud) })
	if len(known) == 0 {
		return invalidToken("Incorrect token audience").because("the token's audience %q is none of the provider's client ids %q; request the token for one of these, or register its audience (Account.AddOIDCProvider, AddClientIDToOpenIDConnectProvider)", t.Audience, clientIDs)
	}
	t.Audience = known
	return nil
}

func invalidToken(message string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "InvalidIdentityToken", message: message}
}
