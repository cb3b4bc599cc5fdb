package trust

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

// A value that cannot be read as what its operator compares matches nothing.

func matchPattern(have string, want pattern) bool { return want.match(have) }

func matchFold(have string, want pattern) bool { return strings.EqualFold(want.String(), have) }

// matchARN compares the six fields of an ARN one by one, so that a wildcard
// doesn't stretch over the colons before the resource.
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

// decimal is a number that is compared exactly. Longer ones and those with an
// exponent are no numbers here, so that a policy can't ask for endless digits.
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

// dateLayouts are the W3C's profile of ISO 8601 (NOTE-datetime). A fraction of
// a second is taken by time.Parse without being named.
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

// matchBinary compares bytes: the policy's value is base64, and so is the
// request's, as the context keys of AWS are.
func matchBinary(have string, want pattern) bool {
	a, err := base64.StdEncoding.DecodeString(have)
	b, err2 := base64.StdEncoding.DecodeString(want.String())
	return cmp.Or(err, err2) == nil && bytes.Equal(a, b)
}

// matchIP takes an address or a CIDR range, of IPv4 or IPv6.
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

// difference describes how two values differ where that is easily overlooked, and
// is empty otherwise. It states facts, never what was meant.
func difference(have, want string) string {
	a, isARN := splitARN(have)
	b, alsoARN := splitARN(want)
	switch {
	case have == want:
		return ""
	case strings.TrimSpace(have) == strings.TrimSpace(want):
		return "they differ only in white space at the ends"
	case strings.EqualFold(have, want):
		return "they differ only in upper and lower case"
	case strings.TrimRight(have, "/") == strings.TrimRight(want, "/"):
		return "they differ only in a slash at the end"
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

// arnDifference names the one field in which two ARNs differ.
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

// nearestOf returns the first difference worth mentioning between values of a
// request and of a policy.
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

// similarKey names a key that the request has in place of one that it lacks:
// the same claim of another issuer, or the same key spelled a little otherwise.
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

// cutKey parts the key of an identity provider into issuer and claim. Claims
// hold no colon, issuers may (a port).
func cutKey(key string) (issuer, claim string) {
	i := strings.LastIndexByte(key, ':')
	return key[:max(i, 0)], key[i+1:]
}

// shown is how many values of a list a text shows.
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

// plain returns s, quoted if it holds characters that would garble a line.
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
