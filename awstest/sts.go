package awstest

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The query protocol of STS and IAM: a request's parameters, its action, and the
// XML of its response; and STS's actions.

const (
	stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"
	stsVersion   = "2011-06-15"
	maxForm      = 1 << 20
)

// parseForm reads the parameters of a request to IAM or STS, of its body or its query,
// into form and the call's Params.
func (r *request) parseForm() *refusal {
	encoded := r.URL.RawQuery
	if r.Method == http.MethodPost {
		if len(r.body) > maxForm {
			return &refusal{status: http.StatusRequestEntityTooLarge, code: "RequestEntityTooLarge", message: "Request Entity Too Large"}
		}
		encoded = string(r.body)
	}
	form, err := url.ParseQuery(encoded)
	if err != nil {
		return &refusal{status: http.StatusBadRequest, code: "MalformedQueryString", message: "The query string contains a syntax error"}
	}
	r.form = form
	r.call.Operation = r.param("Action")
	for name := range form {
		switch name {
		case "Action", "Version", "WebIdentityToken", "SAMLAssertion", "TokenCode":
		default:
			if !strings.Contains(name, ".member.") && !strings.HasPrefix(name, "X-Amz-") {
				r.call.Params[name] = r.param(name)
			}
		}
	}
	if tags := r.list("Tags"); len(tags) > 0 {
		pairs := make([]string, 0, len(tags))
		for _, m := range tags {
			pairs = append(pairs, r.param(m+".Key")+"="+r.param(m+".Value"))
		}
		r.call.Params["Tags"] = strings.Join(pairs, ",")
	}
	for name := range form {
		if list, number, ok := strings.Cut(name, ".member."); ok && !strings.Contains(number, ".") {
			r.call.Params[list] = strings.Join(r.params(r.list(list), ""), ",")
		}
	}
	if arns := r.list("PolicyArns"); len(arns) > 0 {
		r.call.Params["PolicyArns"] = strings.Join(r.params(arns, ".arn"), ",")
	}
	return nil
}

// param is a parameter's value; empty if it is not there.
func (r *request) param(name string) string { return r.form.Get(name) }

func (r *request) params(members []string, suffix string) []string {
	values := make([]string, 0, len(members))
	for _, m := range members {
		values = append(values, r.param(m+suffix))
	}
	return values
}

// list names the members of a list parameter, in order: "Tags.member.1", ….
func (r *request) list(name string) []string {
	numbers := map[int]bool{}
	for key := range r.form {
		rest, ok := strings.CutPrefix(key, name+".member.")
		if !ok {
			continue
		}
		digits, _, _ := strings.Cut(rest, ".")
		if n, err := strconv.Atoi(digits); err == nil && n > 0 && strconv.Itoa(n) == digits {
			numbers[n] = true
		}
	}
	var members []string
	for _, n := range slices.Sorted(maps.Keys(numbers)) {
		members = append(members, name+".member."+strconv.Itoa(n))
	}
	return members
}

// stsActions are the actions of STS that the cloud serves.
var stsActions = map[string]func(*Cloud, *request) (*response, *refusal){
	"AssumeRole":                 assumeRole,
	"AssumeRoleWithWebIdentity":  assumeRoleWithWebIdentity,
	"GetCallerIdentity":          getCallerIdentity,
	"GetSessionToken":            getSessionToken,
	"GetAccessKeyInfo":           getAccessKeyInfo,
	"DecodeAuthorizationMessage": decodeAuthorizationMessage,
	"GetWebIdentityToken":        getWebIdentityToken,
}

// serveSTS handles an STS request whose signature, if any, is valid.
func serveSTS(c *Cloud, req *request) (*response, *refusal) {
	action := req.param("Action")
	if refused := req.checkQuery(stsVersion); refused != nil {
		return nil, refused
	}
	serve := stsActions[action]
	if serve == nil {
		return nil, noSuchAction(req)
	}
	if req.caller == nil && action != "AssumeRoleWithWebIdentity" {
		return nil, unsigned()
	}
	for _, name := range []string{"SerialNumber", "TokenCode", "ProviderId", "ProvidedContexts.member.1.ProviderArn", "ProvidedContexts.member.1.ContextAssertion"} {
		if req.form.Has(name) {
			return nil, &refusal{status: http.StatusNotImplemented, code: "NotImplemented", message: "awstest does not model the parameter " + name}
		}
	}
	if refused := limitedSession(req); refused != nil {
		return nil, refused
	}
	return serve(c, req)
}

// checkQuery refuses what is no request of the query protocol or is for another
// version of the API.
func (r *request) checkQuery(version string) *refusal {
	switch action := r.param("Action"); {
	case r.Method != http.MethodPost && r.Method != http.MethodGet:
		return &refusal{status: http.StatusMethodNotAllowed, code: "UnsupportedHttpVerb", message: "The HTTP verb " + r.Method + " is not supported"}
	case action == "":
		return &refusal{status: http.StatusBadRequest, code: "MissingAction", message: "The request is missing an action or a required parameter."}
	case r.param("Version") != version:
		return noSuchAction(r)
	}
	return nil
}

func unsigned() *refusal {
	return &refusal{status: http.StatusForbidden, code: "MissingAuthenticationToken", message: "Request is missing Authentication Token"}
}

func noSuchAction(r *request) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "InvalidAction", message: "Could not find operation " + r.param("Action") + " for version " + orNull(r.param("Version"))}
}

func orNull(s string) string {
	if s == "" {
		return "null"
	}
	return s
}

// stsResponse returns the response of an action of STS.
func stsResponse(req *request, result string) *response {
	return queryResponse(req, stsNamespace, result)
}

// queryResponse returns the response of an action; result is the content of its
// result element, which an action without results does not have, but for UpdateRole.
func queryResponse(req *request, namespace, result string) *response {
	action := req.param("Action")
	var b strings.Builder
	b.WriteString("<" + action + `Response xmlns="` + namespace + "\">\n  ")
	if result != "" || action == "UpdateRole" {
		b.WriteString("<" + action + "Result>" + result + "</" + action + "Result>\n  ")
	}
	b.WriteString("<ResponseMetadata>")
	element(&b, "RequestId", req.id)
	b.WriteString("</ResponseMetadata>\n</" + action + "Response>\n")
	return &response{status: http.StatusOK, header: http.Header{"Content-Type": {"text/xml"}}, body: []byte(b.String())}
}

// getCallerIdentity returns the signer's identity; no policy can deny it.
func getCallerIdentity(_ *Cloud, req *request) (*response, *refusal) {
	var b strings.Builder
	element(&b, "Arn", req.caller.arn)
	element(&b, "UserId", req.caller.userID)
	element(&b, "Account", req.caller.account.id)
	return stsResponse(req, b.String()), nil
}

// defaultRegions are the regions of partition aws that an account has from the
// beginning. Into the others it must opt (IAM User Guide, "AWS STS Regions and
// endpoints").
var defaultRegions = []string{
	"ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
	"ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1",
	"us-east-1", "us-east-2", "us-west-1", "us-west-2",
}

// optIn reports whether accounts must opt in to a region.
func (p partition) optIn(region string) bool {
	return p.name == "aws" && !slices.Contains(defaultRegions, region)
}

// checkSTSRegion refuses a request for a session of a role of this account where STS
// is disabled: for the account in any region, for the caller's account in one of
// those that accounts opt in to. The cloud's mutex must be held.
func checkSTSRegion(c *Cloud, req *request, account string) *refusal {
	accounts := []*Account{c.accounts[account]}
	if req.caller != nil && c.partition.optIn(req.region) {
		accounts = append(accounts, req.caller.account)
	}
	for _, a := range accounts {
		if a != nil && a.stsDisabled[req.region] {
			return &refusal{
				status: http.StatusForbidden, code: "RegionDisabledException",
				message: fmt.Sprintf("STS is not activated in this region for account:%s. Your account administrator can activate STS in this region using the IAM Console.", a.id),
				why:     fmt.Sprintf("STS in %s is disabled for account %s; use another region's endpoint, or enable it there", req.region, a.id),
			}
		}
	}
	return nil
}
