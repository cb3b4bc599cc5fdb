package trust

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// maxToken is the maximum length of a WebIdentityToken for
// sts:AssumeRoleWithWebIdentity, in bytes (AWS STS API reference).
const maxToken = 20_000

// Token holds those claims of a service-account token that determine whether AWS
// accepts it. It never holds the token itself.
type Token struct {
	Issuer   string   // "iss", exactly as in the token
	Subject  string   // "sub", system:serviceaccount:<namespace>:<name>
	Audience []string // "aud"; has one element if the claim is a string

	IssuedAt  time.Time // "iat"; zero if absent
	NotBefore time.Time // "nbf"; zero if absent
	Expires   time.Time // "exp"

	// From the "kubernetes.io" claim, or else from Subject.
	Namespace, ServiceAccount string
	Pod                       string // empty if the token is not bound to a pod
}

// ParseToken reads the claims of a compact JWS token (RFC 7515, RFC 7519). It
// ignores white space around the token (including CR and LF). It does NOT verify
// the signature: a Token shows what the token claims, not that it is genuine. It
// does not compare the times with a clock either.
//
// ParseToken rejects what STS cannot accept: an empty token, one of more than
// 20,000 bytes, one that does not consist of three parts in base64url without
// padding, and one without the claims iss, sub, aud and exp. The error says which
// part or claim is wrong and never contains any bytes of the token.
func ParseToken(raw []byte) (Token, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return Token{}, errors.New("trust: the token is empty")
	}
	if len(raw) > maxToken {
		return Token{}, fmt.Errorf("trust: the token has %d bytes, STS accepts at most %d", len(raw), maxToken)
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
		// The error of encoding/base64 has only an offset, which does not help: if
		// the alphabet is right, the end is missing or damaged.
		return nil, errors.New("is not complete base64url: its last characters are missing or damaged")
	}
	return decoded, nil
}

// ProviderARN returns the ARN of the OIDC provider for the token's issuer in the
// given account: arn:<partition>:iam::<account>:oidc-provider/<issuer without its
// scheme>. An empty partition means "aws".
func (t Token) ProviderARN(partition, account string) string {
	return providerARN(partition, account, t.Issuer)
}

func providerARN(partition, account, issuer string) string {
	return iamARN(partition, account, "oidc-provider/"+issuerPath(issuer))
}

// issuerPath returns the issuer as IAM writes it in provider ARNs and condition
// keys: without its scheme. It normalizes nothing else, because IAM compares byte
// by byte, including a trailing slash.
func issuerPath(issuer string) string {
	if rest, ok := strings.CutPrefix(issuer, "https://"); ok {
		return rest
	}
	return strings.TrimPrefix(issuer, "http://")
}

// parseClaims reads a claim set. It matches names exactly, as RFC 7519 requires;
// decoding into a struct would accept "ISS" for "iss".
func parseClaims(payload []byte) (Token, error) {
	claims, err := members(payload)
	if err != nil {
		return Token{}, err
	}
	var token Token
	var faults []string
	claim := func(name string, required bool, read func(json.RawMessage) error) {
		value, ok := claims.get(name)
		if !ok || string(value) == "null" {
			if required {
				faults = append(faults, fmt.Sprintf("lacks the claim %q", name))
			}
		} else if err := read(value); err != nil {
			faults = append(faults, fmt.Sprintf("has a claim %q that %v", name, err))
		}
	}
	claim("iss", true, func(v json.RawMessage) error { return readString(v, &token.Issuer) })
	claim("sub", true, func(v json.RawMessage) error { return readString(v, &token.Subject) })
	claim("aud", true, func(v json.RawMessage) error { return readAudience(v, &token.Audience) })
	claim("exp", true, func(v json.RawMessage) error { return readTime(v, &token.Expires) })
	claim("iat", false, func(v json.RawMessage) error { return readTime(v, &token.IssuedAt) })
	claim("nbf", false, func(v json.RawMessage) error { return readTime(v, &token.NotBefore) })
	if len(faults) > 0 {
		return Token{}, fmt.Errorf("%s: STS needs iss, sub, aud and exp", strings.Join(faults, " and "))
	}
	token.readKubernetes(claims)
	return token, nil
}

func readString(value json.RawMessage, to *string) error {
	if kind := jsonKind(value); kind != "string" {
		return fmt.Errorf("is %s, not a string", article(kind))
	}
	if err := json.Unmarshal(value, to); err != nil {
		return errors.New("is not valid JSON")
	}
	if *to == "" {
		return errors.New("is empty")
	}
	return nil
}

func readAudience(value json.RawMessage, to *[]string) error {
	switch kind := jsonKind(value); kind {
	case "string":
		*to = make([]string, 1)
		return readString(value, &(*to)[0])
	case "array":
	default:
		return fmt.Errorf("is %s, neither a string nor an array of strings", article(kind))
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(value, &elements); err != nil {
		return errors.New("is not valid JSON")
	}
	if len(elements) == 0 {
		return errors.New("is an empty array")
	}
	*to = make([]string, len(elements))
	for i, element := range elements {
		if err := readString(element, &(*to)[i]); err != nil {
			return fmt.Errorf("has an element %d that %w", i, err)
		}
	}
	return nil
}

// lastSecond is the end of the year 9999. RFC 3339 cannot express later times.
const lastSecond = 253402300799

// readTime reads a NumericDate of RFC 7519: seconds since 1970, which may have a
// fraction. It keeps microseconds, the resolution of a float64 for today's dates.
func readTime(value json.RawMessage, to *time.Time) error {
	if kind := jsonKind(value); kind != "number" {
		return fmt.Errorf("is %s, not a number of seconds", article(kind))
	}
	seconds, err := strconv.ParseFloat(string(value), 64)
	if err != nil || seconds < 0 || seconds > lastSecond {
		return errors.New("is not a time between the years 1970 and 9999")
	}
	whole, fraction := math.Modf(seconds)
	*to = time.Unix(int64(whole), int64(math.Round(fraction*1e6))*1e3).UTC()
	return nil
}

// readKubernetes fills in what the token says about its service account. It ignores
// a claim of an unexpected type, because AWS does not look at the claim and would
// accept the token.
func (t *Token) readKubernetes(claims object) {
	if value, ok := claims.get("kubernetes.io"); ok {
		var bound struct {
			Namespace      string
			ServiceAccount struct{ Name string }
			Pod            struct{ Name string }
		}
		if json.Unmarshal(value, &bound) == nil {
			t.Namespace, t.ServiceAccount, t.Pod = bound.Namespace, bound.ServiceAccount.Name, bound.Pod.Name
		}
	}
	name, ok := strings.CutPrefix(t.Subject, "system:serviceaccount:")
	if !ok {
		return
	}
	namespace, account, ok := strings.Cut(name, ":")
	if !ok || namespace == "" || account == "" || strings.Contains(account, ":") {
		return
	}
	if t.Namespace == "" {
		t.Namespace = namespace
	}
	if t.ServiceAccount == "" {
		t.ServiceAccount = account
	}
}
