package trust

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// parseClaims reads a claim set. Names are matched exactly, as RFC 7519 wants;
// decoding into a struct would take "ISS" for "iss".
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
		return Token{}, fmt.Errorf("%s: STS needs a token as a projected service-account volume has it", strings.Join(faults, " and "))
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

// lastSecond is the end of the year 9999: later times have no RFC 3339 form.
const lastSecond = 253402300799

// readTime reads a NumericDate of RFC 7519: seconds since 1970, which may have
// a fraction. The fraction is kept to microseconds, as finely as a float64
// resolves today's dates.
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

// readKubernetes fills in what the token says of its service account. A claim
// of another shape is passed over, not refused: AWS doesn't look at it, so it
// must not keep a token that AWS accepts from being used.
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
