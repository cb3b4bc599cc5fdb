package trust

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Policy is an IAM policy document. It marshals to and from the JSON that AWS
// uses, with its elements in AWS's order and a single value written without
// brackets.
//
// A Policy built in code is not validated until you call ValidateTrust,
// ValidateIdentity or ValidateResource.
type Policy struct {
	// Version is the version of the policy language: "2012-10-17" or
	// "2008-10-17". Empty means the latter, as in AWS; that version has no policy
	// variables.
	Version    string
	ID         string // "Id"; identity policies have none
	Statements []Statement

	// faults lists the errors in the arguments of the function that wrote the policy;
	// the Validate methods report them.
	faults []error
}

// Statement is one statement of a [Policy]. A nil element is absent. An element that
// is empty but not nil matches nothing, and AWS refuses it.
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
// condition keys and the values that each key may have. Numbers and booleans in the
// JSON form become strings.
type Conditions map[string]map[string][]string

// The versions of the policy language.
const (
	version2012 = "2012-10-17"
	version2008 = "2008-10-17"
)

// variables reports whether ${…} is a policy variable in p, and not plain text.
func (p *Policy) variables() bool { return p.Version == version2012 }

// AWS's limits for the size of policies, in characters as counted by [Policy.Size]
// (IAM User Guide, "IAM and AWS STS quotas"; Amazon S3 User Guide, "Bucket policies").
const (
	// MaxTrustPolicySize is the default limit for a role's trust policy. Service
	// Quotas ("Role trust policy length") can raise it to MaxRaisedTrustPolicySize.
	MaxTrustPolicySize       = 2_048
	MaxRaisedTrustPolicySize = 8_192

	MaxRolePoliciesSize  = 10_240 // of all inline policies of a role together
	MaxUserPoliciesSize  = 2_048  // of all inline policies of a user together
	MaxManagedPolicySize = 6_144  // of one managed policy

	// MaxSessionPolicySize is for the session policy in a request to STS
	// (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html, "Policy").
	// STS also counts white space.
	MaxSessionPolicySize = 2_048

	// MaxBucketPolicySize is in bytes. It is the largest limit of all; [ParsePolicy]
	// rejects a larger policy.
	MaxBucketPolicySize = 20_480
)

// Size returns the size of the document that [Policy.String] writes, as IAM counts
// it: in characters, without the white space outside strings. A document that says
// the same in a different form, for example with brackets around single values, has
// a different size. Size returns zero for a policy that could not be written (see
// [PolicyOptions]).
func (p *Policy) Size() int {
	if p == nil {
		return 0
	}
	document, err := marshal(p)
	if err != nil {
		return 0
	}
	return utf8.RuneCount(document)
}

// String returns the policy as indented JSON, ready for
// aws iam update-assume-role-policy --policy-document. For a policy that could not
// be written (see [PolicyOptions]), it returns the reason, which is not JSON.
func (p *Policy) String() string {
	if p == nil {
		return "<nil>"
	}
	if err := p.unwritten(); err != nil {
		return err.Error()
	}
	var b bytes.Buffer
	if err := encoder(&b, "  ").Encode(p); err != nil {
		return err.Error()
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// unwritten returns the error that left the policy without statements, or nil.
func (p *Policy) unwritten() error {
	if len(p.Statements) > 0 {
		return nil
	}
	return errors.Join(p.faults...)
}

// MarshalJSON writes the document in AWS's form and order. It does not validate it:
// for that, see ValidateTrust, ValidateIdentity and ValidateResource. A policy that
// could not be written (see [PolicyOptions]) is an error.
func (p Policy) MarshalJSON() ([]byte, error) {
	if err := p.unwritten(); err != nil {
		return nil, err
	}
	return marshal(struct {
		Version   string `json:",omitempty"`
		ID        string `json:"Id,omitempty"`
		Statement []Statement
	}{p.Version, p.ID, append([]Statement{}, p.Statements...)})
}

// String returns the statement as indented JSON, for the Statement list of an
// existing policy.
func (s Statement) String() string {
	var b bytes.Buffer
	if err := encoder(&b, "  ").Encode(s); err != nil {
		return err.Error()
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// MarshalJSON writes the statement in AWS's form and order. A string that is not UTF-8
// is an error, because JSON cannot hold it.
func (s Statement) MarshalJSON() ([]byte, error) {
	if element, err := s.checkUTF8(); err != nil {
		return nil, fmt.Errorf("trust: %s: %w", element, err)
	}
	return marshal(struct {
		SID          string     `json:"Sid,omitempty"`
		Effect       string     `json:",omitempty"`
		Principal    Principals `json:",omitzero"`
		NotPrincipal Principals `json:",omitzero"`
		Action       oneOrMany  `json:",omitzero"`
		NotAction    oneOrMany  `json:",omitzero"`
		Resource     oneOrMany  `json:",omitzero"`
		NotResource  oneOrMany  `json:",omitzero"`
		Condition    Conditions `json:",omitzero"`
	}{s.SID, s.Effect, s.Principal, s.NotPrincipal, s.Action, s.NotAction, s.Resource, s.NotResource, s.Condition})
}

// checkUTF8 returns an error if a string of the statement is not UTF-8, and the element
// it is in. JSON would replace its bytes with U+FFFD, and the policy would be about
// something else. The value of a condition may be a secret, so the error does not show it.
func (s *Statement) checkUTF8() (element string, err error) {
	for element, text := range s.texts() {
		switch {
		case utf8.ValidString(text.value):
		case text.key != "":
			return element, fmt.Errorf("a value of %q is not UTF-8, as a policy must be", text.key)
		default:
			return element, fmt.Errorf("%q is not UTF-8, as a policy must be", text.value)
		}
	}
	return "", nil
}

// MarshalJSON writes {"*": {"*"}} as "*" and single values without brackets.
func (p Principals) MarshalJSON() ([]byte, error) {
	if p.everyone() {
		return []byte(`"*"`), nil
	}
	types := make(map[string]oneOrMany, len(p))
	for name, values := range p {
		types[name] = values
	}
	return marshal(types)
}

// MarshalJSON writes single values without brackets.
func (c Conditions) MarshalJSON() ([]byte, error) {
	operators := make(map[string]map[string]oneOrMany, len(c))
	for operator, keys := range c {
		operators[operator] = make(map[string]oneOrMany, len(keys))
		for key, values := range keys {
			operators[operator][key] = values
		}
	}
	return marshal(operators)
}

// oneOrMany is a list that AWS writes without brackets when it has one value.
type oneOrMany []string

func (v oneOrMany) MarshalJSON() ([]byte, error) {
	if len(v) == 1 {
		return marshal(v[0])
	}
	return marshal(append([]string{}, v...))
}

// marshal does not escape <, > and &, because they are common in tags and keys, and
// people read these documents.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	if err := encoder(&b, "").Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func encoder(b *bytes.Buffer, indent string) *json.Encoder {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	return enc
}
