package trust

import (
	"maps"
	"slices"
	"strings"
)

// maxPattern bounds what the values of variables make of a policy string, so that
// a request with a long value costs little: AWS's own values are shorter than
// this by far.
const maxPattern = 1 << 16

// requestContext is a request's condition keys by lower-case name.
type requestContext map[string]contextKey

type contextKey struct {
	name   string // as the request spells it
	values []string
}

// newContext folds the names of keys. Names that differ only by case are one
// key: their values are put together in the order of their names, so that the
// decision doesn't depend on the order of a map.
func newContext(keys map[string][]string) requestContext {
	ctx := make(requestContext, len(keys))
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		folded := strings.ToLower(name)
		key, ok := ctx[folded]
		if !ok {
			key.name = name
		}
		key.values = append(slices.Clip(key.values), keys[name]...)
		ctx[folded] = key
	}
	return ctx
}

// lookup returns a key's values; a key without values counts as absent.
func (ctx requestContext) lookup(name string) []string {
	return ctx[strings.ToLower(name)].values
}

// expand reads a policy string: wildcards become wildcards and, in version
// 2012-10-17, variables their values. What a variable brings in is literal. A
// variable without a value in this request makes unresolved its text; one that
// has several counts as such, because AWS allows only single-valued keys there
// (IAM User Guide, "Variables and tags"), and so does one whose value would make
// the pattern longer than maxPattern.
func (ctx requestContext) expand(s string, wildcards, variables bool) (p pattern, unresolved string) {
	p = make(pattern, 0, len(s))
	for s != "" {
		if body, ok := strings.CutPrefix(s, "${"); variables && ok {
			if name, rest, closed := strings.Cut(body, "}"); closed {
				value, found := ctx.variable(name)
				if !found || len(p)+len(value) > maxPattern {
					return nil, "${" + name + "}"
				}
				p, s = p.append(value), rest
				continue
			}
		}
		n := len(s)
		if i := strings.IndexByte(s[1:], '$'); i >= 0 {
			n = i + 1
		}
		if wildcards {
			p = append(p, wildcardPattern(s[:n])...)
		} else {
			p = p.append(s[:n])
		}
		s = s[n:]
	}
	return p, ""
}

// variable is the value of ${name}, or of ${name, 'default'}.
func (ctx requestContext) variable(name string) (value string, found bool) {
	if name == "*" || name == "?" || name == "$" {
		return name, true
	}
	name, fallback, hasFallback := strings.Cut(name, ",")
	if values := ctx.lookup(strings.TrimSpace(name)); len(values) == 1 {
		return values[0], true
	}
	fallback = strings.TrimSpace(fallback)
	if hasFallback && len(fallback) >= 2 && fallback[0] == '\'' && fallback[len(fallback)-1] == '\'' {
		return fallback[1 : len(fallback)-1], true
	}
	return "", false
}
