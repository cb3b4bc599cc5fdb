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

// name reports whether the element p lists one of the caller's names. "*" means every
// caller; {"AWS": "*"} means every AWS caller, including anonymous ones, but no
// federated caller or service.
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

// exempt reports whether a NotPrincipal p exempts the caller from a Deny. IAM checks
// account, role and session one after the other, so all of the caller's ARNs must be
// listed (IAM User Guide, "NotPrincipal with Deny").
func (p Principals) exempt(caller Principals) bool {
	missing := p.missing(caller)
	return p.name(caller) && len(missing) == 0
}

// missing returns the caller's ARNs that p does not list.
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

// samePrincipal compares two names of a principal. An account's ID and the ARN of its
// root are the same principal; all other names are compared byte by byte.
func samePrincipal(kind, a, b string) bool {
	if a == b {
		return true
	}
	return kind == "AWS" && (isAccount(a) && a == rootAccount(b) || isAccount(b) && b == rootAccount(a))
}

// rootAccount returns the account if s is the ARN of an account's root, or else "".
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
		return "no principal"
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

// The rules below are those of the IAM User Guide, "AWS JSON policy elements:
// Principal". Their errors are the second half of a sentence about the value.

var errPrincipalWildcard = errors.New(`has a wildcard: a principal names one identity, only "*" alone stands for all (use a Condition on aws:PrincipalArn for a pattern)`)

func checkAWSPrincipal(value string) error {
	if value == "*" || isAccount(value) || isUniqueID(value) {
		return nil
	}
	if hasWildcard(value) {
		return errPrincipalWildcard
	}
	a, ok := splitARN(value)
	switch {
	case !ok:
		return errors.New(`is neither "*", a 12-digit account id nor an ARN like arn:aws:iam::111122223333:role/name`)
	case !isPartition(a.partition):
		return errors.New("is an ARN whose partition is not one of AWS (aws, aws-cn, aws-us-gov, …)")
	case a.region != "":
		return errors.New("is an ARN with a region, which IAM ARNs do not have")
	case a.service == "iam" && a.account == "cloudfront":
		return nil // an origin access identity, in bucket policies
	case !isAccount(a.account):
		return errors.New("is an ARN whose account is not 12 digits")
	}
	kind, name, _ := strings.Cut(a.resource, "/")
	switch {
	case a.service == "iam" && a.resource == "root":
	case a.service == "iam" && (kind == "role" || kind == "user") && name != "" && !strings.HasSuffix(name, "/"):
	case a.service == "iam" && kind == "group":
		return errors.New("is a group, which cannot be a principal")
	case a.service == "sts" && kind == "assumed-role":
		role, session, _ := strings.Cut(name, "/")
		if role == "" || session == "" || strings.Contains(session, "/") {
			return errors.New("is not assumed-role/<role name>/<session name>: a session's ARN has the role's name without its path")
		}
	case a.service == "sts" && kind == "federated-user" && name != "":
	default:
		return errors.New("is not the ARN of an account's root, a role, a user, an assumed-role session or a federated user")
	}
	return nil
}

// isUniqueID reports whether s looks like the ID that IAM leaves in a policy after the
// principal was deleted: AROA… for a role, AIDA… for a user.
func isUniqueID(s string) bool {
	return len(s) >= 16 && len(s) <= 128 && s[0] == 'A' &&
		strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

func checkFederatedPrincipal(value string) error {
	if hasWildcard(value) {
		return errPrincipalWildcard
	}
	if !strings.HasPrefix(value, "arn:") {
		// Identity providers built into AWS are identified by their host name, such as
		// cognito-identity.amazonaws.com.
		if isHost(value) {
			return nil
		}
		return errors.New("is neither the ARN of an identity provider (arn:aws:iam::<account of the role>:oidc-provider/<issuer without https://>) nor a host name of one built into AWS")
	}
	a, ok := splitARN(value)
	kind, name, _ := strings.Cut(a.resource, "/")
	switch {
	case !ok || a.service != "iam" || a.region != "" || !isPartition(a.partition):
		return errors.New("is not an ARN like arn:aws:iam::111122223333:oidc-provider/host/path")
	case !isAccount(a.account):
		return errors.New("is an ARN whose account is not 12 digits: it must be the account of the role")
	case kind != "oidc-provider" && kind != "saml-provider" || name == "":
		return errors.New("is not the ARN of an oidc-provider or a saml-provider")
	case strings.Contains(name, "://"):
		return errors.New("has the issuer's scheme: a provider's ARN has the issuer without https://")
	}
	return nil
}

func checkServicePrincipal(value string) error {
	if hasWildcard(value) {
		return errPrincipalWildcard
	}
	if !isHost(value) {
		return errors.New("is not a service's name like ec2.amazonaws.com")
	}
	return nil
}

func checkCanonicalUser(value string) error {
	if len(value) != 64 || strings.Trim(value, "0123456789abcdefABCDEF") != "" {
		return errors.New("is not a canonical user id of 64 hexadecimal digits")
	}
	return nil
}

func isHost(s string) bool {
	return strings.Contains(s, ".") && strings.Trim(s, ".") == s &&
		strings.Trim(s, alphanumeric+".-") == ""
}
