package awstest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/crossrole/crossrole/trust"
)

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

// checkClaims judges a genuine token: its times by the cloud's clock, which is
// also the cluster's, its audience by what the provider is registered with.
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
