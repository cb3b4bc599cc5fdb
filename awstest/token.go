package awstest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/crossrole/crossrole/trust"
)

// Token signs a token for a service account as the API server would: audience
// sts.amazonaws.com, valid for 24 hours from now. The edits, if any, change the
// claims before they are signed; a claim that an edit makes zero is left out.
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

// claims are the token's as kube-apiserver writes them.
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

// signJWT is a compact JWS with RS256.
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
