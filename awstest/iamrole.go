package awstest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crossrole/crossrole/trust"
)

// IAM's actions on roles and their policies.

var (
	assumeRolePolicyDocument = parameter{name: "AssumeRolePolicyDocument", label: "assumeRolePolicyDocument", required: true, min: 1, max: 131072, pattern: textPattern, shown: `[\u0009\u000A\u000D\u0020-\u00FF]+`}
	newTrustPolicy           = policyDocument
	permissionsBoundary      = parameter{name: "PermissionsBoundary", label: "permissionsBoundary", min: 20, max: 2048}
	newBoundary              = parameter{name: "PermissionsBoundary", label: "permissionsBoundary", required: true, min: 20, max: 2048}
	maxSessionDuration       = parameter{name: "MaxSessionDuration", label: "maxSessionDuration", max: 20}
)

// sessionLimit reads MaxSessionDuration; an hour if it is not given.
func sessionLimit(req *request) (time.Duration, *refusal) {
	seconds, faults := req.number("MaxSessionDuration", "maxSessionDuration", int(time.Hour.Seconds()), int(maxDuration.Seconds()), nil)
	if seconds == 0 {
		return defaultDuration, validationError(faults)
	}
	return time.Duration(seconds) * time.Second, nil
}

func createRole(_ *Cloud, req *request) (string, *refusal) {
	a := req.caller.account
	name, path := req.param("RoleName"), pathOf(req)
	arn := a.iamARN("role" + path + name)
	limit, refused := sessionLimit(req)
	if refused != nil {
		return "", refused
	}
	tags, refused := tagsOf(req)
	if refused != nil {
		return "", refused
	}
	keys := requestTagKeys(tags)
	if boundary := req.param("PermissionsBoundary"); boundary != "" {
		keys["iam:PermissionsBoundary"] = []string{boundary}
	}
	if refused := permit(req, arn, arn, keys); refused != nil {
		return "", refused
	}
	if refused := permitTagging(req, "iam:TagRole", arn, tags); refused != nil {
		return "", refused
	}
	trustPolicy, refused := parseTrustPolicy(req.param("AssumeRolePolicyDocument"))
	if refused != nil {
		return "", refused
	}
	boundary, refused := requestedBoundary(req)
	if refused != nil {
		return "", refused
	}
	r, refused := a.newRole(path, name, trustPolicy)
	if refused != nil {
		return "", refused
	}
	r.description, r.maxSession, r.tags, r.boundary = req.param("Description"), limit, tags, boundary
	a.addRole(r)
	return r.result(true), nil
}

// requestedBoundary finds the policy that a request names as the permissions
// boundary; nil if it names none.
func requestedBoundary(req *request) (*managedPolicy, *refusal) {
	arn := req.param("PermissionsBoundary")
	if arn == "" {
		return nil, nil
	}
	m, refused := req.caller.account.cloud.managedPolicy(req.caller.account.id, arn)
	if refused == nil && m == nil {
		refused = noSuchEntity("Scope ARN: %s does not exist or is not attachable.", arn)
	}
	return m, refused
}

// requestedRole finds the role that a request names and checks that the caller's
// policies allow the action on it; keys are added to those of the role.
func requestedRole(req *request, keys conditionKeys) (*Role, *refusal) {
	a, name := req.caller.account, req.param("RoleName")
	r := a.roles[strings.ToLower(name)]
	if r != nil && r.name != name {
		r = nil
	}
	arn, all := a.iamARN("role/"+name), conditionKeys{}
	if r != nil {
		arn, all = r.arn, r.resourceKeys()
	}
	maps.Copy(all, keys)
	if refused := permit(req, "role "+name, arn, all); refused != nil {
		return nil, refused
	}
	if r == nil {
		return nil, noSuchEntity("The role with name %s cannot be found.", name)
	}
	return r, nil
}

// result is the role in the response of CreateRole and GetRole.
func (r *Role) result(withTags bool) string {
	var b strings.Builder
	b.WriteString("<Role>")
	r.write(&b)
	if r.boundary != nil {
		writeBoundary(&b, r.boundary)
	}
	if withTags {
		writeTags(&b, r.tags)
	}
	b.WriteString("<RoleLastUsed></RoleLastUsed></Role>")
	return b.String()
}

// write adds the elements that a list of roles has too.
func (r *Role) write(b *strings.Builder) {
	element(b, "Path", r.path)
	element(b, "RoleName", r.name)
	element(b, "RoleId", r.id)
	element(b, "Arn", r.arn)
	element(b, "CreateDate", r.created.Format(time.RFC3339))
	element(b, "AssumeRolePolicyDocument", encodePolicy(r.trustText()))
	if r.description != "" {
		element(b, "Description", r.description)
	}
	element(b, "MaxSessionDuration", strconv.Itoa(int(r.maxSession.Seconds())))
}

func writeBoundary(b *strings.Builder, m *managedPolicy) {
	b.WriteString("<PermissionsBoundary>")
	element(b, "PermissionsBoundaryType", "Policy")
	element(b, "PermissionsBoundaryArn", m.arn)
	b.WriteString("</PermissionsBoundary>")
}

// trustText returns the trust policy as IAM shows it: in place of a role or user
// that was deleted since stands its unique id.
func (r *Role) trustText() string {
	c := r.account.cloud
	gone := map[string]string{}
	for arn, id := range r.pins {
		role, user := c.role(arn), c.user(arn)
		if (role == nil || role.id != id) && (user == nil || user.id != id) {
			gone[arn] = id
		}
	}
	if len(gone) == 0 {
		return r.trust.text
	}
	shown := trust.Policy{Version: r.trust.policy.Version, ID: r.trust.policy.ID, Statements: slices.Clone(r.trust.policy.Statements)}
	for i, s := range shown.Statements {
		names := slices.Clone(s.Principal["AWS"])
		for j, name := range names {
			names[j] = cmp.Or(gone[name], name)
		}
		shown.Statements[i].Principal = maps.Clone(s.Principal)
		if names != nil {
			shown.Statements[i].Principal["AWS"] = names
		}
	}
	return shown.String()
}

func getRole(_ *Cloud, req *request) (string, *refusal) {
	r, refused := requestedRole(req, nil)
	if refused != nil {
		return "", refused
	}
	return r.result(true), nil
}

func updateRole(_ *Cloud, req *request) (string, *refusal) {
	limit, refused := sessionLimit(req)
	if refused != nil {
		return "", refused
	}
	r, refused := requestedRole(req, nil)
	if refused != nil {
		return "", refused
	}
	// Without a value the limit goes back to an hour (IAM API reference, UpdateRole).
	r.maxSession = limit
	if req.form.Has("Description") {
		r.description = req.param("Description")
	}
	return "", nil
}

func updateAssumeRolePolicy(_ *Cloud, req *request) (string, *refusal) {
	r, refused := requestedRole(req, nil)
	if refused != nil {
		return "", refused
	}
	d, refused := parseTrustPolicy(req.param("PolicyDocument"))
	if refused != nil {
		return "", refused
	}
	return "", r.setTrust(d)
}

func deleteRole(_ *Cloud, req *request) (string, *refusal) {
	r, refused := requestedRole(req, nil)
	switch {
	case refused != nil:
		return "", refused
	case len(r.inline) > 0:
		return "", deleteConflict("Cannot delete entity, must delete policies first.")
	case len(r.attached) > 0:
		return "", deleteConflict("Cannot delete entity, must detach all policies first.")
	}
	r.account.removeRole(r)
	return "", nil
}

func listRoles(_ *Cloud, req *request) (string, *refusal) {
	a, prefix := req.caller.account, cmp.Or(req.param("PathPrefix"), "/")
	arn := a.iamARN("role" + prefix)
	if refused := permit(req, arn, arn, nil); refused != nil {
		return "", refused
	}
	var roles []*Role
	for _, key := range slices.Sorted(maps.Keys(a.roles)) {
		if r := a.roles[key]; strings.HasPrefix(r.path, prefix) {
			roles = append(roles, r)
		}
	}
	return writePage(req, "Roles", roles, func(r *Role) string { return r.name }, func(b *strings.Builder, r *Role) { r.write(b) })
}

func putRolePolicy(_ *Cloud, req *request) (string, *refusal) {
	r, refused := requestedRole(req, nil)
	if refused != nil {
		return "", refused
	}
	d, refused := parseIdentityPolicy(req.param("PolicyDocument"))
	if refused != nil {
		return "", refused
	}
	return "", r.setInline(req.param("PolicyName"), d)
}

// requestedInline finds the inline policy of a role that a request names.
func requestedInline(req *request) (*Role, *document, *refusal) {
	r, refused := requestedRole(req, nil)
	if refused != nil {
		return nil, nil, refused
	}
	d := r.inline[req.param("PolicyName")]
	if d == nil {
		return nil, nil, noSuchEntity("The role policy with name %s cannot be found.", req.param("PolicyName"))
	}
	return r, d, nil
}

func getRolePolicy(_ *Cloud, req *request) (string, *refusal) {
	r, d, refused := requestedInline(req)
	if refused != nil {
		return "", refused
	}
	var b strings.Builder
	element(&b, "RoleName", r.name)
	element(&b, "PolicyName", req.param("PolicyName"))
	element(&b, "PolicyDocument", encodePolicy(d.text))
	return b.String(), nil
}

func deleteRolePolicy(_ *Cloud, req *request) (string, *refusal) {
	r, _, refused := requestedInline(req)
	if refused != nil {
		return "", refused
	}
	return "", r.setInline(req.param("PolicyName"), nil)
}

func listRolePolicies(_ *Cloud, req *request) (string, *refusal) {
	r, refused := requestedRole(req, nil)
	if refused != nil {
		return "", refused
	}
	names := slices.Sorted(maps.Keys(r.inline))
	return writePage(req, "PolicyNames", names, func(name string) string { return name }, func(b *strings.Builder, name string) { b.WriteString(name) })
}

// policyKeys are the condition keys of attaching a policy.
func policyKeys(req *request) conditionKeys {
	return conditionKeys{"iam:PolicyARN": {req.param("PolicyArn")}}
}

func attachRolePolicy(c *Cloud, req *request) (string, *refusal) {
	r, refused := requestedRole(req, policyKeys(req))
	if refused != nil {
		return "", refused
	}
	m, refused := c.managedPolicy(r.account.id, req.param("PolicyArn"))
	switch {
	case refused != nil:
		return "", refused
	case m == nil:
		return "", noSuchEntity("Policy %s does not exist or is not attachable.", req.param("PolicyArn"))
	}
	return "", r.attach(m)
}

func detachRolePolicy(_ *Cloud, req *request) (string, *refusal) {
	r, refused := requestedRole(req, policyKeys(req))
	if refused != nil {
		return "", refused
	}
	return "", r.detach(req.param("PolicyArn"))
}

func listAttachedRolePolicies(_ *Cloud, req *request) (string, *refusal) {
	r, refused := requestedRole(req, nil)
	if refused != nil {
		return "", refused
	}
	prefix := cmp.Or(req.param("PathPrefix"), "/")
	policies := slices.DeleteFunc(slices.Clone(r.attached), func(m *managedPolicy) bool { return !strings.HasPrefix(m.path, prefix) })
	return writePage(req, "AttachedPolicies", policies, func(m *managedPolicy) string { return m.arn }, func(b *strings.Builder, m *managedPolicy) {
		element(b, "PolicyName", m.name)
		element(b, "PolicyArn", m.arn)
	})
}

// listInstanceProfiles returns none: the cloud has no instance profiles. Tools ask
// before they delete a role.
func listInstanceProfiles(_ *Cloud, req *request) (string, *refusal) {
	if _, refused := requestedRole(req, nil); refused != nil {
		return "", refused
	}
	return writePage(req, "InstanceProfiles", nil, func(string) string { return "" }, func(*strings.Builder, string) {})
}

func tagRole(_ *Cloud, req *request) (string, *refusal) {
	tags, refused := tagsOf(req)
	if refused != nil {
		return "", refused
	}
	if len(tags) == 0 {
		return "", validationError([]string{"Value null at 'tags' failed to satisfy constraint: Member must not be null"})
	}
	r, refused := requestedRole(req, requestTagKeys(tags))
	if refused != nil {
		return "", refused
	}
	merged := slices.Clone(r.tags)
	for _, t := range tags {
		merged = slices.DeleteFunc(merged, func(o tag) bool { return strings.EqualFold(o.key, t.key) })
		merged = append(merged, t)
	}
	if len(merged) > maxTags {
		return "", limitExceeded("The number of tags has reached the maximum limit.", fmt.Sprintf("a role has at most %d tags", maxTags))
	}
	r.tags = merged
	return "", nil
}

func untagRole(_ *Cloud, req *request) (string, *refusal) {
	names := req.params(req.list("TagKeys"), "")
	if len(names) == 0 {
		return "", validationError([]string{"Value null at 'tagKeys' failed to satisfy constraint: Member must not be null"})
	}
	r, refused := requestedRole(req, conditionKeys{"aws:TagKeys": names})
	if refused != nil {
		return "", refused
	}
	r.tags = slices.DeleteFunc(slices.Clone(r.tags), func(t tag) bool {
		return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, t.key) })
	})
	return "", nil
}

func listRoleTags(_ *Cloud, req *request) (string, *refusal) {
	r, refused := requestedRole(req, nil)
	if refused != nil {
		return "", refused
	}
	return writePage(req, "Tags", r.tags, func(t tag) string { return t.key }, func(b *strings.Builder, t tag) {
		element(b, "Key", t.key)
		element(b, "Value", t.value)
	})
}

func putRolePermissionsBoundary(_ *Cloud, req *request) (string, *refusal) {
	// The key is the boundary that the role is to have.
	r, refused := requestedRole(req, conditionKeys{"iam:PermissionsBoundary": {req.param("PermissionsBoundary")}})
	if refused != nil {
		return "", refused
	}
	m, refused := requestedBoundary(req)
	if refused != nil {
		return "", refused
	}
	r.boundary = m
	return "", nil
}

func deleteRolePermissionsBoundary(_ *Cloud, req *request) (string, *refusal) {
	r, refused := requestedRole(req, nil)
	if refused != nil {
		return "", refused
	}
	r.boundary = nil
	return "", nil
}
