package trust

// How a condition of a policy is compared with the values of a request: a line of a
// Condition (evaluate), its operator (parseOperator, comparisons), and one value with
// another (matchPattern and those that follow it).

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/crossrole/crossrole/internal/lazyregexp"
)

// outcome is the result of one line of a Condition, that is of an operator and a key.
type outcome struct {
	ok         bool
	absent     bool   // the request has no value of the key
	unresolved string // a policy variable without a value in the request
}

// evaluate decides one line of a Condition (IAM User Guide, "Conditions with
// multiple context keys or values"). One of the policy's values must match; for a
// negated operator, none may.
//
// AWS does not define what an operator without ForAnyValue or ForAllValues does if a
// key has several values. Here such a condition is met if any of the request's values
// matches one of the policy's, and a negated one if none does.
func (ctx requestContext) evaluate(op operator, key string, want []string, variables bool) outcome {
	have := ctx.lookup(key)
	if op.null {
		return outcome{ok: matchesNull(want, len(have) == 0), absent: len(have) == 0}
	}
	// For the set operators, a key whose values are all empty counts as absent.
	if len(have) == 0 || op.set != "" && strings.Join(have, "") == "" {
		return outcome{ok: op.acceptsAbsence(), absent: true}
	}
	var out outcome
	patterns := make([]pattern, 0, len(want))
	for _, value := range want {
		p, unresolved := ctx.expand(value, op.wildcards, op.variables && variables)
		if unresolved != "" {
			out.unresolved = unresolved
			continue
		}
		patterns = append(patterns, p)
	}
	if out.unresolved != "" && op.negated {
		// "Any attempt to match it fails and causes the statement to be
		// invalid" (IAM User Guide, "Variables and tags").
		return out
	}
	fulfilled := func(value string) bool {
		return slices.ContainsFunc(patterns, func(p pattern) bool { return op.match(value, p) }) != op.negated
	}
	if op.set == forAllValues || op.set == "" && op.negated {
		out.ok = !slices.ContainsFunc(have, func(value string) bool { return !fulfilled(value) })
	} else {
		out.ok = slices.ContainsFunc(have, fulfilled)
	}
	return out
}

// acceptsAbsence reports whether the condition is met if the request lacks the key.
// With ForAllValues it always is, and with ForAnyValue never, whatever the rest of the
// operator.
func (op operator) acceptsAbsence() bool {
	switch op.set {
	case forAllValues:
		return true
	case forAnyValue:
		return false
	default:
		return op.ifExists || op.negated
	}
}

func matchesNull(want []string, absent bool) bool {
	return slices.ContainsFunc(want, func(value string) bool {
		return strings.EqualFold(value, "true") && absent || strings.EqualFold(value, "false") && !absent
	})
}

// lines calls visit for each operator and key in a fixed order.
func (c Conditions) lines(visit func(operator, key string, values []string)) {
	for _, operator := range slices.Sorted(maps.Keys(c)) {
		for _, key := range slices.Sorted(maps.Keys(c[operator])) {
			visit(operator, key, c[operator][key])
		}
	}
}

// check reports what AWS refuses. AWS accepts an empty Condition: the IAM console
// writes one into the trust policies that it creates.
func (c Conditions) check(fault func(string, error)) {
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if _, err := parseOperator(name); err != nil {
			fault("Condition", fmt.Errorf("the operator %q %w", name, err))
		}
		if len(c[name]) == 0 {
			fault("Condition", fmt.Errorf("the operator %q has no keys", name))
		}
		folded := map[string]string{}
		for _, key := range slices.Sorted(maps.Keys(c[name])) {
			if other, twice := folded[strings.ToLower(key)]; twice {
				fault("Condition", fmt.Errorf("under %q, the keys %q and %q differ only by case, which doesn't matter in a key", name, other, key))
			}
			folded[strings.ToLower(key)] = key
			if err := checkConditionKey(key, c[name][key], name == "Null"); err != nil {
				fault("Condition", fmt.Errorf("under %q, the key %q %w", name, key, err))
			}
		}
	}
}

func checkConditionKey(key string, values []string, null bool) error {
	prefix, name, _ := strings.Cut(key, ":")
	switch {
	case strings.Contains(key, "://"):
		return errors.New("has the issuer's scheme: condition keys have the issuer without https://")
	case prefix == "" || name == "":
		return errors.New("is not <service>:<key>, like aws:PrincipalArn, nor <issuer>:<claim>")
	case len(values) == 0:
		return errors.New("has no values")
	}
	for _, value := range values {
		if null && !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false") {
			return errors.New("has a value other than true (the key is absent) and false, the two that Null takes")
		}
	}
	return nil
}

// comparison is a condition operator without its qualifiers (IAM User Guide,
// "Condition operators").
type comparison struct {
	negated   bool // StringNotEquals and the like
	wildcards bool // * and ? in the policy's values are wildcards
	variables bool // ${…} in the policy's values are policy variables

	// match compares one value of the request with one of the policy. It ignores
	// negation.
	match func(have string, want pattern) bool
}

var comparisons = map[string]comparison{
	"StringEquals":              {variables: true, match: matchPattern},
	"StringNotEquals":           {variables: true, match: matchPattern, negated: true},
	"StringEqualsIgnoreCase":    {variables: true, match: matchFold},
	"StringNotEqualsIgnoreCase": {variables: true, match: matchFold, negated: true},
	"StringLike":                {variables: true, wildcards: true, match: matchPattern},
	"StringNotLike":             {variables: true, wildcards: true, match: matchPattern, negated: true},

	// ArnEquals accepts wildcards too: it behaves exactly like ArnLike.
	"ArnEquals":    {variables: true, wildcards: true, match: matchARN},
	"ArnLike":      {variables: true, wildcards: true, match: matchARN},
	"ArnNotEquals": {variables: true, wildcards: true, match: matchARN, negated: true},
	"ArnNotLike":   {variables: true, wildcards: true, match: matchARN, negated: true},

	"NumericEquals":            {match: numeric(func(order int) bool { return order == 0 })},
	"NumericNotEquals":         {match: numeric(func(order int) bool { return order == 0 }), negated: true},
	"NumericLessThan":          {match: numeric(func(order int) bool { return order < 0 })},
	"NumericLessThanEquals":    {match: numeric(func(order int) bool { return order <= 0 })},
	"NumericGreaterThan":       {match: numeric(func(order int) bool { return order > 0 })},
	"NumericGreaterThanEquals": {match: numeric(func(order int) bool { return order >= 0 })},

	"DateEquals":            {match: date(func(order int) bool { return order == 0 })},
	"DateNotEquals":         {match: date(func(order int) bool { return order == 0 }), negated: true},
	"DateLessThan":          {match: date(func(order int) bool { return order < 0 })},
	"DateLessThanEquals":    {match: date(func(order int) bool { return order <= 0 })},
	"DateGreaterThan":       {match: date(func(order int) bool { return order > 0 })},
	"DateGreaterThanEquals": {match: date(func(order int) bool { return order >= 0 })},

	"Bool":         {match: matchBool},
	"BinaryEquals": {match: matchBinary},
	"IpAddress":    {match: matchIP},
	"NotIpAddress": {match: matchIP, negated: true},
}

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
var decimal = lazyregexp.New(`^[+-]?[0-9]{1,40}(\.[0-9]{1,40})?$`)

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

// operator is a condition operator as written in a policy.
type operator struct {
	comparison
	name     string // without its qualifiers
	set      setOperator
	ifExists bool
	null     bool // Null, which compares nothing: it checks whether the key is absent
}

// setOperator is the qualifier that combines the results for several values of a key.
type setOperator string

const (
	forAnyValue  setOperator = "ForAnyValue:"
	forAllValues setOperator = "ForAllValues:"
)

// parseOperator reads an operator. Its error is the second half of a sentence about it.
func parseOperator(text string) (operator, error) {
	var op operator
	op.name = text
	for _, set := range []setOperator{forAnyValue, forAllValues} {
		if rest, ok := strings.CutPrefix(op.name, string(set)); ok {
			op.name, op.set = rest, set
			break
		}
	}
	op.name, op.ifExists = strings.CutSuffix(op.name, "IfExists")
	if op.name == "Null" {
		if op.ifExists || op.set != "" {
			return operator{}, fmt.Errorf("is unknown: Null takes neither IfExists nor a set operator")
		}
		op.null = true
		return op, nil
	}
	var known bool
	if op.comparison, known = comparisons[op.name]; known {
		return op, nil
	}
	for name := range comparisons {
		if strings.EqualFold(name, op.name) {
			return operator{}, fmt.Errorf("is unknown: write %s", name)
		}
	}
	return operator{}, fmt.Errorf("is unknown: see the IAM User Guide's \"Condition operators\" (StringEquals, StringLike, ArnLike, Bool, …)")
}

// maxPattern limits the length of a policy string after variables are replaced, so
// that a request with a long value costs little. AWS's own values are far shorter.
const maxPattern = 1 << 16

// requestContext is a request's condition keys by lower-case name.
type requestContext map[string]contextKey

type contextKey struct {
	name   string // as in the request
	values []string
}

// newContext converts the names of keys to lower case. Names that differ only in case
// are the same key: their values are joined in the order of the names, so that the
// decision does not depend on the order of a map.
func newContext(keys map[string][]string) requestContext {
	ctx := make(requestContext, len(keys))
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		folded := strings.ToLower(name)
		key, ok := ctx[folded]
		if !ok {
			key.name = name
		}
		key.values = append(slices.Clip(key.values), keys[name]...)
		ctx[folded] = key
	}
	return ctx
}

// lookup returns a key's values; a key without values counts as absent.
func (ctx requestContext) lookup(name string) []string {
	return ctx[strings.ToLower(name)].values
}

// expand converts a policy string to a pattern. In version 2012-10-17 it replaces
// variables with their values, in which * and ? are not wildcards. If a variable has no
// value in this request, expand returns its text as unresolved. A variable with several
// values counts as one without a value, because AWS allows only single-valued keys (IAM
// User Guide, "Variables and tags"), and so does one whose value would make the pattern
// longer than maxPattern.
func (ctx requestContext) expand(s string, wildcards, variables bool) (p pattern, unresolved string) {
	p = make(pattern, 0, len(s))
	for s != "" {
		if body, ok := strings.CutPrefix(s, "${"); variables && ok {
			if name, rest, closed := strings.Cut(body, "}"); closed {
				value, found := ctx.variable(name)
				if !found || len(p)+len(value) > maxPattern {
					return nil, "${" + name + "}"
				}
				p, s = p.append(value), rest
				continue
			}
		}
		n := len(s)
		if i := strings.IndexByte(s[1:], '$'); i >= 0 {
			n = i + 1
		}
		if wildcards {
			p = append(p, wildcardPattern(s[:n])...)
		} else {
			p = p.append(s[:n])
		}
		s = s[n:]
	}
	return p, ""
}

// variable returns the value of ${name}, or of ${name, 'default'}.
func (ctx requestContext) variable(name string) (value string, found bool) {
	if name == "*" || name == "?" || name == "$" {
		return name, true
	}
	name, fallback, hasFallback := strings.Cut(name, ",")
	if values := ctx.lookup(strings.TrimSpace(name)); len(values) == 1 {
		return values[0], true
	}
	fallback = strings.TrimSpace(fallback)
	if hasFallback && len(fallback) >= 2 && fallback[0] == '\'' && fallback[len(fallback)-1] == '\'' {
		return fallback[1 : len(fallback)-1], true
	}
	return "", false
}
