package trust

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// everyone reports whether p is the JSON form "*".
func (p Principals) everyone() bool {
	return len(p) == 1 && len(p["*"]) == 1 && p["*"][0] == "*"
}

// anonymous reports whether a caller has no name at all.
func (p Principals) anonymous() bool {
	for kind, names := range p {
		if kind != "*" && len(names) > 0 {
			return false
		}
	}
	return true
}

// name reports whether the caller has a name that the element p lists. "*"
// stands for every caller, {"AWS": "*"} for every caller of AWS, anonymous
// ones included, but not for a federated one or a service.
func (p Principals) name(caller Principals) bool {
	for kind, values := range p {
		for _, value := range values {
			switch {
			case kind == "*":
				if value == "*" {
					return true
				}
			case kind == "AWS" && value == "*":
				if len(caller["AWS"]) > 0 || caller.anonymous() {
					return true
				}
			case slices.ContainsFunc(caller[kind], func(name string) bool { return samePrincipal(kind, value, name) }):
				return true
			}
		}
	}
	return false
}

// exempt reports whether a NotPrincipal p spares the caller from a Deny. IAM
// checks account, role and session one after the other, so that each of the
// caller's ARNs must be listed (IAM User Guide, "NotPrincipal with Deny").
func (p Principals) exempt(caller Principals) bool {
	missing := p.missing(caller)
	return p.name(caller) && len(missing) == 0
}

// missing lists the caller's ARNs that p doesn't name.
func (p Principals) missing(caller Principals) []string {
	var missing []string
	for _, name := range caller["AWS"] {
		_, isARN := splitARN(name)
		if (isARN || isAccount(name)) && !p.name(Principals{"AWS": {name}}) {
			missing = append(missing, name)
		}
	}
	return missing
}

// samePrincipal compares two names of a principal. An account's id and the ARN
// of its root are the same principal; all else is compared byte by byte.
func samePrincipal(kind, a, b string) bool {
	if a == b {
		return true
	}
	return kind == "AWS" && (isAccount(a) && a == rootAccount(b) || isAccount(b) && b == rootAccount(a))
}

// rootAccount is the account whose root an ARN names, or empty.
func rootAccount(s string) string {
	if a, ok := splitARN(s); ok && a.service == "iam" && a.resource == "root" {
		return a.account
	}
	return ""
}

// String lists the principals in a fixed order: AWS "a", "b", Service "c".
func (p Principals) String() string {
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(p)) {
		if kind == "*" {
			kinds = append(kinds, quoteList(p[kind], ", "))
		} else if len(p[kind]) > 0 {
			kinds = append(kinds, kind+" "+quoteList(p[kind], ", "))
		}
	}
	if len(kinds) == 0 {
		return "nobody"
	}
	return strings.Join(kinds, " and ")
}

func (p Principals) check(element string, use use, fault func(string, error)) {
	if p == nil || p.everyone() {
		return
	}
	if len(p) == 0 {
		fault(element, errors.New("it is empty"))
	}
	for _, kind := range slices.Sorted(maps.Keys(p)) {
		check, known := principalTypes[kind]
		switch {
		case !known:
			fault(element, fmt.Errorf("the type %q is unknown: the types are AWS, Federated, Service and CanonicalUser", kind))
			continue
		case kind == "CanonicalUser" && use == trustUse:
			fault(element, errors.New("a trust policy must not have CanonicalUser, which is for bucket policies"))
		case len(p[kind]) == 0:
			fault(element, fmt.Errorf("%s has no values", kind))
		}
		for _, value := range p[kind] {
			if err := check(value); err != nil {
				fault(element, fmt.Errorf("%s %q %w", kind, value, err))
			}
		}
	}
}

var principalTypes = map[string]func(value string) error{
	"AWS":           checkAWSPrincipal,
	"Federated":     checkFederatedPrincipal,
	"Service":       checkServicePrincipal,
	"CanonicalUser": checkCanonicalUser,
}
