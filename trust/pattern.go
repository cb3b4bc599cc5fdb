package trust

import "strings"

// pattern is a string of a policy with its wildcards told apart from the same
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

// String is the pattern as a policy would show it.
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

// match reports whether the whole of s fits. It walks s once with the set of
// places in the pattern reached so far: a pattern of many stars costs
// len(p)·len(s), never more.
func (p pattern) match(s string) bool {
	if !p.hasWildcard() {
		return p.String() == s
	}
	here, next := make([]bool, len(p)+1), make([]bool, len(p)+1)
	here[0] = true
	p.skipRuns(here)
	for _, char := range s {
		clear(next)
		alive := false
		for i, e := range p {
			if !here[i] {
				continue
			}
			switch {
			case e.kind == anyRun, e.kind == anyRunInField && char != ':':
				next[i] = true
			case e.kind == anyChar, e.kind == literal && e.char == char:
				next[i+1] = true
			default:
				continue
			}
			alive = true
		}
		if !alive {
			return false
		}
		p.skipRuns(next)
		here, next = next, here
	}
	return here[len(p)]
}

// skipRuns lets every run match nothing at all.
func (p pattern) skipRuns(at []bool) {
	for i, e := range p {
		if at[i] && (e.kind == anyRun || e.kind == anyRunInField) {
			at[i+1] = true
		}
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
