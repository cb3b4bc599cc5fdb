package main

import (
	"regexp"
	"strings"
	"time"

	"github.com/crossrole/crossrole/credentials"
)

// namedRole is what serve hands out under one name.
type namedRole struct {
	name     string
	role     credentials.Role // without an ARN: the pod's own session
	optional bool             // it need not be ready for serve to be
}

// A name is a file's name and a part of a URL.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// parseNamedRole reads one --role of serve.
func parseNamedRole(s string) (namedRole, error) {
	const form = "want NAME=ARN[,external-id=ID][,duration=1h][,optional], or NAME alone for the pod's own role"
	parts := splitSettings(s)
	name, arn, hasARN := strings.Cut(parts[0], "=")
	n := namedRole{name: name, role: credentials.Role{ARN: arn}}
	if !namePattern.MatchString(name) {
		return n, usagef("--role %q: %q is no name: it begins with a letter or digit and has at most 63 of letters, digits, '.', '_' and '-'; %s", s, name, form)
	}
	if hasARN && arn == "" {
		return n, usagef("--role %q: no ARN after the =; %s", s, form)
	}
	for _, part := range parts[1:] {
		key, value, _ := strings.Cut(part, "=")
		switch {
		case key == "optional":
			n.optional = true
		case value == "":
			return n, usagef("--role %q: %s is empty; leave it out, or say which", s, key)
		case !hasARN:
			return n, usagef("--role %q: %s belongs to a role that is assumed; %s", s, key, form)
		case key == "external-id":
			n.role.ExternalID = value
		case key == "duration":
			d, err := time.ParseDuration(value)
			if err != nil {
				return n, usagef("--role %q: duration: %w", s, err)
			}
			n.role.Duration = d
		}
	}
	return n, nil
}

// splitSettings cuts at the commas before a setting that we know. Names of roles
// and external ids may hold commas themselves.
func splitSettings(s string) []string {
	var parts []string
	for i, part := range strings.Split(s, ",") {
		known := part == "optional" || strings.HasPrefix(part, "external-id=") || strings.HasPrefix(part, "duration=")
		if i == 0 || known {
			parts = append(parts, part)
		} else {
			parts[len(parts)-1] += "," + part
		}
	}
	return parts
}

// parseNamedRoles reads all of them.
func parseNamedRoles(list []string) ([]namedRole, error) {
	var roles []namedRole
	seen := map[string]bool{}
	for _, s := range list {
		n, err := parseNamedRole(s)
		if err != nil {
			return nil, err
		}
		// Some file systems take names that differ in case for one.
		if seen[strings.ToLower(n.name)] {
			return nil, usagef("--role %q: the name %q is taken; give each role a name of its own", s, n.name)
		}
		seen[strings.ToLower(n.name)] = true
		roles = append(roles, n)
	}
	return roles, nil
}
