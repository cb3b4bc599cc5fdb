package trust

import (
	"errors"
	"strings"
)

// The rules below are those of the IAM User Guide's "AWS JSON policy elements:
// Principal". Their errors complete a sentence about the value.

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
		return errors.New("is an ARN with a region, which IAM's have not")
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

// isUniqueID reports whether s looks like the id that IAM leaves in a policy
// whose principal has been deleted: AROA… for a role, AIDA… for a user.
func isUniqueID(s string) bool {
	return len(s) >= 16 && len(s) <= 128 && s[0] == 'A' &&
		strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

func checkFederatedPrincipal(value string) error {
	if hasWildcard(value) {
		return errPrincipalWildcard
	}
	if !strings.HasPrefix(value, "arn:") {
		// Identity providers built into AWS, such as
		// cognito-identity.amazonaws.com, go by their host name.
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
