package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Values that are printed for a terminal come from flags, tokens, keys and servers. These
// functions quote them.

// quote returns a key or a path for a line of text. It quotes what could end the line or
// control a terminal.
func quote(s string) string {
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
