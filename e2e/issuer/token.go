package issuer

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
)

// Audience is the audience of tokens for AWS.
const Audience = "sts.amazonaws.com"

// Claims are the claims of a token. The zero value of an optional field means the value
// that a pod on EKS would have.
type Claims struct {
	Namespace, ServiceAccount string
	Issuer                    string        // empty: the issuer's URL
	Audience                  string        // empty: [Audience]
	IssuedAt                  time.Time     // zero: now
	Life                      time.Duration // from IssuedAt; 0: one hour
}

// Subject returns the sub claim.
func (c Claims) Subject() string {
	return "system:serviceaccount:" + c.Namespace + ":" + c.ServiceAccount
}

// Token returns a signed token with the claims of the tokens that kube-apiserver issues
// for pods.
func (i *Issuer) Token(c Claims) (string, error) {
	issued := c.IssuedAt
	if issued.IsZero() {
		issued = time.Now()
	}
	payload := map[string]any{
		"iss": cmp.Or(c.Issuer, i.URL),
		"sub": c.Subject(),
		"aud": []string{cmp.Or(c.Audience, Audience)},
		"iat": issued.Unix(),
		"nbf": issued.Unix(),
		"exp": issued.Add(cmp.Or(c.Life, time.Hour)).Unix(),
		"jti": rand.Text(),
		"kubernetes.io": map[string]any{
			"namespace":      c.Namespace,
			"node":           map[string]string{"name": "node-1", "uid": "8d2f4f0e-5f0c-4c59-8c6a-0a4f5d3f9a11"},
			"pod":            map[string]string{"name": c.ServiceAccount + "-0", "uid": "3c1b8a52-6f7e-4b60-9d2e-7a1c55c0de01"},
			"serviceaccount": map[string]string{"name": c.ServiceAccount, "uid": "b7e4a1d6-90c3-4a8f-8f52-1d6e0c7b2a33"},
		},
	}
	k := i.published()[0]
	header, err := segment(map[string]string{"alg": "RS256", "kid": k.id})
	if err != nil {
		return "", err
	}
	body, err := segment(payload)
	if err != nil {
		return "", err
	}
	signed := header + "." + body
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, k.private, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("issuer: sign: %w", err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// segment returns one JSON part of a compact JWS (RFC 7515, section 3.1).
func segment(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("issuer: token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}
