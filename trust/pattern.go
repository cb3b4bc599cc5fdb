package trust

import "strings"

// pattern is a string of a policy, its wildcards distinct from the same
// characters meant literally (${*}, a value that a variable brought in).
type pattern []element

type element struct {
	kind elementKind
	char rune // of a literal
}

type elementKind byte

const (
	literal       elementKind = iota
	anyChar                   // "?"
	anyRun                    // "*"
	anyRunInField             // "*" that may not stretch over a colon
)

func (p pattern) append(s string) pattern {
	for _, char := range s {
		p = append(p, element{literal, char})
	}
	return p
}

// wildcardPattern reads s with * and ? as wildcards and nothing else.
func wildcardPattern(s string) pattern {
	p := make(pattern, 0, len(s))
	for _, char := range s {
		p = append(p, wildcard(char))
	}
	return p
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
			b.WriteRune(e.char)
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

// match reports whether the whole of s fits. It reads s once with the set of
// places in the pattern that are reached so far, 64 of them to a word. However
// many wildcards there are, it takes at most len(s)·len(p)/64 steps.
func (p pattern) match(s string) bool {
	if !p.hasWildcard() {
		return p.String() == s
	}
	n := newMatcher(p)
	here, next := n.newSet(), n.newSet()
	here.add(0)
	n.skipRuns(here)
	for _, char := range s {
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

// matcher is a pattern made ready for match.
type matcher struct {
	length            int    // of the pattern, runs in a row taken for one
	runs, runsInField places // where * is, of each kind
	anyChars          places // where ? is

	// Where a literal is: as a list, or as a set if it stands in many places.
	literals map[rune][]int
	frequent map[rune]places
}

func newMatcher(p pattern) *matcher {
	n := &matcher{literals: map[rune][]int{}, frequent: map[rune]places{}}
	merged := make(pattern, 0, len(p))
	for _, e := range p {
		if last := len(merged) - 1; last >= 0 && e.isRun() && merged[last].isRun() {
			if e.kind == anyRun {
				merged[last] = e // which may be anything that the other may be
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

// step adds to next the places that char leads to from here, and reports whether
// there is one.
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

// skipRuns lets every run match nothing at all. No run follows another.
func (n *matcher) skipRuns(at places) {
	var carry uint64
	for w := range at {
		runs := at[w] & (n.runs[w] | n.runsInField[w])
		at[w] |= runs<<1 | carry
		carry = runs >> 63
	}
}

// fields cuts the pattern at its first n-1 colons.
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
