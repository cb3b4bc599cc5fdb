package trust

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// ParsePolicy reads a policy document and rejects what AWS rejects as malformed.
// The error names the statement, the element and the rule; the rules are those of
// the IAM User Guide ("Grammar of the IAM JSON policy language") unless the error
// says otherwise. Rules that depend on what the policy is attached to are checked
// by ValidateTrust, ValidateIdentity and ValidateResource.
func ParsePolicy(document []byte) (*Policy, error) {
	policy := new(Policy)
	if err := policy.UnmarshalJSON(document); err != nil {
		return nil, err
	}
	return policy, nil
}

// UnmarshalJSON reads a policy document, as [ParsePolicy] does.
func (p *Policy) UnmarshalJSON(document []byte) error {
	if n := len(document) - countSpace(document); n > MaxBucketPolicySize {
		return fmt.Errorf("trust: the policy has %d characters, not counting white space; the largest AWS policy has %d", n, MaxBucketPolicySize)
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

// UnmarshalJSON reads a statement in AWS's form. Unlike [ParsePolicy], it checks
// only the names and types of the elements.
func (s *Statement) UnmarshalJSON(document []byte) error {
	var parsed Statement
	if _, err := parsed.parse(document); err != nil {
		return fmt.Errorf("trust: the statement %w", err)
	}
	*s = parsed
	return nil
}

// parse reads a statement. It returns the Sid even if it fails.
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

// unknownElement returns the second half of a sentence about an element that AWS
// does not know. AWS's element names are case-sensitive.
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

// The parse functions below read an element's value. Their errors are the second half
// of a sentence that begins with the element's name.

func parseString(value json.RawMessage, to *string) error {
	if kind := jsonKind(value); kind != "string" {
		return fmt.Errorf("is %s, not a string", article(kind))
	}
	return json.Unmarshal(value, to)
}

// parseStrings reads a string or an array of strings.
func parseStrings(value json.RawMessage) ([]string, error) {
	return parseList(value, func(element json.RawMessage) (string, error) {
		var s string
		err := parseString(element, &s)
		return s, err
	})
}

// parseScalars reads condition values: strings, and the numbers and booleans that
// the grammar allows without quotation marks.
func parseScalars(value json.RawMessage) ([]string, error) {
	return parseList(value, func(element json.RawMessage) (string, error) {
		switch kind := jsonKind(element); kind {
		case "string":
			var s string
			err := parseString(element, &s)
			return s, err
		case "number", "boolean":
			return string(element), nil
		default:
			return "", fmt.Errorf("is %s, not a string, number or boolean", article(kind))
		}
	})
}

func parseList(value json.RawMessage, parse func(json.RawMessage) (string, error)) ([]string, error) {
	if jsonKind(value) != "array" {
		s, err := parse(value)
		if err != nil {
			return nil, err
		}
		return []string{s}, nil
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(value, &raw); err != nil {
		return nil, err
	}
	list := make([]string, len(raw))
	for i, element := range raw {
		s, err := parse(element)
		if err != nil {
			return nil, fmt.Errorf("has a value %d that %w", i, err)
		}
		list[i] = s
	}
	return list, nil
}

// UnmarshalJSON reads the output of MarshalJSON, and also lists of one value.
func (p *Principals) UnmarshalJSON(document []byte) error {
	parsed, err := parsePrincipals(document)
	if err != nil {
		return fmt.Errorf("trust: the principal %w", err)
	}
	*p = parsed
	return nil
}

// UnmarshalJSON reads the output of MarshalJSON, and also lists of one value,
// numbers and booleans.
func (c *Conditions) UnmarshalJSON(document []byte) error {
	parsed, err := parseConditions(document)
	if err != nil {
		return fmt.Errorf("trust: the condition %w", err)
	}
	*c = parsed
	return nil
}

func parsePrincipals(value json.RawMessage) (Principals, error) {
	if jsonKind(value) == "string" {
		var s string
		if err := parseString(value, &s); err != nil {
			return nil, err
		}
		if s != "*" {
			return nil, fmt.Errorf(`is the string %q: as a string it can only be "*", otherwise write {"AWS": %[1]q} or another type`, s)
		}
		return Principals{"*": {"*"}}, nil
	}
	types, err := members(value)
	if err != nil {
		return nil, err
	}
	principals := make(Principals, len(types.names))
	for _, name := range types.names {
		if name == "*" {
			return nil, fmt.Errorf(`has the type "*": for everyone write "*" alone, or {"AWS": "*"}`)
		}
		if principals[name], err = parseStrings(types.values[name]); err != nil {
			return nil, fmt.Errorf("has a type %q that %w", name, err)
		}
	}
	return principals, nil
}

func parseConditions(value json.RawMessage) (Conditions, error) {
	operators, err := members(value)
	if err != nil {
		return nil, err
	}
	conditions := make(Conditions, len(operators.names))
	for _, operator := range operators.names {
		keys, err := members(operators.values[operator])
		if err != nil {
			return nil, fmt.Errorf("has an operator %q that %w", operator, err)
		}
		conditions[operator] = make(map[string][]string, len(keys.names))
		for _, key := range keys.names {
			values, err := parseScalars(keys.values[key])
			if err != nil {
				return nil, fmt.Errorf("has, under %q, a key %q that %w", operator, key, err)
			}
			conditions[operator][key] = values
		}
	}
	return conditions, nil
}

// object is a JSON object whose names are case-sensitive and unique. encoding/json
// on its own ignores case and takes the last of several equal names.
type object struct {
	names  []string // in the document's order
	values map[string]json.RawMessage
}

func (o object) get(name string) (json.RawMessage, bool) {
	value, ok := o.values[name]
	return value, ok
}

// members reads a JSON object. Its errors are the second half of a sentence about
// the document, and contain names but never values.
func members(document []byte) (object, error) {
	if !utf8.Valid(document) {
		return object{}, errors.New("is not UTF-8")
	}
	if !json.Valid(document) {
		return object{}, syntaxError(document)
	}
	if kind := jsonKind(document); kind != "object" {
		return object{}, fmt.Errorf("is %s, not a JSON object", article(kind))
	}
	found := object{values: map[string]json.RawMessage{}}
	dec := json.NewDecoder(bytes.NewReader(document))
	if _, err := dec.Token(); err != nil {
		return object{}, syntaxError(document)
	}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return object{}, syntaxError(document)
		}
		name, _ := token.(string)
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return object{}, syntaxError(document)
		}
		if _, twice := found.values[name]; twice {
			return object{}, fmt.Errorf("has %q twice", name)
		}
		found.names = append(found.names, name)
		found.values[name] = value
	}
	return found, nil
}

// syntaxError reports where a document stops being JSON. It does not show the
// character, because the document may be a token.
func syntaxError(document []byte) error {
	if len(bytes.TrimSpace(document)) == 0 {
		return errors.New("is empty")
	}
	if bytes.HasPrefix(document, []byte("\ufeff")) {
		return errors.New("is not valid JSON: it begins with a byte order mark, which some editors write; save it as plain UTF-8")
	}
	var value json.RawMessage
	err := json.Unmarshal(document, &value)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		if syntax.Offset >= int64(len(document)) && errors.Is(json.NewDecoder(bytes.NewReader(document)).Decode(&value), io.ErrUnexpectedEOF) {
			return errors.New("is not valid JSON: its end is missing")
		}
		line := 1 + bytes.Count(document[:min(int(syntax.Offset), len(document))], []byte("\n"))
		return fmt.Errorf("is not valid JSON (at byte %d, line %d)", syntax.Offset, line)
	}
	return errors.New("is not valid JSON")
}

// jsonKind returns the name of the JSON type of value, which must be valid JSON.
func jsonKind(value []byte) string {
	value = bytes.TrimLeft(value, " \t\r\n")
	switch {
	case len(value) == 0:
		return "nothing"
	case value[0] == '{':
		return "object"
	case value[0] == '[':
		return "array"
	case value[0] == '"':
		return "string"
	case value[0] == 't' || value[0] == 'f':
		return "boolean"
	case value[0] == 'n':
		return "null"
	default:
		return "number"
	}
}

func article(kind string) string {
	switch kind {
	case "null", "nothing":
		return kind
	case "object", "array":
		return "an " + kind
	default:
		return "a " + kind
	}
}
