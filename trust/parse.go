package trust

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ParsePolicy reads a policy document and refuses what AWS refuses as
// malformed: the error names the statement, the element and the rule, which is
// the IAM User Guide's "Grammar of the IAM JSON policy language" unless it says
// otherwise. What depends on where the policy is attached is left to
// ValidateTrust, ValidateIdentity and ValidateResource.
func ParsePolicy(document []byte) (*Policy, error) {
	policy := new(Policy)
	if err := policy.UnmarshalJSON(document); err != nil {
		return nil, err
	}
	return policy, nil
}

// UnmarshalJSON is [ParsePolicy].
func (p *Policy) UnmarshalJSON(document []byte) error {
	if n := len(document) - countSpace(document); n > MaxBucketPolicySize {
		return fmt.Errorf("trust: the policy has %d characters besides white space, no AWS policy has more than %d", n, MaxBucketPolicySize)
	}
	elements, err := members(document)
	if err != nil {
		return fmt.Errorf("trust: the policy %w", err)
	}
	var parsed Policy
	var statements json.RawMessage
	for _, name := range elements.names {
		value := elements.values[name]
		switch name {
		case "Version":
			err = parseString(value, &parsed.Version)
			if err == nil && parsed.Version == "" {
				err = errors.New("is empty")
			}
		case "Id":
			err = parseString(value, &parsed.ID)
		case "Statement":
			statements = value
		default:
			err = unknownElement(name, "Version", "Id", "Statement")
		}
		if err != nil {
			return fmt.Errorf("trust: the policy's %q %w", name, err)
		}
	}
	if parsed.Statements, err = parseStatements(statements); err != nil {
		return err
	}
	if err := parsed.check(anyUse); err != nil {
		return err
	}
	*p = parsed
	return nil
}

func parseStatements(value json.RawMessage) ([]Statement, error) {
	var raw []json.RawMessage
	switch kind := jsonKind(value); kind {
	case "nothing":
		return nil, errors.New("trust: the policy has no Statement")
	case "object":
		raw = []json.RawMessage{value}
	case "array":
		if err := json.Unmarshal(value, &raw); err != nil {
			return nil, fmt.Errorf("trust: the policy's Statement is not valid JSON: %w", err)
		}
	default:
		return nil, fmt.Errorf("trust: the policy's Statement is %s, neither an object nor an array of objects", article(kind))
	}
	statements := make([]Statement, len(raw))
	for i, value := range raw {
		sid, err := statements[i].parse(value)
		if err != nil {
			return nil, fmt.Errorf("trust: %s %w", statementName(i, sid), err)
		}
	}
	return statements, nil
}

// UnmarshalJSON reads a statement in AWS's shape. Unlike [ParsePolicy] it checks
// the names and types of the elements only.
func (s *Statement) UnmarshalJSON(document []byte) error {
	var parsed Statement
	if _, err := parsed.parse(document); err != nil {
		return fmt.Errorf("trust: the statement %w", err)
	}
	*s = parsed
	return nil
}

// parse reads a statement; sid is what it says to be called, also on failure.
func (s *Statement) parse(document json.RawMessage) (sid string, err error) {
	elements, err := members(document)
	if err != nil {
		return "", err
	}
	if value, ok := elements.get("Sid"); ok {
		if err := parseString(value, &s.SID); err != nil {
			return "", fmt.Errorf("has a Sid that %w", err)
		}
	}
	for _, name := range elements.names {
		value := elements.values[name]
		switch name {
		case "Sid":
		case "Effect":
			err = parseString(value, &s.Effect)
		case "Principal":
			s.Principal, err = parsePrincipals(value)
		case "NotPrincipal":
			s.NotPrincipal, err = parsePrincipals(value)
		case "Action":
			s.Action, err = parseStrings(value)
		case "NotAction":
			s.NotAction, err = parseStrings(value)
		case "Resource":
			s.Resource, err = parseStrings(value)
		case "NotResource":
			s.NotResource, err = parseStrings(value)
		case "Condition":
			s.Condition, err = parseConditions(value)
		default:
			err = unknownElement(name, "Sid", "Effect", "Principal", "NotPrincipal",
				"Action", "NotAction", "Resource", "NotResource", "Condition")
		}
		if err != nil {
			return s.SID, fmt.Errorf("has an element %q that %w", name, err)
		}
	}
	return s.SID, nil
}

// unknownElement completes a sentence about an element that AWS doesn't know.
// Element names are case-sensitive there.
func unknownElement(name string, known ...string) error {
	for _, k := range known {
		if strings.EqualFold(name, k) {
			return fmt.Errorf("is unknown: element names are case-sensitive, write %q", k)
		}
	}
	return fmt.Errorf("is unknown: the elements are %s", strings.Join(known, ", "))
}

func statementName(index int, sid string) string {
	if sid == "" {
		return fmt.Sprintf("statement %d", index)
	}
	return fmt.Sprintf("statement %d (Sid %q)", index, sid)
}

// countSpace counts the white space of a JSON document outside its strings.
func countSpace(document []byte) int {
	n := 0
	inString, escaped := false, false
	for _, c := range document {
		switch {
		case escaped:
			escaped = false
		case inString && c == '\\':
			escaped = true
		case c == '"':
			inString = !inString
		case !inString && (c == ' ' || c == '\t' || c == '\r' || c == '\n'):
			n++
		}
	}
	return n
}
