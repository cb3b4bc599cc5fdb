package awstest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/crossrole/crossrole/internal/lazyregexp"
)

// How it works
//
// IAM's own API is a query protocol as STS's is (sts.go): a form with Action,
// Version and parameters, and an XML document as the response. Requests come to
// iam.amazonaws.com or to the address of Serve, where route recognizes them by the
// scope of their signature, and are authenticated like any other (handle.go).
//
//  1. serveIAM looks the action up in iamActions and checks its parameters against
//     the bounds that are listed there. An action or parameter that is not listed
//     is refused with 501 and never ignored.
//  2. The action's function runs with Cloud.mu locked. It finds the role, user, policy
//     or provider and calls permit, which checks the caller's policies. IAM serves
//     an account's own roles and users only.
//  3. Then it refuses what is malformed, too long or in conflict. It calls the same
//     functions as the methods of Account and Role, so that the message of a
//     method's panic is that of IAM's error.
//  4. It changes the state and returns the content of the result element.
//
// Roles are in iamrole.go (what they share with users: entity.go), policies in
// iampolicy.go, users and keys in iamuser.go, OIDC providers in iamprovider.go, the
// switch of outbound federation in outbound.go, the simulator in iamsimulate.go.

const (
	iamNamespace = "https://iam.amazonaws.com/doc/2010-05-08/"
	iamVersion   = "2010-05-08"
)

// iamAction is an action of IAM's API.
type iamAction struct {
	serve      func(*Cloud, *request) (result string, refused *refusal)
	parameters []parameter
	lists      []string // list parameters, which serve checks
	paged      bool     // takes MaxItems and Marker
}

// iamActions are the actions that the cloud serves, by name.
var iamActions = map[string]iamAction{
	"CreateRole":                  {serve: createRole, parameters: []parameter{roleName, newPath, assumeRolePolicyDocument, description, maxSessionDuration, permissionsBoundary}, lists: []string{"Tags"}},
	"GetRole":                     {serve: getRole, parameters: []parameter{roleName}},
	"UpdateRole":                  {serve: updateRole, parameters: []parameter{roleName, description, maxSessionDuration}},
	"UpdateAssumeRolePolicy":      {serve: updateAssumeRolePolicy, parameters: []parameter{roleName, newTrustPolicy}},
	"DeleteRole":                  {serve: deleteRole, parameters: []parameter{roleName}},
	"ListRoles":                   {serve: listRoles, parameters: []parameter{pathPrefix}, paged: true},
	"PutRolePolicy":               {serve: putRolePolicy, parameters: []parameter{roleName, policyName, policyDocument}},
	"GetRolePolicy":               {serve: getRolePolicy, parameters: []parameter{roleName, policyName}},
	"DeleteRolePolicy":            {serve: deleteRolePolicy, parameters: []parameter{roleName, policyName}},
	"ListRolePolicies":            {serve: listRolePolicies, parameters: []parameter{roleName}, paged: true},
	"AttachRolePolicy":            {serve: attachRolePolicy, parameters: []parameter{roleName, policyARN}},
	"DetachRolePolicy":            {serve: detachRolePolicy, parameters: []parameter{roleName, policyARN}},
	"ListAttachedRolePolicies":    {serve: listAttachedRolePolicies, parameters: []parameter{roleName, pathPrefix}, paged: true},
	"ListInstanceProfilesForRole": {serve: listInstanceProfiles, parameters: []parameter{roleName}, paged: true},
	"TagRole":                     {serve: tagRole, parameters: []parameter{roleName}, lists: []string{"Tags"}},
	"UntagRole":                   {serve: untagRole, parameters: []parameter{roleName}, lists: []string{"TagKeys"}},
	"ListRoleTags":                {serve: listRoleTags, parameters: []parameter{roleName}, paged: true},

	"PutRolePermissionsBoundary":    {serve: putRolePermissionsBoundary, parameters: []parameter{roleName, newBoundary}},
	"DeleteRolePermissionsBoundary": {serve: deleteRolePermissionsBoundary, parameters: []parameter{roleName}},

	"CreatePolicy":            {serve: createPolicy, parameters: []parameter{policyName, newPath, policyDocument, description}, lists: []string{"Tags"}},
	"GetPolicy":               {serve: getPolicy, parameters: []parameter{policyARN}},
	"GetPolicyVersion":        {serve: getPolicyVersion, parameters: []parameter{policyARN, policyVersionID}},
	"DeletePolicy":            {serve: deletePolicy, parameters: []parameter{policyARN}},
	"CreatePolicyVersion":     {serve: createPolicyVersion, parameters: []parameter{policyARN, policyDocument, setAsDefault}},
	"ListPolicyVersions":      {serve: listPolicyVersions, parameters: []parameter{policyARN}, paged: true},
	"SetDefaultPolicyVersion": {serve: setDefaultPolicyVersion, parameters: []parameter{policyARN, policyVersionID}},
	"DeletePolicyVersion":     {serve: deletePolicyVersion, parameters: []parameter{policyARN, policyVersionID}},

	"CreateUser":      {serve: createUser, parameters: []parameter{userName, newPath, permissionsBoundary}, lists: []string{"Tags"}},
	"GetUser":         {serve: getUser, parameters: []parameter{optionalUser}},
	"PutUserPolicy":   {serve: putUserPolicy, parameters: []parameter{userName, policyName, policyDocument}},
	"ListAccessKeys":  {serve: listAccessKeys, parameters: []parameter{optionalUser}, paged: true},
	"CreateAccessKey": {serve: createAccessKey, parameters: []parameter{optionalUser}},
	"DeleteAccessKey": {serve: deleteAccessKey, parameters: []parameter{optionalUser, accessKeyID}},

	"SimulatePrincipalPolicy": {serve: simulatePrincipalPolicy, parameters: []parameter{policySourceARN}, lists: []string{"ActionNames", "ResourceArns", "PolicyInputList", "PermissionsBoundaryPolicyInputList", "ContextEntries"}, paged: true},

	"CreateOpenIDConnectProvider":             {serve: createOIDCProvider, parameters: []parameter{providerURL}, lists: []string{"ClientIDList", "ThumbprintList", "Tags"}},
	"GetOpenIDConnectProvider":                {serve: getOIDCProvider, parameters: []parameter{providerARN}},
	"AddClientIDToOpenIDConnectProvider":      {serve: addClientID, parameters: []parameter{providerARN, clientID}},
	"RemoveClientIDFromOpenIDConnectProvider": {serve: removeClientID, parameters: []parameter{providerARN, clientID}},
	"UpdateOpenIDConnectProviderThumbprint":   {serve: updateThumbprint, parameters: []parameter{providerARN}, lists: []string{"ThumbprintList"}},
	"DeleteOpenIDConnectProvider":             {serve: deleteOIDCProvider, parameters: []parameter{providerARN}},
	"ListOpenIDConnectProviders":              {serve: listOIDCProviders},
	"EnableOutboundWebIdentityFederation":     {serve: enableOutboundFederation},
	"DisableOutboundWebIdentityFederation":    {serve: disableOutboundFederation},
	"GetOutboundWebIdentityFederationInfo":    {serve: getOutboundFederationInfo},
}

// Parameters that several actions have.
var (
	roleName   = parameter{name: "RoleName", label: "roleName", required: true, min: 1, max: maxName, pattern: iamName, custom: nameRule}
	policyName = parameter{name: "PolicyName", label: "policyName", required: true, min: 1, max: maxPolicyName, pattern: iamName, custom: nameRule}
	newPath    = parameter{name: "Path", label: "path", min: 1, max: 512, pattern: iamPath, custom: pathRule}
	pathPrefix = parameter{name: "PathPrefix", label: "pathPrefix", min: 1, max: 512, pattern: lazyregexp.New(`^/[!-~]*$`), custom: pathRule}
	marker     = parameter{name: "Marker", label: "marker", min: 1, max: 320}
)

const (
	nameRule = "The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-"
	pathRule = "The specified value for %s is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters."
)

// serveIAM handles a request to IAM whose signature is valid.
func serveIAM(c *Cloud, req *request) (*response, *refusal) {
	name := req.param("Action")
	if refused := req.checkQuery(iamVersion); refused != nil {
		return nil, refused
	}
	if req.caller == nil {
		return nil, unsigned()
	}
	if refused := limitedSession(req); refused != nil {
		return nil, refused
	}
	action, served := iamActions[name]
	if !served {
		return nil, notModelled("iam:%s", name)
	}
	if refused := action.check(req); refused != nil {
		return nil, refused
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	result, refused := action.serve(c, req)
	if refused != nil {
		return nil, refused
	}
	return queryResponse(req, iamNamespace, result), nil
}

// check refuses parameters that are out of bounds and those that the action does
// not have here.
func (a iamAction) check(req *request) *refusal {
	parameters := a.parameters
	if a.paged {
		parameters = append(slices.Clone(parameters), marker)
	}
	for name := range req.form {
		list, _, _ := strings.Cut(name, ".member.")
		known := name == "Action" || name == "Version" || strings.HasPrefix(name, "X-Amz-") || a.paged && name == "MaxItems" ||
			slices.Contains(a.lists, list) || slices.ContainsFunc(parameters, func(p parameter) bool { return p.name == name })
		if !known {
			return notModelled("the parameter %s of %s", name, req.param("Action"))
		}
	}
	var faults []string
	for _, p := range parameters {
		value := req.param(p.name)
		if p.custom != "" && value != "" && !p.pattern().MatchString(value) {
			return invalid(p.custom, p.label)
		}
		faults = p.check(req, faults)
	}
	if slices.Contains(a.lists, "Tags") {
		faults = checkTags(req, faults)
	}
	if a.paged {
		_, faults = req.number("MaxItems", "maxItems", 1, maxPage, faults)
	}
	return validationError(faults)
}

// permit checks that the caller's policies allow the request's action on a
// resource of its own account; shown is the resource in the sentence of a refusal.
// The cloud's mutex must be held.
func permit(r *request, shown, resource string, keys conditionKeys) *refusal {
	return permitAction(r, "iam:"+r.param("Action"), shown, resource, keys)
}

// permitTagging checks that the caller may set tags, a permission that creating
// something with tags needs too.
func permitTagging(r *request, action, resource string, tags []tag) *refusal {
	if len(tags) == 0 {
		return nil
	}
	return permitAction(r, action, resource, resource, requestTagKeys(tags))
}

func permitAction(r *request, action, shown, resource string, keys conditionKeys) *refusal {
	a := access{p: r.caller, owner: r.caller.account, action: action, resource: resource, keys: keys}
	allowed, why := a.decide()
	if allowed {
		r.call.allow(why)
		return nil
	}
	return accessDenied(a.message(shown), why)
}

func accessDenied(message, why string) *refusal {
	return &refusal{status: http.StatusForbidden, code: "AccessDenied", message: message, why: why}
}

// pathOf is the path that a new role, user or policy is to have.
func pathOf(req *request) string {
	if path := req.param("Path"); path != "" {
		return path
	}
	return "/"
}

// tagsOf reads Tags.
func tagsOf(req *request) ([]tag, *refusal) {
	var tags []tag
	for _, m := range req.list("Tags") {
		t := tag{req.param(m + ".Key"), req.param(m + ".Value")}
		if strings.HasPrefix(strings.ToLower(t.key), "aws:") {
			return nil, invalidInput("Tag keys that start with 'aws:' are reserved for AWS and cannot be set: %s", t.key)
		}
		if slices.ContainsFunc(tags, func(o tag) bool { return strings.EqualFold(o.key, t.key) }) {
			return nil, invalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		tags = append(tags, t)
	}
	return tags, nil
}

// requestTagKeys are the condition keys of the tags that a request sets.
func requestTagKeys(tags []tag) conditionKeys {
	keys := conditionKeys{}
	for _, t := range tags {
		keys["aws:RequestTag/"+t.key] = []string{t.value}
		keys["aws:TagKeys"] = append(keys["aws:TagKeys"], t.key)
	}
	return keys
}

func writeTags(b *strings.Builder, tags []tag) {
	if len(tags) == 0 {
		return
	}
	b.WriteString("<Tags>")
	for _, t := range tags {
		t.write(b)
	}
	b.WriteString("</Tags>")
}

func (t tag) write(b *strings.Builder) {
	b.WriteString("<member>")
	element(b, "Key", t.key)
	element(b, "Value", t.value)
	b.WriteString("</member>")
}

// encodePolicy is a policy as IAM returns it, URL-encoded (RFC 3986).
func encodePolicy(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

// The items of a page of a list (IAM API reference, MaxItems).
const (
	defaultPage = 100
	maxPage     = 1000
)

// writePage writes the page of a list that the request asks for. name is the
// list's element; key identifies an item and write adds the content of one. A
// marker names the last item of the page before, so that a page begins where it
// ended even if items came or went.
func writePage[T any](req *request, name string, items []T, key func(T) string, write func(*strings.Builder, T)) (string, *refusal) {
	first := 0
	if given := req.param("Marker"); given != "" {
		last, err := base64.RawURLEncoding.DecodeString(given)
		first = slices.IndexFunc(items, func(item T) bool { return key(item) == string(last) }) + 1
		if err != nil || first == 0 {
			return "", invalid("Invalid Marker.")
		}
	}
	size, _ := strconv.Atoi(req.param("MaxItems")) // check has refused what is no number
	if size == 0 {
		size = defaultPage
	}
	page := items[first:]
	truncated := len(page) > size
	if truncated {
		page = page[:size]
	}
	var b strings.Builder
	b.WriteString("<" + name + ">")
	for _, item := range page {
		b.WriteString("<member>")
		write(&b, item)
		b.WriteString("</member>")
	}
	b.WriteString("</" + name + ">")
	element(&b, "IsTruncated", strconv.FormatBool(truncated))
	if truncated {
		element(&b, "Marker", base64.RawURLEncoding.EncodeToString([]byte(key(page[len(page)-1]))))
	}
	return b.String(), nil
}

// The errors of IAM. why is the reason that AWS does not disclose.

func malformed(message, why string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "MalformedPolicyDocument", message: message, why: why}
}

func limitExceeded(message, why string) *refusal {
	return &refusal{status: http.StatusConflict, code: "LimitExceeded", message: message, why: why}
}

func alreadyExists(message, why string) *refusal {
	return &refusal{status: http.StatusConflict, code: "EntityAlreadyExists", message: message, why: why}
}

func noSuchEntity(format string, args ...any) *refusal {
	return &refusal{status: http.StatusNotFound, code: "NoSuchEntity", message: fmt.Sprintf(format, args...)}
}

func deleteConflict(message string) *refusal {
	return &refusal{status: http.StatusConflict, code: "DeleteConflict", message: message}
}

func invalidInput(format string, args ...any) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "InvalidInput", message: fmt.Sprintf(format, args...)}
}

func notModelled(format string, args ...any) *refusal {
	return &refusal{status: http.StatusNotImplemented, code: "NotImplemented", message: "awstest does not model " + fmt.Sprintf(format, args...)}
}
