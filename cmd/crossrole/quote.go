package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Values that are printed for a shell, a YAML parser or a terminal come from flags,
// tokens, keys and servers. These functions quote them, so that each stays one value.

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,-][A-Za-z0-9_./:@%+=,-]*$`)

// shellQuote quotes a word for a POSIX shell, if needed.
func shellQuote(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// shellFlag returns a flag with its value, as one word if the value looks like another
// flag.
func shellFlag(flag, value string) string {
	if strings.HasPrefix(value, "-") {
		return shellQuote(flag + "=" + value)
	}
	return flag + " " + shellQuote(value)
}

var (
	plainScalar = regexp.MustCompile(`^[a-z][A-Za-z0-9+=,.@_/-]*(:[A-Za-z0-9+=,.@_/-]+|::[A-Za-z0-9+=,.@_/-]+)*$`)
	// What YAML 1.1 or 1.2 does not read as a string.
	notAString = regexp.MustCompile(`^(?i:true|false|yes|no|on|off|y|n|null)$`)
)

// yamlString returns a string as a YAML scalar.
func yamlString(s string) string {
	if plainScalar.MatchString(s) && !notAString.MatchString(s) {
		return s
	}
	return yamlQuoted(s)
}

// yamlQuoted returns a string in double quotes; YAML has all of Go's escapes.
func yamlQuoted(s string) string { return strconv.QuoteToASCII(strings.ToValidUTF8(s, "\uFFFD")) }

// shown returns a key or a path for a line of text. It quotes what could end the line or
// control a terminal.
func shown(s string) string {
	if !utf8.ValidString(s) || strings.HasPrefix(s, `"`) || strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) && c != ' ' }) {
		return fmt.Sprintf("%q", s)
	}
	return s
}

// printable escapes what could control a terminal in a text of several lines: messages
// quote keys and the responses of servers.
func printable(text string) string {
	odd := func(c rune) bool { return c == utf8.RuneError || !unicode.IsPrint(c) && c != '\n' && c != '\t' }
	if !strings.ContainsFunc(text, odd) {
		return text
	}
	var b strings.Builder
	for i, c := range text {
		_, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case c == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case odd(c):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(c), "'"))
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}
