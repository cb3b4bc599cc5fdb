package trust

import (
	"fmt"
	"strings"
)

// comparison is a condition operator without its qualifiers (IAM User Guide,
// "Condition operators").
type comparison struct {
	negated   bool // StringNotEquals and its like
	wildcards bool // * and ? in the policy's values are wildcards
	variables bool // ${…} in the policy's values are policy variables

	// match compares one value of the request with one of the policy, the
	// negation left out.
	match func(have string, want pattern) bool
}

var comparisons = map[string]comparison{
	"StringEquals":              {variables: true, match: matchPattern},
	"StringNotEquals":           {variables: true, match: matchPattern, negated: true},
	"StringEqualsIgnoreCase":    {variables: true, match: matchFold},
	"StringNotEqualsIgnoreCase": {variables: true, match: matchFold, negated: true},
	"StringLike":                {variables: true, wildcards: true, match: matchPattern},
	"StringNotLike":             {variables: true, wildcards: true, match: matchPattern, negated: true},

	// ArnEquals takes wildcards like ArnLike: the two behave identically.
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

// operator is a condition operator as a policy writes it.
type operator struct {
	comparison
	name     string // without its qualifiers
	set      setOperator
	ifExists bool
	null     bool // Null, which compares nothing: it asks for the key's absence
}

// setOperator says how the several values of a key are taken together.
type setOperator string

const (
	forAnyValue  setOperator = "ForAnyValue:"
	forAllValues setOperator = "ForAllValues:"
)

// parseOperator reads an operator; its error completes a sentence about it.
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
