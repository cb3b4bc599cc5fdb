package trust

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

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

// The sizes that AWS limits policies to, in characters as [Policy.Size] counts
// them (IAM User Guide, "IAM and AWS STS quotas"; Amazon S3 User Guide, "Bucket
// policies").
const (
	// MaxTrustPolicySize is the length of a role's trust policy that every
	// account allows. Service Quotas ("Role trust policy length") raises it to
	// MaxRaisedTrustPolicySize at most.
	MaxTrustPolicySize       = 2_048
	MaxRaisedTrustPolicySize = 8_192

	MaxRolePoliciesSize  = 10_240 // of all inline policies of a role together
	MaxUserPoliciesSize  = 2_048  // of all inline policies of a user together
	MaxManagedPolicySize = 6_144  // of one managed policy

	// MaxBucketPolicySize is in bytes. No policy of AWS is larger, and
	// [ParsePolicy] refuses one.
	MaxBucketPolicySize = 20_480
)

// Size returns the number of characters that IAM counts of the document that
// [Policy.String] writes: all but the white space outside strings. A document
// with the same meaning that was written otherwise, with brackets around single
// values for example, has another size. Zero for a policy that could not be
// written ([PolicyOptions]).
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
// aws iam update-assume-role-policy --policy-document. For a policy that could
// not be written ([PolicyOptions]) it returns the reason, which is not JSON.
func (p *Policy) String() string {
	if p == nil {
		return "<nil>"
	}
	if err := p.unwritten(); err != nil {
		return err.Error()
	}
	var b bytes.Buffer
	// Marshalling strings, slices and maps of strings cannot fail.
	if err := encoder(&b, "  ").Encode(p); err != nil {
		return err.Error()
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// unwritten returns why a policy has no statements, if an argument is the reason.
func (p *Policy) unwritten() error {
	if len(p.Statements) > 0 {
		return nil
	}
	return errors.Join(p.faults...)
}

// MarshalJSON writes the document in AWS's shape and order. It does not check
// it: see ValidateTrust and its siblings. A policy that could not be written
// ([PolicyOptions]) is an error.
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
	// Marshalling strings, slices and maps of strings cannot fail.
	if err := encoder(&b, "  ").Encode(s); err != nil {
		return err.Error()
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// MarshalJSON writes the statement in AWS's shape and order.
func (s Statement) MarshalJSON() ([]byte, error) {
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

// marshal leaves <, > and & as they are: they are common in tags and keys, and
// the documents are read by people.
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
