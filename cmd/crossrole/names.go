package main

import (
	"net/url"
	"regexp"
	"strings"
)

var (
	accountPattern = regexp.MustCompile(`^[0-9]{12}$`)
	// The characters of Kubernetes names, and the wildcards of StringLike.
	kubeName = regexp.MustCompile(`^[a-z0-9.*?-]+$`)
	roleName = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
)

func checkAccount(flag, id string) error {
	if !accountPattern.MatchString(id) {
		return usagef("%s %q; want the 12 digits of an account", flag, id)
	}
	return nil
}

func checkIssuer(flag, issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return usagef("%s %q; want the issuer as the cluster's tokens spell it, https://…: kubectl get --raw /.well-known/openid-configuration", flag, issuer)
	}
	return nil
}

func checkRoleName(flag, name string) error {
	if !roleName.MatchString(name) {
		return usagef("%s %q; want a role's name: 1–64 of letters, digits and +=,.@_-", flag, name)
	}
	return nil
}

func splitServiceAccount(s string) (namespace, name string, err error) {
	namespace, name, ok := strings.Cut(s, "/")
	if !ok || !kubeName.MatchString(namespace) || !kubeName.MatchString(name) {
		return "", "", usagef("--service-account %q; want NAMESPACE/NAME", s)
	}
	return namespace, name, nil
}
