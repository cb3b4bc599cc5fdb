package trust

import (
	"errors"
	"fmt"
	"strings"
)

// matchActions reports whether one of the patterns matches the action. Case does not
// matter, neither in the service nor in the name (IAM User Guide, "Action").
func matchActions(patterns []string, action string) bool {
	action = strings.ToLower(action)
	for _, p := range patterns {
		if wildcardPattern(strings.ToLower(p)).match(action) {
			return true
		}
	}
	return false
}

// matchResources reports whether one of the patterns matches the resource. unresolved
// is a variable in a pattern that has no value.
func (ctx requestContext) matchResources(patterns []string, resource string, variables bool) (ok bool, unresolved string) {
	for _, s := range patterns {
		p, missing := ctx.expand(s, true, variables)
		if missing != "" {
			unresolved = missing
		} else if resourcePattern(p).match(resource) {
			return true, ""
		}
	}
	return false, unresolved
}

// resourcePattern applies the rules for ARNs (IAM User Guide, "Resource"): before the
// resource part, a star matches across a colon only if it is the last character of its
// field, and missing fields of an ARN are "*".
func resourcePattern(p pattern) pattern {
	if len(p) == 1 && p[0].kind == anyRun {
		return p
	}
	fields := p.fields(6)
	for _, field := range fields[:min(len(fields), 5)] {
		for i := range max(len(field)-1, 0) {
			if field[i].kind == anyRun {
				field[i].kind = anyRunInField
			}
		}
	}
	for n := len(fields); n < 6; n++ {
		p = append(p, element{literal, ':'}, element{kind: anyRun})
	}
	return p
}

func checkActions(element string, actions []string, use use, fault func(string, error)) {
	if actions != nil && len(actions) == 0 {
		fault(element, errors.New("it has no values"))
	}
	for _, action := range actions {
		service, name, _ := strings.Cut(action, ":")
		switch {
		case action == "*" && use != trustUse:
		case service == "" || name == "" || strings.Trim(service, alphanumeric+"-") != "":
			fault(element, fmt.Errorf("%q is not <service>:<action>, like sts:AssumeRole", action))
		case strings.Trim(name, alphanumeric+"*?") != "":
			fault(element, fmt.Errorf("%q names an action with characters other than letters, digits, * and ?", action))
		case use == trustUse && !strings.EqualFold(service, "sts"):
			fault(element, fmt.Errorf("%q is not an sts action, the only ones a trust policy may have", action))
		}
	}
}

func checkResources(element string, resources []string, variables bool, fault func(string, error)) {
	if resources != nil && len(resources) == 0 {
		fault(element, errors.New("it has no values"))
	}
	for _, resource := range resources {
		if err := checkResource(resource, variables); err != nil {
			fault(element, fmt.Errorf("%q %w", resource, err))
		}
	}
}

// checkResource checks an ARN pattern of a statement (IAM User Guide, "Resource"; AWS
// accepts an ARN that ends after the service).
func checkResource(resource string, variables bool) error {
	if resource == "*" {
		return nil
	}
	fields := strings.SplitN(resource, ":", 6)
	if len(fields) < 3 || fields[0] != "arn" {
		return errors.New(`is neither "*" nor an ARN, like arn:aws:s3:::bucket/*`)
	}
	for _, field := range fields[:min(len(fields), 5)] {
		if variables && strings.Contains(field, "${") {
			return errors.New("has a policy variable before the ARN's fifth colon: only the resource part may have one")
		}
	}
	if partition := fields[1]; !hasWildcard(partition) && !isPartition(partition) {
		return errors.New("is an ARN whose partition is not one of AWS (aws, aws-cn, aws-us-gov, …)")
	}
	if service := fields[2]; service == "" || strings.Trim(service, alphanumeric+"-") != "" {
		return errors.New("is an ARN without a plain service name: a wildcard is not allowed there")
	}
	if len(fields) < 5 {
		return nil
	}
	if account := fields[4]; account != "" && account != "aws" && !hasWildcard(account) && !isAccount(account) {
		return errors.New("is an ARN whose account, the fifth field, is not 12 digits")
	}
	if len(fields) == 6 && fields[5] == "" {
		return errors.New("is an ARN that ends before it names a resource")
	}
	return nil
}
