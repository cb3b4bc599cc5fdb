package redact

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// A layer is the text after it was unescaped zero or more times. For each byte it
// records the part of the original text that the byte came from.
type layer struct {
	text     []byte
	from, to []int32
}

// newLayer returns the layer of the original text.
func newLayer(s string) *layer {
	l := &layer{text: []byte(s), from: make([]int32, len(s)), to: make([]int32, len(s))}
	for i := range l.from {
		l.from[i], l.to[i] = int32(i), int32(i+1)
	}
	return l
}

// hide marks the part of the original text that l's bytes start to end came from.
func (l *layer) hide(start, end int, hidden cover) {
	hidden.add(l.from[start], l.to[end-1])
}

// put appends value, which the bytes start to end of from were decoded to.
func (l *layer) put(value []byte, from *layer, start, end int) {
	for _, c := range value {
		l.text = append(l.text, c)
		l.from = append(l.from, from.from[start])
		l.to = append(l.to, from.to[end-1])
	}
}

// alphanumeric returns the layer's letters and digits only. So differences in
// punctuation, in line breaks and between the two alphabets of base64 do not matter.
func (l *layer) alphanumeric() *layer {
	bare := &layer{}
	for i, c := range l.text {
		if isAlphanumeric(c) {
			bare.put(l.text[i:i+1], l, i, i+1)
		}
	}
	return bare
}

// alphanumeric returns the letters and digits of s.
func alphanumeric(s string) string {
	n := 0
	for i := range len(s) {
		if isAlphanumeric(s[i]) {
			n++
		}
	}
	if n == len(s) {
		return s
	}
	b := make([]byte, 0, n)
	for i := range len(s) {
		if isAlphanumeric(s[i]) {
			b = append(b, s[i])
		}
	}
	return string(b)
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// unescaped removes one level of escapes of all kinds, and reports whether there were
// any.
func (l *layer) unescaped() (next *layer, changed bool) {
	next = &layer{}
	for i := 0; i < len(l.text); {
		value, n := unescape(l.text[i:])
		if n == 0 {
			value, n = l.text[i:i+1], 1
		} else {
			changed = true
		}
		next.put(value, l, i, i+n)
		i += n
	}
	return next, changed
}

// unescape decodes the escape at the beginning of text and returns its length, or 0 if
// there is none.
func unescape(text []byte) (value []byte, n int) {
	switch text[0] {
	case '%':
		if hasByte(text, 1, "u") {
			return code(text, 2, 4, 16)
		}
		return octet(text, 1)
	case '\\':
		return unescapeBackslash(text)
	case '&':
		return unescapeEntity(text)
	}
	return nil, 0
}

// unescapeBackslash reads the escapes of JSON, Go, C and shells.
func unescapeBackslash(text []byte) (value []byte, n int) {
	if len(text) < 2 {
		return nil, 0
	}
	switch c := text[1]; c {
	case 'u':
		if hasByte(text, 2, "{") {
			if end := strings.IndexByte(string(text[:min(len(text), 12)]), '}'); end > 3 {
				value, n = code(text, 3, end-3, 16)
				return value, n + min(n, 1) // the brace
			}
			return nil, 0
		}
		return code(text, 2, 4, 16)
	case 'U':
		return code(text, 2, 8, 16)
	case 'x':
		return octet(text, 2)
	case '0', '1', '2', '3':
		return code(text, 1, 3, 8)
	case 'n', 'r', 't', '\n', '\r':
		return []byte{' '}, 2
	case '/', '\\', '"', '\'', '+', '=', '-', '.', ':', ',', '@', '&', '%':
		return []byte{c}, 2
	}
	return nil, 0
}

// entities lists those that can encode a character of a secret or of an escape. Others
// can be treated like punctuation.
var entities = map[string]byte{
	"amp": '&', "lt": '<', "gt": '>', "quot": '"', "apos": '\'', "plus": '+', "sol": '/', "equals": '=',
	"colon": ':', "comma": ',', "period": '.', "commat": '@', "lowbar": '_', "hyphen": '-', "dash": '-',
	"percnt": '%', "bsol": '\\', "semi": ';', "num": '#', "nbsp": ' ', "NewLine": '\n', "Tab": '\t',
}

func unescapeEntity(text []byte) (value []byte, n int) {
	const longest = 12
	end := strings.IndexByte(string(text[:min(len(text), longest)]), ';')
	if end < 2 {
		return nil, 0
	}
	name := text[1:end]
	switch {
	case name[0] != '#':
		if c, ok := entities[string(name)]; ok {
			return []byte{c}, end + 1
		}
		return nil, 0
	case len(name) > 2 && (name[1] == 'x' || name[1] == 'X'):
		value, n = code(text, 3, end-3, 16)
	case len(name) > 1:
		value, n = code(text, 2, end-2, 10)
	}
	if n == 0 {
		return nil, 0
	}
	return value, n + 1 // the semicolon
}

// octet reads two hexadecimal digits as one byte.
func octet(text []byte, start int) (value []byte, n int) {
	if len(text) < start+2 {
		return nil, 0
	}
	v, err := strconv.ParseUint(string(text[start:start+2]), 16, 8)
	if err != nil {
		return nil, 0
	}
	return []byte{byte(v)}, start + 2
}

// code reads digits digits in the given base as one character.
func code(text []byte, start, digits, base int) (value []byte, n int) {
	if digits < 1 || len(text) < start+digits {
		return nil, 0
	}
	v, err := strconv.ParseUint(string(text[start:start+digits]), base, 32)
	if err != nil || v > utf8.MaxRune {
		return nil, 0
	}
	return utf8.AppendRune(nil, rune(v)), start + digits
}

func hasByte(text []byte, i int, set string) bool {
	return i < len(text) && strings.IndexByte(set, text[i]) >= 0
}
