package trust

// Notes that explain why a value of a request does not match one of a policy.

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// difference describes how two values differ, if the difference is easily overlooked;
// otherwise it returns "". It states facts and does not guess what was meant.
func difference(have, want string) string {
	a, isARN := splitARN(have)
	b, alsoARN := splitARN(want)
	switch {
	case have == want:
		return ""
	case strings.TrimSpace(have) == strings.TrimSpace(want):
		return "they differ only in white space at the start or end"
	case strings.EqualFold(have, want):
		return "they differ only in upper and lower case"
	case strings.TrimRight(have, "/") == strings.TrimRight(want, "/"):
		return "they differ only in a trailing slash"
	case issuerPath(have) == issuerPath(want), isARN && alsoARN && withoutScheme(a) == withoutScheme(b):
		return "they differ only in the scheme https://"
	case isARN && alsoARN:
		return arnDifference(a, b)
	default:
		return ""
	}
}

func withoutScheme(a arn) arn {
	a.resource = strings.Replace(strings.Replace(a.resource, "/https://", "/", 1), "/http://", "/", 1)
	return a
}

// arnDifference describes the difference of two ARNs that differ in one field.
func arnDifference(a, b arn) string {
	differing := 0
	var text string
	for _, field := range []struct{ name, a, b string }{
		{"partition", a.partition, b.partition}, {"service", a.service, b.service},
		{"region", a.region, b.region}, {"account", a.account, b.account},
	} {
		if field.a != field.b {
			differing++
			text = fmt.Sprintf("they differ only in the %s, %q and %q", field.name, field.a, field.b)
		}
	}
	if differing == 1 && a.resource == b.resource {
		return text
	}
	if differing > 0 || a.service != "iam" {
		return ""
	}
	kind, rest, _ := strings.Cut(a.resource, "/")
	kind2, rest2, _ := strings.Cut(b.resource, "/")
	switch {
	case kind == "role" && kind2 == "role" && lastPart(rest) == lastPart(rest2):
		return "they differ only in the role's path"
	case kind == "oidc-provider" && kind2 == kind:
		return "they are providers of different issuers"
	}
	return ""
}

func lastPart(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// nearestOf returns the first easily overlooked difference between values of a request
// and of a policy.
func nearestOf(have, want []string) string {
	for _, w := range want {
		for _, h := range have {
			if text := difference(h, w); text != "" {
				return text
			}
		}
	}
	return ""
}

// similarKey describes a key of the request that resembles the missing key name: the
// same claim of another issuer, or the same key with a small difference in spelling.
func (ctx requestContext) similarKey(key string) string {
	issuer, claim := cutKey(key)
	for _, folded := range slices.Sorted(maps.Keys(ctx)) {
		if len(ctx[folded].values) == 0 {
			continue
		}
		name := ctx[folded].name
		otherIssuer, otherClaim := cutKey(name)
		switch {
		case difference(name, key) != "":
			return fmt.Sprintf("the request has %q: %s", name, difference(name, key))
		case !strings.EqualFold(claim, otherClaim) || !strings.Contains(issuer, "/"):
		case difference(otherIssuer, issuer) != "":
			return fmt.Sprintf("the request has %q: %s", name, difference(otherIssuer, issuer))
		case strings.Contains(otherIssuer, "/"):
			return fmt.Sprintf("the request has %q: another issuer", name)
		}
	}
	return ""
}

// cutKey splits the key of an identity provider into issuer and claim. Claims have no
// colon; issuers may (before a port).
func cutKey(key string) (issuer, claim string) {
	i := strings.LastIndexByte(key, ':')
	return key[:max(i, 0)], key[i+1:]
}

// shown is the maximum number of values of a list in a text.
const shown = 8

func quoteList(values []string, separator string) string {
	if len(values) == 0 {
		return "nothing"
	}
	quoted := make([]string, 0, shown+1)
	for _, value := range values[:min(len(values), shown)] {
		quoted = append(quoted, strconv.Quote(value))
	}
	if n := len(values) - shown; n > 0 {
		quoted = append(quoted, fmt.Sprintf("%d more", n))
	}
	return strings.Join(quoted, separator)
}

// plain returns s, quoted if it contains characters that would garble a line.
func plain(s string) string {
	if quoted := strconv.Quote(s); quoted != `"`+s+`"` {
		return quoted
	}
	return s
}

func note(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

func unresolvedNote(variable string) string {
	if variable == "" {
		return ""
	}
	return fmt.Sprintf(" (the variable %s has no single value in this request)", plain(variable))
}
