// Package anchor finds the anchors of a Markdown page, for tests of links.
package anchor

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/crossrole/crossrole/internal/lazyregexp"
)

var (
	heading = lazyregexp.New(`^ {0,3}#{1,6}[ \t]+(.*?)[ \t]*#*[ \t]*$`)
	fence   = lazyregexp.New("^ {0,3}(```|~~~)")
	link    = lazyregexp.New(`!?\[([^\]]*)\]\([^)]*\)`)
)

// Of returns the fragments, without #, that GitHub gives to the headings (# to ######) of a
// page: the heading's text in lower case, without punctuation, with a hyphen for each space.
// The second of two equal headings gets -1, the next -2. Lines in fenced code are no
// headings.
func Of(markdown string) map[string]bool {
	found := map[string]bool{}
	times := map[string]int{}
	fenced := ""
	for line := range strings.Lines(markdown) {
		line = strings.TrimRight(line, "\r\n")
		if m := fence().FindStringSubmatch(line); m != nil && (fenced == "" || fenced == m[1]) {
			if fenced == "" {
				fenced = m[1]
			} else {
				fenced = ""
			}
			continue
		}
		m := heading().FindStringSubmatch(line)
		if fenced != "" || m == nil {
			continue
		}
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsMark(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, link().ReplaceAllString(m[1], "$1"))
		n := times[name]
		times[name]++
		if n > 0 {
			name = fmt.Sprintf("%s-%d", name, n)
		}
		found[name] = true
	}
	return found
}
