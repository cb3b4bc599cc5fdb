package trust

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// outcome is what one line of a Condition, an operator and a key, says.
type outcome struct {
	ok         bool
	absent     bool   // the request has no value of the key
	unresolved string // a policy variable without a value in the request
}

// evaluate decides one line of a Condition (IAM User Guide, "Conditions with
// multiple context keys or values"): the policy's values are alternatives, for
// a negated operator each of them excludes.
//
// AWS leaves open what an operator without ForAnyValue or ForAllValues does
// with a key of several values. Here such a condition is fulfilled when any of
// the request's values is one of the policy's, and a negated one when none is.
func (ctx requestContext) evaluate(op operator, key string, want []string, variables bool) outcome {
	have := ctx.lookup(key)
	if op.null {
		return outcome{ok: matchesNull(want, len(have) == 0), absent: len(have) == 0}
	}
	// The set operators take a key whose values are all empty for an absent one.
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

// acceptsAbsence reports whether the operator is fulfilled when the request
// lacks the key. ForAllValues then always is and ForAnyValue never, whatever
// else the operator says.
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

// check reports what AWS refuses. An empty Condition is none of it: the IAM
// console writes one into the trust policies that it makes.
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
