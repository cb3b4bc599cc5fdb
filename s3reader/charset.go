package s3reader

import (
	"regexp"
	"strings"
	"sync"
)

const (
	digits       = "0123456789"
	lowerLetters = "abcdefghijklmnopqrstuvwxyz"
	upperLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// madeOf reports whether s has at least one character, and none but those.
func madeOf(s, runes string) bool {
	return s != "" && strings.Trim(s, runes) == ""
}

// isLabel reports whether s is made of those characters, with further ones between
// the first and the last.
func isLabel(s, ends, between string) bool {
	return s != "" && madeOf(s[:1], ends) && madeOf(s[len(s)-1:], ends) && madeOf(s, ends+between)
}

// isAccount reports whether s is 12 digits.
func isAccount(s string) bool { return len(s) == 12 && madeOf(s, digits) }

// pattern is a regular expression that is compiled when it is needed for the first
// time. Few programs ever need one, and all of them would wait for it.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
