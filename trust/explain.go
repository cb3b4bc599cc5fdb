package trust

import (
	"fmt"
	"strings"
)

// Request is what a policy decides about.
type Request struct {
	// Action, such as "sts:AssumeRoleWithWebIdentity" or "s3:GetObject".
	Action string
	// Resource is an ARN; empty for trust policies, whose resource is the role.
	Resource string
	// Principal is who asks, by type: {"Federated": {provider ARN}} or {"AWS":
	// {session ARN, role ARN, account root ARN, …}}: all names of the caller,
	// none of which is worked out from another. Nil for identity policies, which
	// have no principal, and for an anonymous caller.
	Principal Principals
	// Context holds the condition keys of the request, by name without regard
	// to case: {"oidc.eks.…/id/X:sub": {"system:serviceaccount:ns:sa"}}. A key
	// without values counts as absent.
	Context map[string][]string
}

// Decision is what a policy says about a [Request].
type Decision struct {
	Allowed bool
	// Denied is true when a Deny statement matched, so that no other policy
	// can allow the request either.
	Denied  bool
	Reasons []Reason // one a statement, in order
}

// Reason says why one statement did or did not match.
type Reason struct {
	Statement int    // index in Policy.Statements
	SID       string // its Sid, if it has one
	Matched   bool
	// Element is what refused: "Principal", "Action", "Resource" or "Condition",
	// the first of them if several did; also where the statement says
	// NotPrincipal and the like. "Effect" if that is neither Allow nor Deny.
	// Empty if the statement matched.
	Element string
	// Text names everything that refused, in words, with the values compared.
	// The values of sts:ExternalId are never shown.
	Text string
}

// Explain decides a request as IAM does: a Deny that matches wins, else an
// Allow that matches, else the request is refused. The same policy and request
// always give the same decision and the same texts.
//
// It reads one policy only. Whether the request succeeds depends on the others
// that AWS asks: those of the caller, the resource, the session and the
// organization.
//
// Explain does not check the policy. A statement that AWS would refuse, with an
// unknown operator say, matches nothing.
//
// Where AWS's documents leave a choice:
//   - "Principal": "*" is every caller, {"AWS": "*"} every caller but federated
//     ones and services.
//   - A Deny with NotPrincipal spares a caller only if each of its ARNs is listed.
//   - An operator without ForAnyValue or ForAllValues is fulfilled by any of a
//     key's several values, a negated one only if none of them is excluded.
//   - ForAnyValue is false for an absent key even with IfExists.
//   - A policy variable without a single value makes its policy value match
//     nothing, a negated condition false, and a NotResource refuse. What a
//     variable brings in is literal, whatever * and ? it has.
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
