package trust

import (
	"fmt"
	"slices"
	"strings"
)

// The refuse methods say in words why an element keeps its statement from
// matching, or return nothing if it doesn't.

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

// nearest says how a listed principal differs from one of the caller's names,
// where the difference is easily overlooked.
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

// describe says why a line of a Condition was not fulfilled.
func (ctx requestContext) describe(name string, op operator, key string, want []string, variables bool, out outcome) string {
	have, shownKey := ctx.lookup(key), plain(key)
	if strings.EqualFold(key, "sts:ExternalId") {
		// An external id works like a shared secret: it is never shown.
		have, want = hide(have), hide(want)
		if !out.absent && !op.null {
			return fmt.Sprintf("%s: the request's %s fails against the policy's (external ids are not shown)", name, shownKey)
		}
	}
	wanted := wants(op, want)
	switch {
	case op.null && out.absent:
		return fmt.Sprintf("%s: the request has no %q, the policy wants it present", name, key)
	case op.null:
		return fmt.Sprintf("%s: the request has %q (%s), the policy wants it absent", name, key, quoteList(have, ", "))
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
		return "the policy wants every value to be " + quoteList(want, " or ")
	default:
		return "the policy wants " + quoteList(want, " or ")
	}
}

// likeWouldMatch reports whether the condition fails for no other reason than
// that StringEquals takes wildcards literally.
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
