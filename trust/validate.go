package trust

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// ValidateTrust reports what AWS would refuse in p as the trust policy of a role. In
// addition to the rules of [ParsePolicy], each statement must have a Principal (a
// NotPrincipal is not allowed: IAM User Guide, "NotPrincipal") and no resource, and its
// actions must be sts actions. A statement that admits tokens of an issuer shared by many
// customers, such as GitHub Actions, must have a condition on the claim that IAM requires
// (IAM User Guide, "Identity-provider controls for shared OIDC providers"). All faults are
// in one error.
func (p *Policy) ValidateTrust() error { return p.check(trustUse) }

// ValidateIdentity reports what AWS would refuse in p as an identity policy (of a role
// or user) or a session policy. In addition to the rules of [ParsePolicy], each
// statement must have a resource and no principal, and the policy must not have an Id.
// All faults are in one error.
func (p *Policy) ValidateIdentity() error { return p.check(identityUse) }

// ValidateResource reports what AWS would refuse in p as the policy of a resource such
// as a bucket. In addition to the rules of [ParsePolicy], each statement must have a
// principal and a resource. All faults are in one error.
func (p *Policy) ValidateResource() error { return p.check(resourceUse) }

// use is the kind of policy, by what it is attached to.
type use int

const (
	anyUse use = iota
	trustUse
	identityUse
	resourceUse
)

func (p *Policy) check(use use) error {
	faults := slices.Clone(p.faults)
	if p.Version != "" && p.Version != version2012 && p.Version != version2008 {
		faults = append(faults, fmt.Errorf("trust: the policy's Version is %q, want %q or %q", p.Version, version2012, version2008))
	}
	if use == identityUse && p.ID != "" {
		faults = append(faults, errors.New("trust: the policy has an Id, which an identity policy must not have"))
	}
	if len(p.Statements) == 0 && len(faults) == 0 {
		faults = append(faults, errors.New("trust: the policy has no statements"))
	}
	first := map[string]int{}
	for i, s := range p.Statements {
		fault := func(element string, err error) {
			if err != nil {
				faults = append(faults, fmt.Errorf("trust: %s, %s: %w", statementName(i, s.SID), element, err))
			}
		}
		s.check(use, p.variables(), fault)
		if use == trustUse || use == identityUse {
			s.checkCharacters(fault)
		}
		if s.SID == "" || s.freeSID(use) {
			continue
		}
		if strings.Trim(s.SID, alphanumeric) != "" {
			fault("Sid", errors.New("IAM allows only A-Z, a-z and 0-9 here"))
		}
		if before, twice := first[s.SID]; twice {
			fault("Sid", fmt.Errorf("statement %d has the same: a Sid must be unique in its policy", before))
		} else {
			first[s.SID] = i
		}
	}
	return errors.Join(faults...)
}

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// freeSID reports whether the statement belongs to a resource policy, where each service
// has its own rule for Sids; S3 allows spaces.
func (s *Statement) freeSID(use use) bool {
	return use == resourceUse || use == anyUse && s.namesPrincipal() && s.namesResource()
}

func (s *Statement) namesPrincipal() bool { return s.Principal != nil || s.NotPrincipal != nil }
func (s *Statement) namesResource() bool  { return s.Resource != nil || s.NotResource != nil }

func (s *Statement) check(use use, variables bool, fault func(element string, err error)) {
	switch {
	case s.Effect == "Allow" || s.Effect == "Deny":
	case s.Effect == "":
		fault("Effect", errors.New("it is missing, it must be Allow or Deny"))
	default:
		fault("Effect", fmt.Errorf("%q must be spelled Allow or Deny", s.Effect))
	}

	fault(s.checkUTF8())
	fault("Principal", exclusive("Principal", s.Principal != nil, s.NotPrincipal != nil))
	fault("Action", exclusive("Action", s.Action != nil, s.NotAction != nil))
	fault("Resource", exclusive("Resource", s.Resource != nil, s.NotResource != nil))
	if s.Action == nil && s.NotAction == nil {
		fault("Action", errors.New("it is missing: a statement needs Action or NotAction"))
	}
	switch {
	case use == trustUse && s.NotPrincipal != nil:
		fault("NotPrincipal", errors.New("a trust policy must not have it: name the principals, or Deny with a condition on aws:PrincipalArn"))
	case use == trustUse && s.Principal == nil:
		fault("Principal", errors.New("it is missing: a statement of a trust policy needs it"))
	case use == resourceUse && !s.namesPrincipal():
		fault("Principal", errors.New("it is missing: a statement of a resource policy needs Principal or NotPrincipal"))
	case s.namesPrincipal() && use == identityUse:
		fault("Principal", errors.New("an identity policy must not have it: its principal is the role or user that it is attached to"))
	}
	switch {
	case !s.namesResource() && (use == identityUse || use == resourceUse):
		fault("Resource", fmt.Errorf("it is missing: a statement of %s needs Resource or NotResource", use))
	case s.namesResource() && use == trustUse:
		fault("Resource", errors.New("a trust policy must not have it: its resource is the role"))
	}

	s.Principal.check("Principal", use, fault)
	s.NotPrincipal.check("NotPrincipal", use, fault)
	checkActions("Action", s.Action, use, fault)
	checkActions("NotAction", s.NotAction, use, fault)
	checkResources("Resource", s.Resource, variables, fault)
	checkResources("NotResource", s.NotResource, variables, fault)
	s.Condition.check(fault)
	if use == trustUse {
		checkSharedIssuers(s, fault)
	}
}

// checkCharacters reports characters that IAM refuses in policies. It allows only tab,
// line feed, carriage return and U+0020 to U+00FF (IAM User Guide, "IAM and AWS STS
// quotas", name requirements). Resource policies follow the rules of their service.
func (s *Statement) checkCharacters(fault func(element string, err error)) {
	for element, text := range s.texts() {
		if strings.EqualFold(text.key, "sts:ExternalId") {
			continue // a secret, which an error must not show; sts:AssumeRole refuses such characters in it anyway
		}
		for _, char := range text.value {
			if char > 0xff || char < ' ' && char != '\t' && char != '\n' && char != '\r' {
				fault(element, fmt.Errorf("%s has the character %U: IAM allows only tab, line feed, carriage return and U+0020 to U+00FF in a policy", strconv.QuoteToASCII(text.value), char))
				break
			}
		}
	}
}

// text is a string of a statement. key is set for a value of a condition.
type text struct{ value, key string }

// texts returns the strings of the statement with the elements that they are in.
func (s *Statement) texts() iter.Seq2[string, text] {
	return func(yield func(string, text) bool) {
		more := yield("Sid", text{value: s.SID})
		list := func(element string, values ...string) {
			for _, value := range values {
				more = more && yield(element, text{value: value})
			}
		}
		principals := func(element string, p Principals) {
			for _, kind := range slices.Sorted(maps.Keys(p)) {
				list(element, kind)
				list(element, p[kind]...)
			}
		}
		principals("Principal", s.Principal)
		principals("NotPrincipal", s.NotPrincipal)
		list("Action", s.Action...)
		list("NotAction", s.NotAction...)
		list("Resource", s.Resource...)
		list("NotResource", s.NotResource...)
		s.Condition.lines(func(operator, key string, values []string) {
			list("Condition", operator, key)
			for _, value := range values {
				more = more && yield("Condition", text{value, key})
			}
		})
	}
}

func (u use) String() string {
	switch u {
	case trustUse:
		return "a trust policy"
	case identityUse:
		return "an identity policy"
	case resourceUse:
		return "a resource policy"
	default:
		return "a policy"
	}
}

func exclusive(element string, has, hasNot bool) error {
	if has && hasNot {
		return fmt.Errorf("a statement has %s or Not%[1]s, not both", element)
	}
	return nil
}
