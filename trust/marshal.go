package trust

import (
	"bytes"
	"encoding/json"
)

// String is the policy as indented JSON, ready for
// aws iam update-assume-role-policy --policy-document.
func (p *Policy) String() string {
	if p == nil {
		return "<nil>"
	}
	var b bytes.Buffer
	// Marshalling strings, slices and maps of strings cannot fail.
	if err := encoder(&b, "  ").Encode(p); err != nil {
		return err.Error()
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// MarshalJSON writes the document in AWS's shape and order. It does not check
// it: see ValidateTrust and its siblings.
func (p Policy) MarshalJSON() ([]byte, error) {
	return marshal(struct {
		Version   string `json:",omitempty"`
		ID        string `json:"Id,omitempty"`
		Statement []Statement
	}{p.Version, p.ID, append([]Statement{}, p.Statements...)})
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
