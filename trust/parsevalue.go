package trust

import (
	"encoding/json"
	"fmt"
)

// The parse functions below read an element's value. Their errors complete a
// sentence that names the element.

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

// parseScalars reads condition values: strings, and also the numbers and
// booleans that the grammar allows without quotation marks.
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

// UnmarshalJSON reads what MarshalJSON writes, and lists of one value.
func (p *Principals) UnmarshalJSON(document []byte) error {
	parsed, err := parsePrincipals(document)
	if err != nil {
		return fmt.Errorf("trust: the principal %w", err)
	}
	*p = parsed
	return nil
}

// UnmarshalJSON reads what MarshalJSON writes, lists of one value, and numbers
// and booleans.
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
