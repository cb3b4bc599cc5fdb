package credentials

import (
	"regexp"
	"strings"
	"sync"
)

// Sets of characters from which AWS builds its names.
const (
	digits    = "0123456789"
	wordRunes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" + digits + "_"

	// sessionNameRunes are those of role names, session names and source identities:
	// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
	sessionNameRunes = wordRunes + "+=,.@-"
)

// madeOf reports whether s has at least one character, and none but those.
func madeOf(s, runes string) bool {
	return s != "" && strings.Trim(s, runes) == ""
}

// printable reports whether s has characters of ASCII only, and no spaces.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < '!' || c > '~' })
}

// pattern is a regular expression that is compiled when it is needed for the first
// time. Few programs ever need one, and all of them would wait for it.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
