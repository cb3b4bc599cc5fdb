package trust

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"math/big"
	"net/netip"
	"regexp"
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
