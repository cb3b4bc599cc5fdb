package awstest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/crossrole/crossrole/internal/lazyregexp"
	"github.com/crossrole/crossrole/trust"
)

// SimulatePrincipalPolicy: what the policies of a role or user say about actions,
// without a request for them. As in AWS it knows no condition keys but those that
// it is given.

var (
	policySourceARN = parameter{name: "PolicySourceArn", label: "policySourceArn", required: true, min: 20, max: 2048}
	actionName      = lazyregexp.New(`^[a-z0-9-]+:[A-Za-z0-9]+$`)
)

// simulation holds the policies and condition keys of one request.
type simulation struct {
	principal *principal
	policies  []namedPolicy // of the principal, and those given
	boundary  []namedPolicy // nil: none
	keys      conditionKeys
}

func simulatePrincipalPolicy(c *Cloud, req *request) (string, *refusal) {
	e, refused := simulatedEntity(c, req)
	if refused != nil {
		return "", refused
	}
	s, refused := newSimulation(e, req)
	if refused != nil {
		return "", refused
	}
	resources := req.params(req.list("ResourceArns"), "")
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	var questions []access
	for _, action := range req.params(req.list("ActionNames"), "") {
		if !actionName().MatchString(action) {
			return "", invalidInput("Invalid Entity Action: %s", action)
		}
		for _, resource := range resources {
			if resource != "*" && !strings.HasPrefix(resource, "arn:") {
				return "", invalidInput("Invalid Entity Resource: %s", resource)
			}
			questions = append(questions, access{p: s.principal, owner: s.principal.account, action: action, resource: resource, keys: s.keys})
		}
	}
	if len(questions) == 0 {
		return "", validationError([]string{"Value null at 'actionNames' failed to satisfy constraint: Member must not be null"})
	}
	return writePage(req, "EvaluationResults", questions, func(q access) string { return q.action + " " + q.resource }, s.writeResult)
}

// simulatedEntity finds the role or user that a request names and checks that the
// caller may simulate its policies.
func simulatedEntity(c *Cloud, req *request) (*entity, *refusal) {
	arn, account := req.param("PolicySourceArn"), req.caller.account
	var e *entity
	kind := "role"
	if r := c.role(arn); r != nil && r.account == account {
		e = &r.entity
	} else if u := c.user(arn); u != nil && u.account == account {
		e = &u.entity
	}
	owner, path, ok := cutIAM(arn, "role")
	if !ok {
		kind = "user"
		owner, path, ok = cutIAM(arn, "user")
	}
	if !ok {
		if _, _, group := cutIAM(arn, "group"); group {
			return nil, notModelled("groups")
		}
		return nil, invalidInput("Invalid Entity Arn: %s does not clearly define entity type and name.", arn)
	}
	var keys conditionKeys
	if e != nil {
		keys = e.resourceKeys()
	}
	if refused := permit(req, arn, arn, keys); refused != nil {
		return nil, refused
	}
	if e == nil {
		_, name := splitPath(path)
		refused := noSuchEntity("The %s with name %s cannot be found.", kind, name)
		if owner != account.id {
			refused.why = "it is in another account"
		}
		return nil, refused
	}
	return e, nil
}

func newSimulation(e *entity, req *request) (*simulation, *refusal) {
	s := &simulation{
		policies: e.named(), keys: conditionKeys{},
		principal: &principal{account: e.account, arn: e.arn, keys: conditionKeys{}},
	}
	if e.boundary != nil {
		s.boundary = []namedPolicy{{e.boundary.name, e.boundary.document.policy}}
	}
	more, refused := listedPolicies(req, "PolicyInputList")
	if refused != nil {
		return nil, refused
	}
	s.policies = append(s.policies, more...)
	boundary, refused := listedPolicies(req, "PermissionsBoundaryPolicyInputList")
	if refused != nil {
		return nil, refused
	}
	if boundary != nil {
		s.boundary = boundary
	}
	for _, m := range req.list("ContextEntries") {
		name, values := req.param(m+".ContextKeyName"), req.params(req.list(m+".ContextKeyValues"), "")
		if name == "" || len(values) == 0 {
			return nil, invalidInput("Invalid context entry: it needs ContextKeyName and ContextKeyValues")
		}
		s.keys[name] = values
	}
	return s, nil
}

// listedPolicies reads the policies of a list parameter.
func listedPolicies(req *request, list string) ([]namedPolicy, *refusal) {
	var policies []namedPolicy
	for i, text := range req.params(req.list(list), "") {
		d, refused := parseIdentityPolicy(text)
		if refused != nil {
			return nil, invalidInput("Invalid policy: %s", refused.message)
		}
		policies = append(policies, namedPolicy{fmt.Sprintf("%s.%d", list, i+1), d.policy})
	}
	return policies, nil
}

// writeResult adds what the policies say about one action on one resource.
func (s *simulation) writeResult(b *strings.Builder, q access) {
	allowed, denied, matched := s.ask(s.policies, q)
	boundaryAllows := true
	if s.boundary != nil {
		allows, denies, _ := s.ask(s.boundary, q)
		boundaryAllows, denied = allows, denied || denies
	}
	organization := q.serviceControl(s.keys)
	decision := "implicitDeny"
	switch {
	case denied || organization.denied:
		decision = "explicitDeny"
	case allowed && boundaryAllows && organization.allowed:
		decision = "allowed"
	}
	element(b, "EvalActionName", q.action)
	element(b, "EvalResourceName", q.resource)
	element(b, "EvalDecision", decision)
	b.WriteString("<MatchedStatements>")
	for _, name := range matched {
		b.WriteString("<member>")
		element(b, "SourcePolicyId", name)
		element(b, "SourcePolicyType", "IAM Policy")
		b.WriteString("</member>")
	}
	b.WriteString("</MatchedStatements>")
	writeStrings(b, "MissingContextValues", s.missing())
	if s.boundary != nil {
		b.WriteString("<PermissionsBoundaryDecisionDetail>")
		element(b, "AllowedByPermissionsBoundary", strconv.FormatBool(boundaryAllows))
		b.WriteString("</PermissionsBoundaryDecisionDetail>")
	}
	if memberOf(s.principal.account) != nil {
		b.WriteString("<OrganizationsDecisionDetail>")
		element(b, "AllowedByOrganizations", strconv.FormatBool(organization.allowed && !organization.denied))
		b.WriteString("</OrganizationsDecisionDetail>")
	}
}

// ask evaluates policies for an action; matched names the policy of each statement
// that decides.
func (s *simulation) ask(policies []namedPolicy, q access) (allowed, denied bool, matched []string) {
	decisive := map[string][]string{}
	for _, p := range policies {
		d := p.policy.Explain(trust.Request{Action: q.action, Resource: q.resource, Context: s.keys})
		allowed, denied = allowed || d.Allowed && !d.Denied, denied || d.Denied
		for _, r := range d.Reasons {
			if effect := p.policy.Statements[r.Statement].Effect; r.Matched {
				decisive[effect] = append(decisive[effect], p.name)
			}
		}
	}
	if denied {
		return false, true, decisive["Deny"]
	}
	return allowed, false, decisive["Allow"]
}

// missing returns the condition keys that the policies use and that the request
// does not have.
func (s *simulation) missing() []string {
	given := map[string]bool{}
	for name := range s.keys {
		given[strings.ToLower(name)] = true
	}
	absent := map[string]bool{}
	for _, p := range slices.Concat(s.policies, s.boundary) {
		for _, statement := range p.policy.Statements {
			for _, lines := range statement.Condition {
				for name := range lines {
					if !given[strings.ToLower(name)] {
						absent[name] = true
					}
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(absent))
}
