package trust

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// object is a JSON object whose names are told apart by case and occur once.
// encoding/json by itself folds case and takes the last of several.
type object struct {
	names  []string // in the document's order
	values map[string]json.RawMessage
}

func (o object) get(name string) (json.RawMessage, bool) {
	value, ok := o.values[name]
	return value, ok
}

// members reads a JSON object. Its errors complete a sentence about the
// document and show names only, never values.
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

// syntaxError says where a document stops being JSON, but not by what
// character: the document may be a token.
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

// jsonKind names the JSON type of valid JSON.
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
