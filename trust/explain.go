package trust

import (
	"fmt"
	"slices"
	"strings"
)

// Request describes the request that a policy decides about.
type Request struct {
	// Action, such as "sts:AssumeRoleWithWebIdentity" or "s3:GetObject".
	Action string
	// Resource is an ARN; empty for trust policies, whose resource is the role.
	Resource string
	// Principal is the caller, by type: {"Federated": {provider ARN}} or {"AWS":
	// {session ARN, role ARN, account root ARN, …}}. List all names of the caller;
	// none is derived from another. Nil for identity policies, which have no
	// principal, and for an anonymous caller.
	Principal Principals
	// Context holds the condition keys of the request:
	// {"oidc.eks.…/id/X:sub": {"system:serviceaccount:ns:sa"}}. The case of names
	// does not matter. A key without values counts as absent.
	Context map[string][]string
}

// Decision is the result of evaluating a policy for a [Request].
type Decision struct {
	Allowed bool
	// Denied is true if a Deny statement matched. Then no other policy can allow
	// the request.
	Denied  bool
	Reasons []Reason // one for each statement, in order
}

// Reason explains why one statement did or did not match.
type Reason struct {
	Statement int    // index in Policy.Statements
	SID       string // its Sid, if it has one
	Matched   bool
	// Element is the first element that did not match: "Principal" (also for
	// NotPrincipal), "Action", "Resource" or "Condition". It is "Effect" if that is
	// neither Allow nor Deny, and empty if the statement matched.
	Element string
	// Text describes everything that did not match, with the values compared. It
	// never contains the values of sts:ExternalId.
	Text string
}

// Explain decides a request as IAM does: a matching Deny wins, then a matching Allow;
// otherwise the request is refused. The same policy and request always result in the
// same decision and the same texts.
//
// It evaluates this policy alone. Whether the request succeeds also depends on
// the other policies that AWS evaluates: those of the caller, the resource, the
// session and the organization.
//
// Explain does not validate the policy. A statement that AWS would refuse, for
// example with an unknown operator, matches nothing.
//
// Where AWS's documents leave room for interpretation:
//   - "Principal": "*" means every caller; {"AWS": "*"} means every caller except
//     federated ones and services.
//   - A Deny with NotPrincipal exempts a caller only if all of its ARNs are listed.
//   - If a key has several values, an operator without ForAnyValue or ForAllValues
//     is met if any of them matches, and a negated one if none does.
//   - ForAnyValue is false for an absent key, even with IfExists.
//   - If a policy variable does not have exactly one value, the policy's value
//     matches nothing, a negated condition is false, and the statement of a
//     NotResource does not match. In the value of a variable, * and ? are not
//     wildcards.
func (p *Policy) Explain(req Request) Decision {
	ctx := newContext(req.Context)
	decision := Decision{Reasons: make([]Reason, len(p.Statements))}
	allowed := false
	for i := range p.Statements {
		s := &p.Statements[i]
		refusals := s.refusals(req, ctx, p.variables())
		reason := Reason{Statement: i, SID: s.SID, Matched: len(refusals) == 0}
		if reason.Matched {
			reason.Text = fmt.Sprintf("this %s matches", s.Effect)
			allowed = allowed || s.Effect == "Allow"
			decision.Denied = decision.Denied || s.Effect == "Deny"
		} else {
			reason.Element = refusals[0].element
			texts := make([]string, len(refusals))
			for j, refusal := range refusals {
				texts[j] = refusal.text
			}
			reason.Text = strings.Join(texts, "; and ")
		}
		decision.Reasons[i] = reason
	}
	decision.Allowed = allowed && !decision.Denied
	return decision
}

// refusal is one thing that keeps a statement from matching.
type refusal struct{ element, text string }

func (s *Statement) refusals(req Request, ctx requestContext, variables bool) []refusal {
	var found []refusal
	refuse := func(element, text string) {
		if text != "" {
			found = append(found, refusal{element, text})
		}
	}
	if s.Effect != "Allow" && s.Effect != "Deny" {
		refuse("Effect", fmt.Sprintf("the Effect is %q, neither Allow nor Deny", s.Effect))
	}
	refuse("Principal", s.refusePrincipal(req.Principal))
	refuse("Action", s.refuseAction(req.Action))
	refuse("Resource", s.refuseResource(req.Resource, ctx, variables))
	s.Condition.lines(func(name, key string, want []string) {
		op, err := parseOperator(name)
		if err != nil {
			refuse("Condition", fmt.Sprintf("the operator %q %v", name, err))
			return
		}
		if out := ctx.evaluate(op, key, want, variables); !out.ok {
			refuse("Condition", ctx.describe(name, op, key, want, variables, out))
		}
	})
	return found
}

// The refuse methods return why an element does not match, or "" if it does.

func (s *Statement) refusePrincipal(caller Principals) string {
	if s.Principal != nil && !s.Principal.name(caller) {
		text := fmt.Sprintf("the caller is %s, the Principal is %s", callerName(caller), s.Principal)
		return text + note(s.Principal.nearest(caller))
	}
	if s.NotPrincipal == nil {
		return ""
	}
	if s.Effect == "Deny" && s.NotPrincipal.exempt(caller) || s.Effect != "Deny" && s.NotPrincipal.name(caller) {
		return fmt.Sprintf("the caller is %s, which the NotPrincipal %s leaves out", callerName(caller), s.NotPrincipal)
	}
	return ""
}

func callerName(caller Principals) string {
	if caller.anonymous() {
		return "anonymous"
	}
	return caller.String()
}

// nearest describes how a listed principal differs from one of the caller's names, if
// the difference is easily overlooked.
func (p Principals) nearest(caller Principals) string {
	var found string
	for _, kind := range []string{"AWS", "Federated", "Service", "CanonicalUser"} {
		for _, want := range p[kind] {
			for _, have := range caller[kind] {
				if text := difference(have, want); text != "" && found == "" {
					found = text
				}
			}
		}
	}
	return found
}

func (s *Statement) refuseAction(action string) string {
	switch {
	case s.Action == nil && s.NotAction == nil:
		return "the statement has neither Action nor NotAction"
	case s.Action != nil && !matchActions(s.Action, action):
		return fmt.Sprintf("the request's action is %q, the Action is %s", action, quoteList(s.Action, ", "))
	case s.NotAction != nil && (len(s.NotAction) == 0 || matchActions(s.NotAction, action)):
		return fmt.Sprintf("the request's action is %q, which the NotAction %s leaves out", action, quoteList(s.NotAction, ", "))
	}
	return ""
}

func (s *Statement) refuseResource(resource string, ctx requestContext, variables bool) string {
	if s.Resource != nil {
		if ok, unresolved := ctx.matchResources(s.Resource, resource, variables); !ok {
			text := fmt.Sprintf("the request's resource is %q, the Resource is %s", resource, quoteList(s.Resource, ", "))
			return text + unresolvedNote(unresolved) + note(nearestOf([]string{resource}, s.Resource))
		}
	}
	if s.NotResource != nil {
		ok, unresolved := ctx.matchResources(s.NotResource, resource, variables)
		if ok || unresolved != "" || len(s.NotResource) == 0 {
			text := fmt.Sprintf("the request's resource is %q, which the NotResource %s leaves out", resource, quoteList(s.NotResource, ", "))
			if !ok {
				text = fmt.Sprintf("the NotResource is %s", quoteList(s.NotResource, ", "))
			}
			return text + unresolvedNote(unresolved)
		}
	}
	return ""
}

// describe returns why a line of a Condition was not met.
func (ctx requestContext) describe(name string, op operator, key string, want []string, variables bool, out outcome) string {
	have, shownKey := ctx.lookup(key), plain(key)
	if strings.EqualFold(key, "sts:ExternalId") {
		// An external ID works like a shared secret and is never shown.
		have, want = hide(have), hide(want)
		if !out.absent && !op.null {
			return fmt.Sprintf("%s: the request's %s fails against the policy's (external ids are not shown)", name, shownKey)
		}
	}
	wanted := wants(op, want)
	switch {
	case op.null && out.absent:
		return fmt.Sprintf("%s: the request has no %q, the policy requires it present", name, key)
	case op.null:
		return fmt.Sprintf("%s: the request has %q (%s), the policy requires it absent", name, key, quoteList(have, ", "))
	case out.absent:
		return fmt.Sprintf("%s: the request has no value of %q, %s", name, key, wanted) + note(ctx.similarKey(key))
	case out.unresolved != "":
		return fmt.Sprintf("%s: %s is %s, %s", name, shownKey, quoteList(have, " and "), wanted) + unresolvedNote(out.unresolved)
	}
	if op.name == "StringEquals" && ctx.likeWouldMatch(have, want, variables) {
		return fmt.Sprintf("%s compares %s literally: %s is %s, %s; use StringLike for wildcards",
			name, wildcardsIn(want), shownKey, quoteList(have, " and "), wanted)
	}
	text := fmt.Sprintf("%s: %s is %s, %s", name, shownKey, quoteList(have, " and "), wanted)
	if op.negated {
		return text
	}
	return text + note(nearestOf(have, want))
}

func wants(op operator, want []string) string {
	switch {
	case op.negated && len(want) == 1:
		return "the policy excludes " + quoteList(want, " and ")
	case op.negated:
		return "the policy excludes each of " + quoteList(want, " and ")
	case op.set == forAllValues:
		return "the policy requires every value to be " + quoteList(want, " or ")
	default:
		return "the policy requires " + quoteList(want, " or ")
	}
}

// likeWouldMatch reports whether the condition fails only because StringEquals takes
// wildcards literally.
func (ctx requestContext) likeWouldMatch(have, want []string, variables bool) bool {
	return slices.ContainsFunc(want, func(value string) bool {
		p, unresolved := ctx.expand(value, true, variables)
		return unresolved == "" && p.hasWildcard() && slices.ContainsFunc(have, p.match)
	})
}

func wildcardsIn(values []string) string {
	all := strings.Join(values, "")
	var found []string
	for _, wildcard := range []string{"*", "?"} {
		if strings.Contains(all, wildcard) {
			found = append(found, wildcard)
		}
	}
	return quoteList(found, " and ")
}

func hide(values []string) []string {
	hidden := make([]string, len(values))
	for i := range hidden {
		hidden[i] = "…"
	}
	return hidden
}
