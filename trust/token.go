package trust

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxToken is the longest WebIdentityToken that sts:AssumeRoleWithWebIdentity
// takes, in bytes (AWS STS API reference).
const maxToken = 20_000

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

// ParseToken reads the claims of a compact JWS token (RFC 7515, RFC 7519).
// White space around the token (including CR and LF) is ignored. The signature
// is NOT verified: a Token says what a token claims, never that it is genuine.
// Nor are the times compared with a clock.
//
// It refuses what STS cannot accept: no token, more than 20,000 bytes, other
// than three parts of base64url without padding, a claim set without iss, sub,
// aud and exp. The error says which part or claim is wrong and never shows any
// of the token's bytes.
func ParseToken(raw []byte) (Token, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return Token{}, errors.New("trust: the token is empty")
	}
	if len(raw) > maxToken {
		return Token{}, fmt.Errorf("trust: the token has %d bytes, STS takes at most %d", len(raw), maxToken)
	}
	parts := strings.Split(string(raw), ".")
	if len(parts) < 3 {
		return Token{}, fmt.Errorf("trust: the token has %d of the 3 parts between dots that a signed token has: it is not one, or only half of it was written", len(parts))
	}
	if len(parts) > 3 {
		return Token{}, fmt.Errorf("trust: the token has %d parts between dots, a signed token has 3", len(parts))
	}
	var decoded [3][]byte
	for i, name := range [3]string{"header", "payload", "signature"} {
		part, err := decodePart(parts[i])
		if err != nil {
			return Token{}, fmt.Errorf("trust: the token's %s %w", name, err)
		}
		decoded[i] = part
	}
	if _, err := members(decoded[0]); err != nil {
		return Token{}, fmt.Errorf("trust: the token's header %w", err)
	}
	token, err := parseClaims(decoded[1])
	if err != nil {
		return Token{}, fmt.Errorf("trust: the token's payload %w", err)
	}
	return token, nil
}

// decodePart decodes base64url without padding. The alphabet is checked here
// because encoding/base64 skips line breaks, which STS doesn't.
func decodePart(part string) ([]byte, error) {
	if part == "" {
		return nil, errors.New("is empty")
	}
	for i := range len(part) {
		switch c := part[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		case c == '=':
			return nil, errors.New("is padded with '=', which RFC 7515 forbids")
		case c == '+' || c == '/':
			return nil, errors.New("is standard base64, RFC 7515 wants base64url ('-' and '_' for '+' and '/')")
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			return nil, errors.New("has white space in the middle: write the token on one line")
		default:
			return nil, fmt.Errorf("is not base64url (at its byte %d)", i)
		}
	}
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		// The error of encoding/base64 holds an offset only, but says nothing
		// that helps: with the alphabet right, the end is missing or damaged.
		return nil, errors.New("is not whole base64url: its last characters are missing or damaged")
	}
	return decoded, nil
}

// ProviderARN is the ARN that the token's issuer has as an OIDC provider in
// the given account: arn:<partition>:iam::<account>:oidc-provider/<issuer
// without its scheme>. An empty partition means "aws".
func (t Token) ProviderARN(partition, account string) string {
	return providerARN(partition, account, t.Issuer)
}

func providerARN(partition, account, issuer string) string {
	return iamARN(partition, account, "oidc-provider/"+issuerPath(issuer))
}

// issuerPath is the issuer as IAM spells it in provider ARNs and condition
// keys: without its scheme. Nothing else is normalized, because IAM compares
// byte by byte, a trailing slash included.
func issuerPath(issuer string) string {
	if rest, ok := strings.CutPrefix(issuer, "https://"); ok {
		return rest
	}
	return strings.TrimPrefix(issuer, "http://")
}
