package trust

// How one value of a request is compared with one of a policy. condition.go has the
// table of operators and evaluates a whole condition.

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"math/big"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A value that does not have the type of its operator matches nothing.

func matchPattern(have string, want pattern) bool { return want.match(have) }

func matchFold(have string, want pattern) bool { return strings.EqualFold(want.String(), have) }

// matchARN compares the six fields of an ARN one by one, so that a wildcard does not
// match across the colons before the resource.
func matchARN(have string, want pattern) bool {
	fields, values := want.fields(6), strings.SplitN(have, ":", 6)
	if len(fields) != 6 || len(values) != 6 {
		return false
	}
	for i, field := range fields {
		if !field.match(values[i]) {
			return false
		}
	}
	return true
}

// decimal matches the numbers that are compared, exactly. Longer numbers and those with
// an exponent do not count as numbers, so that a policy cannot force us to compute
// millions of digits.
var decimal = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[+-]?[0-9]{1,40}(\.[0-9]{1,40})?$`)
})

func numeric(holds func(order int) bool) func(string, pattern) bool {
	return func(have string, want pattern) bool {
		a, ok := parseDecimal(have)
		b, ok2 := parseDecimal(want.String())
		return ok && ok2 && holds(a.Cmp(b))
	}
}

func parseDecimal(s string) (*big.Rat, bool) {
	if !decimal().MatchString(s) {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

func date(holds func(order int) bool) func(string, pattern) bool {
	return func(have string, want pattern) bool {
		a, ok := parseDate(have)
		b, ok2 := parseDate(want.String())
		return ok && ok2 && holds(a.Compare(b))
	}
}

// dateLayouts lists the formats of the W3C profile of ISO 8601 (NOTE-datetime).
// time.Parse accepts a fraction of a second although the layouts have none.
var dateLayouts = []string{"2006", "2006-01", "2006-01-02", "2006-01-02T15:04Z07:00", time.RFC3339}

func parseDate(s string) (time.Time, bool) {
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	seconds, ok := parseDecimal(s)
	if !ok || seconds.Cmp(big.NewRat(lastSecond, 1)) > 0 || seconds.Sign() < 0 {
		return time.Time{}, false
	}
	nanos := new(big.Int).Mul(seconds.Num(), big.NewInt(int64(time.Second)))
	nanos.Quo(nanos, seconds.Denom())
	whole, rest := nanos.QuoRem(nanos, big.NewInt(int64(time.Second)), new(big.Int))
	return time.Unix(whole.Int64(), rest.Int64()), true
}

func matchBool(have string, want pattern) bool {
	w := want.String()
	return (strings.EqualFold(w, "true") || strings.EqualFold(w, "false")) && strings.EqualFold(w, have)
}

// matchBinary compares bytes. The policy's value is base64, and so is the request's,
// like binary context keys in AWS.
func matchBinary(have string, want pattern) bool {
	a, err := base64.StdEncoding.DecodeString(have)
	b, err2 := base64.StdEncoding.DecodeString(want.String())
	return cmp.Or(err, err2) == nil && bytes.Equal(a, b)
}

// matchIP matches an IPv4 or IPv6 address against an address or a CIDR range.
func matchIP(have string, want pattern) bool {
	address, err := netip.ParseAddr(have)
	if err != nil {
		return false
	}
	if single, err := netip.ParseAddr(want.String()); err == nil {
		return single.Unmap() == address.Unmap()
	}
	prefix, err := netip.ParsePrefix(want.String())
	return err == nil && prefix.Contains(address.Unmap())
}

// difference describes how two values differ, if the difference is easily overlooked;
// otherwise it returns "". It states facts and does not guess what was meant.
func difference(have, want string) string {
	a, isARN := splitARN(have)
	b, alsoARN := splitARN(want)
	switch {
	case have == want:
		return ""
	case strings.TrimSpace(have) == strings.TrimSpace(want):
		return "they differ only in white space at the start or end"
	case strings.EqualFold(have, want):
		return "they differ only in upper and lower case"
	case strings.TrimRight(have, "/") == strings.TrimRight(want, "/"):
		return "they differ only in a trailing slash"
	case issuerPath(have) == issuerPath(want), isARN && alsoARN && withoutScheme(a) == withoutScheme(b):
		return "they differ only in the scheme https://"
	case isARN && alsoARN:
		return arnDifference(a, b)
	default:
		return ""
	}
}

func withoutScheme(a arn) arn {
	a.resource = strings.Replace(strings.Replace(a.resource, "/https://", "/", 1), "/http://", "/", 1)
	return a
}

// arnDifference describes the difference of two ARNs that differ in one field.
func arnDifference(a, b arn) string {
	differing := 0
	var text string
	for _, field := range []struct{ name, a, b string }{
		{"partition", a.partition, b.partition}, {"service", a.service, b.service},
		{"region", a.region, b.region}, {"account", a.account, b.account},
	} {
		if field.a != field.b {
			differing++
			text = fmt.Sprintf("they differ only in the %s, %q and %q", field.name, field.a, field.b)
		}
	}
	if differing == 1 && a.resource == b.resource {
		return text
	}
	if differing > 0 || a.service != "iam" {
		return ""
	}
	kind, rest, _ := strings.Cut(a.resource, "/")
	kind2, rest2, _ := strings.Cut(b.resource, "/")
	switch {
	case kind == "role" && kind2 == "role" && lastPart(rest) == lastPart(rest2):
		return "they differ only in the role's path"
	case kind == "oidc-provider" && kind2 == kind:
		return "they are providers of different issuers"
	}
	return ""
}

func lastPart(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// nearestOf returns the first easily overlooked difference between values of a request
// and of a policy.
func nearestOf(have, want []string) string {
	for _, w := range want {
		for _, h := range have {
			if text := difference(h, w); text != "" {
				return text
			}
		}
	}
	return ""
}

// similarKey describes a key of the request that resembles the missing key name: the
// same claim of another issuer, or the same key with a small difference in spelling.
func (ctx requestContext) similarKey(key string) string {
	issuer, claim := cutKey(key)
	for _, folded := range slices.Sorted(maps.Keys(ctx)) {
		if len(ctx[folded].values) == 0 {
			continue
		}
		name := ctx[folded].name
		otherIssuer, otherClaim := cutKey(name)
		switch {
		case difference(name, key) != "":
			return fmt.Sprintf("the request has %q: %s", name, difference(name, key))
		case !strings.EqualFold(claim, otherClaim) || !strings.Contains(issuer, "/"):
		case difference(otherIssuer, issuer) != "":
			return fmt.Sprintf("the request has %q: %s", name, difference(otherIssuer, issuer))
		case strings.Contains(otherIssuer, "/"):
			return fmt.Sprintf("the request has %q: another issuer", name)
		}
	}
	return ""
}

// cutKey splits the key of an identity provider into issuer and claim. Claims have no
// colon; issuers may (before a port).
func cutKey(key string) (issuer, claim string) {
	i := strings.LastIndexByte(key, ':')
	return key[:max(i, 0)], key[i+1:]
}

// shown is the maximum number of values of a list in a text.
const shown = 8

func quoteList(values []string, separator string) string {
	if len(values) == 0 {
		return "nothing"
	}
	quoted := make([]string, 0, shown+1)
	for _, value := range values[:min(len(values), shown)] {
		quoted = append(quoted, strconv.Quote(value))
	}
	if n := len(values) - shown; n > 0 {
		quoted = append(quoted, fmt.Sprintf("%d more", n))
	}
	return strings.Join(quoted, separator)
}

// plain returns s, quoted if it contains characters that would garble a line.
func plain(s string) string {
	if quoted := strconv.Quote(s); quoted != `"`+s+`"` {
		return quoted
	}
	return s
}

func note(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

func unresolvedNote(variable string) string {
	if variable == "" {
		return ""
	}
	return fmt.Sprintf(" (the variable %s has no single value in this request)", plain(variable))
}
