package trust

import (
	"iter"
	"strings"
	"unicode/utf8"
)

// pattern is a string of a policy. It distinguishes wildcards from the same
// characters meant literally (${*}, or the value of a variable).
type pattern []element

type element struct {
	kind elementKind
	char rune // of a literal, as chars yields it
}

type elementKind byte

const (
	literal       elementKind = iota
	anyChar                   // "?"
	anyRun                    // "*"
	anyRunInField             // "*" that does not match a colon
)

func (p pattern) append(s string) pattern {
	for char := range chars(s) {
		p = append(p, element{literal, char})
	}
	return p
}

// wildcardPattern returns the pattern of s, in which only * and ? are special.
func wildcardPattern(s string) pattern {
	p := make(pattern, 0, len(s))
	for char := range chars(s) {
		p = append(p, wildcard(char))
	}
	return p
}

// chars yields the characters of s. A byte that is not UTF-8 becomes a negative number,
// so that it equals itself and nothing else.
func chars(s string) iter.Seq[rune] {
	return func(yield func(rune) bool) {
		for i := 0; i < len(s); {
			char, size := utf8.DecodeRuneInString(s[i:])
			if char == utf8.RuneError && size == 1 {
				char = -1 - rune(s[i])
			}
			if !yield(char) {
				return
			}
			i += size
		}
	}
}

func wildcard(char rune) element {
	switch char {
	case '*':
		return element{kind: anyRun}
	case '?':
		return element{kind: anyChar}
	default:
		return element{literal, char}
	}
}

// String returns the pattern as a policy would show it.
func (p pattern) String() string {
	var b strings.Builder
	for _, e := range p {
		switch e.kind {
		case literal:
			if e.char < 0 {
				b.WriteByte(byte(-1 - e.char))
			} else {
				b.WriteRune(e.char)
			}
		case anyChar:
			b.WriteByte('?')
		default:
			b.WriteByte('*')
		}
	}
	return b.String()
}

func (p pattern) hasWildcard() bool {
	for _, e := range p {
		if e.kind != literal {
			return true
		}
	}
	return false
}

// match reports whether the pattern matches all of s. It reads s once and keeps the set
// of places in the pattern that it has reached, as a bit set. However many wildcards
// there are, it takes at most len(s)·len(p)/64 steps.
func (p pattern) match(s string) bool {
	if !p.hasWildcard() {
		return p.String() == s
	}
	n := newMatcher(p)
	here, next := n.newSet(), n.newSet()
	here.add(0)
	n.skipRuns(here)
	for char := range chars(s) {
		clear(next)
		if !n.step(here, next, char) {
			return false
		}
		n.skipRuns(next)
		here, next = next, here
	}
	return here.has(n.length)
}

// places is a set of places in a pattern.
type places []uint64

func (s places) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s places) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

// matcher is a pattern prepared for match.
type matcher struct {
	length            int    // of the pattern, with consecutive runs merged
	runs, runsInField places // where * is, of each kind
	anyChars          places // where ? is

	// Where each literal is: a list of places, or a set if there are many.
	literals map[rune][]int
	frequent map[rune]places
}

func newMatcher(p pattern) *matcher {
	n := &matcher{literals: map[rune][]int{}, frequent: map[rune]places{}}
	merged := make(pattern, 0, len(p))
	for _, e := range p {
		if last := len(merged) - 1; last >= 0 && e.isRun() && merged[last].isRun() {
			if e.kind == anyRun {
				merged[last] = e // the more general of the two
			}
			continue
		}
		merged = append(merged, e)
	}
	n.length = len(merged)
	n.runs, n.runsInField, n.anyChars = n.newSet(), n.newSet(), n.newSet()
	for i, e := range merged {
		switch e.kind {
		case anyRun:
			n.runs.add(i)
		case anyRunInField:
			n.runsInField.add(i)
		case anyChar:
			n.anyChars.add(i)
		case literal:
			n.literals[e.char] = append(n.literals[e.char], i)
		}
	}
	for char, at := range n.literals {
		if len(at) <= len(n.runs) {
			continue
		}
		set := n.newSet()
		for _, i := range at {
			set.add(i)
		}
		n.frequent[char] = set
	}
	return n
}

func (e element) isRun() bool { return e.kind == anyRun || e.kind == anyRunInField }

func (n *matcher) newSet() places { return make(places, n.length/64+1) }

// step adds to next the places that can be reached from here by char, and reports
// whether there are any.
func (n *matcher) step(here, next places, char rune) bool {
	frequent := n.frequent[char]
	var carry, alive uint64
	for w, at := range here {
		stay := at & n.runs[w]
		if char != ':' {
			stay |= at & n.runsInField[w]
		}
		move := at & n.anyChars[w]
		if frequent != nil {
			move |= at & frequent[w]
		}
		next[w] |= stay | move<<1 | carry
		carry = move >> 63
		alive |= next[w]
	}
	if frequent == nil {
		for _, i := range n.literals[char] {
			if here.has(i) {
				next.add(i + 1)
				alive = 1
			}
		}
	}
	return alive != 0
}

// skipRuns lets every run match the empty string. Runs are never consecutive.
func (n *matcher) skipRuns(at places) {
	var carry uint64
	for w := range at {
		runs := at[w] & (n.runs[w] | n.runsInField[w])
		at[w] |= runs<<1 | carry
		carry = runs >> 63
	}
}

// fields splits the pattern at its first n-1 colons.
func (p pattern) fields(n int) []pattern {
	var fields []pattern
	start := 0
	for i, e := range p {
		if e.kind == literal && e.char == ':' && len(fields) < n-1 {
			fields = append(fields, p[start:i])
			start = i + 1
		}
	}
	return append(fields, p[start:])
}
