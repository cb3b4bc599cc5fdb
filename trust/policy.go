package trust

// Policy is an IAM policy document. It marshals to and from the JSON that AWS
// uses, with its elements in AWS's order and a single value written without
// brackets.
//
// A Policy built in code is not checked until one of ValidateTrust,
// ValidateIdentity and ValidateResource is asked.
type Policy struct {
	// Version is the version of the policy language: "2012-10-17" or
	// "2008-10-17". Empty is the latter, as in AWS, which knows no policy
	// variables.
	Version    string
	ID         string // "Id"; identity policies have none
	Statements []Statement

	// faults are what a function that writes policies found wrong with its
	// arguments; the Validate methods report them.
	faults []error
}

// Statement is one statement of a [Policy]. A nil element is absent; an empty
// one that is not nil matches nothing, and AWS refuses it.
type Statement struct {
	SID    string // "Sid"
	Effect string // "Allow" or "Deny"

	Principal    Principals // trust and resource policies only
	NotPrincipal Principals

	Action, NotAction     []string
	Resource, NotResource []string // identity and resource policies only

	Condition Conditions
}

// Principals maps a principal's type ("AWS", "Federated", "Service",
// "CanonicalUser") to its values. The JSON form "*" is {"*": {"*"}}.
type Principals map[string][]string

// Conditions maps an operator ("StringEquals", "ForAnyValue:StringLike", …) to
// condition keys and the values that each may have. Numbers and booleans of
// the JSON form are held as strings.
type Conditions map[string]map[string][]string

// The versions of the policy language.
const (
	version2012 = "2012-10-17"
	version2008 = "2008-10-17"
)

// variables reports whether ${…} is a policy variable here, not plain text.
func (p *Policy) variables() bool { return p.Version == version2012 }
