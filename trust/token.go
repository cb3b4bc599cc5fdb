package trust

import (
	"errors"
	"time"
)

// Token holds the claims of a service-account token that decide whether AWS
// accepts it. It never holds the token itself.
type Token struct {
	Issuer   string   // "iss", exactly as the token spells it
	Subject  string   // "sub", system:serviceaccount:<namespace>:<name>
	Audience []string // "aud", whether the token had a string or an array

	IssuedAt  time.Time // "iat"; zero if absent
	NotBefore time.Time // "nbf"; zero if absent
	Expires   time.Time // "exp"

	// From the "kubernetes.io" claim, or from Subject where that is absent.
	Namespace, ServiceAccount string
	Pod                       string // empty when the token is not bound to a pod
}

// ParseToken reads the claims of a compact JWS token. White space around the
// token (including CR and LF) is ignored. The signature is NOT verified: a
// Token says what a token claims, never that it is genuine.
func ParseToken(raw []byte) (Token, error) {
	return Token{}, errors.New("trust: ParseToken is not built yet")
}

// ProviderARN is the ARN that the token's issuer has as an OIDC provider in
// the given account: arn:<partition>:iam::<account>:oidc-provider/<issuer
// without its scheme>. An empty partition means "aws".
func (t Token) ProviderARN(partition, account string) string { return "" }
