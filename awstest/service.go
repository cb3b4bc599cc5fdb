package awstest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/crossrole/crossrole/internal/lazyregexp"
	"github.com/crossrole/crossrole/trust"
)

// Other services by hook: the cloud routes, authenticates and authorizes their
// requests, a Go function responds.

// ServiceHandler plays a service for [Cloud.Handle]. Both functions are called
// without any lock of the cloud, in the goroutine of the request, and may be
// called by many requests at the same time. One that panics makes the response a
// 500 InternalFailure, with the panic's text in [Call].Explain.
//
// An error of either is the response: a *[ServiceError] as it says, any other a 500
// InternalFailure with the error's text in [Call].Explain.
type ServiceHandler struct {
	// Permissions returns what the caller of the request needs, all of it. A
	// request that needs nothing is refused as one of an operation that is not
	// played.
	Permissions func(*ServiceRequest) ([]Permission, error)

	// Serve responds to a request that is allowed: by a value that is marshalled
	// to JSON, or for the query protocol (a form with an Action) by a
	// map[string]string of elements of the result. A []byte is sent unchanged.
	// Nil is an empty response.
	Serve func(*ServiceRequest) (any, error)
}

// Permission is an action on a resource.
type Permission struct {
	Action string // "sqs:SendMessage"

	// Resource is an ARN. The account that it names owns the resource, and the
	// cloud must have it. The caller's account owns "*" and what names no account.
	Resource string

	// Policy is the resource's own policy; empty: it has none. As in AWS, the roles
	// and users that it names must exist. One that is deleted and created again is
	// not the one that is named: their ids are read when the resource first has
	// this policy in a request.
	Policy string

	// Keys are condition keys of the service, such as "kms:ViaService". Those of
	// aws: are the cloud's own.
	Keys map[string][]string
}

// ServiceRequest is a request that was signed by a caller whom the cloud knows.
type ServiceRequest struct {
	// Operation is what X-Amz-Target names after the dot, or the form's Action, or
	// the method and the path ("GET /functions").
	Operation string

	HTTP          *http.Request // method, URL and headers; its Body is Body
	Body          []byte
	Region        string // that the request was signed for
	CallerARN     string // of a user or a session
	CallerAccount string // its id

	form url.Values // nil: not the query protocol
}

// Param returns a parameter by its name in the API: of the form, or of the top
// level of the JSON document. A value other than a string is returned as JSON. It
// is empty if there is none.
func (r *ServiceRequest) Param(name string) string {
	if r.form != nil {
		return r.form.Get(name)
	}
	var document map[string]json.RawMessage
	if json.Unmarshal(r.Body, &document) != nil {
		return ""
	}
	var text string
	if json.Unmarshal(document[name], &text) == nil {
		return text
	}
	return string(document[name])
}

// ServiceError is an error response of a service. Status is 400 if it is zero.
type ServiceError struct {
	Status        int
	Code, Message string
}

func (e *ServiceError) Error() string { return e.Code + ": " + e.Message }

// handlerName is how services sign.
var handlerName = lazyregexp.New(`^[a-z][a-z0-9-]*$`)

// checkHandler panics on what Cloud.Handle does not take.
func checkHandler(service string, h ServiceHandler) {
	switch {
	case !handlerName().MatchString(service):
		panic(fmt.Sprintf("awstest: Handle(%q): a service is named as requests to it are signed, such as \"sqs\" or \"secretsmanager\"", service))
	case slices.Contains([]string{serviceIAM, serviceSTS, serviceS3}, service):
		panic(fmt.Sprintf("awstest: Handle(%q): the cloud plays this service itself; use its accounts, roles and buckets", service))
	case h.Permissions == nil || h.Serve == nil:
		panic(fmt.Sprintf("awstest: Handle(%q): a handler has both functions, Permissions and Serve", service))
	}
}

// handled is what the cloud knows of the services that it was given handlers for.
type handled struct {
	handlers map[string]ServiceHandler
	policies map[string]pinnedPolicy // by the service's name and the resource's
}

// pinnedPolicy is a resource policy as it was given, and the ids that it meant.
type pinnedPolicy struct {
	document string
	policy   *trust.Policy
	pins     pins
}

var awsHost = lazyregexp.New(`^([a-z0-9-]+?)(?:-fips)?\.(?:.+\.)?([a-z]{2,4}(?:-[a-z]+)+-\d+)\.(?:amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|api\.aws)$`)

// routeHandled routes a request to a service that has a handler, by its host or
// by what it is signed for, and reports whether it is for one.
func (h *handled) routeHandled(req *request, anyHost bool) bool {
	host := hostName(req.Host)
	if len(h.handlers) == 0 || stsHost().MatchString(host) || s3Host().MatchString(host) {
		return false
	}
	name := claimedService(req.Request)
	m := awsHost().FindStringSubmatch(host)
	switch {
	case m != nil:
		if _, ok := h.handlers[m[1]]; ok {
			name = m[1]
		} else if !strings.Contains(host, "."+name+".") { // as api.ecr.<region>…
			return false
		}
	case !anyHost:
		return false
	}
	handler, ok := h.handlers[name]
	if !ok {
		return false
	}
	if m != nil {
		req.region = m[2]
	}
	req.service, req.handler = name, &handler
	if isForm(req.Request) || req.URL.Query().Has("Action") {
		encoded := req.URL.RawQuery
		if req.Method == http.MethodPost {
			encoded = string(req.body)
		}
		// What cannot be read has no Action, and no handler plays that.
		req.form, _ = url.ParseQuery(encoded)
	}
	req.call.Operation = operation(req)
	return true
}

// operation names what a request to a handled service asks for.
func operation(req *request) string {
	target := req.Header.Get("X-Amz-Target")
	switch {
	case req.form != nil:
		return req.form.Get("Action")
	case target != "":
		return target[strings.LastIndexByte(target, '.')+1:]
	}
	return req.Method + " " + req.URL.Path
}

// claimedService returns the service that a request claims to be signed for.
func claimedService(r *http.Request) string {
	credential := r.URL.Query().Get("X-Amz-Credential")
	if h := r.Header.Get("Authorization"); h != "" {
		credential = parseAuthorization(h)["Credential"]
	}
	if scope := strings.Split(credential, "/"); len(scope) == 5 {
		return scope[3]
	}
	return ""
}

// serveHandled authorizes a request to a service that has a handler, and has the
// handler respond.
func serveHandled(c *Cloud, req *request) (resp *response, refused *refusal) {
	if req.caller == nil {
		return nil, &refusal{status: http.StatusForbidden, code: "MissingAuthenticationToken", message: "Request is missing Authentication Token"}
	}
	defer func() {
		if p := recover(); p != nil {
			resp, refused = nil, failedHandler(req, fmt.Sprintf("panicked: %v", p))
		}
	}()
	r := &ServiceRequest{
		Operation: req.call.Operation, HTTP: req.Request, Body: req.body, Region: req.region,
		CallerARN: req.caller.arn, CallerAccount: req.caller.account.id, form: req.form,
	}
	r.HTTP.Body = io.NopCloser(bytes.NewReader(req.body))
	needs, err := req.handler.Permissions(r)
	if err != nil {
		return nil, refusalOf(req, err)
	}
	if len(needs) == 0 {
		return nil, &refusal{status: http.StatusNotImplemented, code: "NotImplemented", message: fmt.Sprintf("awstest: the handler of %s does not play %s", req.service, r.Operation)}
	}
	for _, need := range needs {
		if refused := authorizeHandled(c, req, need); refused != nil {
			return nil, refused
		}
	}
	result, err := req.handler.Serve(r)
	if err != nil {
		return nil, refusalOf(req, err)
	}
	return handledResponse(req, result)
}

// authorizeHandled returns nil if the caller has the permission.
func authorizeHandled(c *Cloud, req *request, need Permission) *refusal {
	question := access{p: req.caller, owner: req.caller.account, action: need.Action, resource: need.Resource, policyResource: need.Resource, keys: conditionKeys{}}
	service, name, _ := strings.Cut(need.Action, ":")
	fields := strings.SplitN(need.Resource, ":", 6)
	switch {
	case service == "" || name == "" || strings.ContainsAny(need.Action, "*?"):
		return failedHandler(req, fmt.Sprintf("names the action %q; an action is such as \"sqs:SendMessage\"", need.Action))
	case need.Resource != "*" && (len(fields) < 6 || fields[0] != "arn" || strings.ContainsAny(need.Resource, "*?")):
		return failedHandler(req, fmt.Sprintf("names the resource %q; a resource is an ARN without wildcards, or \"*\"", need.Resource))
	}
	if len(fields) == 6 && fields[4] != "" {
		c.mu.Lock()
		question.owner = c.accounts[fields[4]]
		c.mu.Unlock()
		if question.owner == nil {
			return failedHandler(req, fmt.Sprintf("names the resource %q; the cloud has no account %s: make it with Account first", need.Resource, fields[4]))
		}
	}
	for key, values := range need.Keys {
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return failedHandler(req, fmt.Sprintf("sets the condition key %s; those of aws: are the cloud's own", key))
		}
		question.keys[key] = values
	}
	if need.Policy != "" {
		p, err := c.handled.parsedPolicy(c, req.service+" "+need.Resource, need.Policy)
		if err != nil {
			return failedHandler(req, fmt.Sprintf("gives %s a policy that AWS refuses: %v", need.Resource, err))
		}
		question.policy, question.pins = p.policy, p.pins
	}
	req.call.Params["Resource"] = strings.TrimPrefix(req.call.Params["Resource"]+","+need.Resource, ",")
	allowed, why := question.decide()
	if !allowed {
		req.call.Explain = why
		return &refusal{status: http.StatusForbidden, code: "AccessDenied", message: question.message(need.Resource)}
	}
	req.call.allow(why)
	return nil
}

// parsedPolicy returns a resource's policy. The ids of the roles and users that it
// names are read when the resource first has it. It panics when one does not
// exist.
func (h *handled) parsedPolicy(c *Cloud, resource, document string) (pinnedPolicy, error) {
	c.mu.Lock()
	known := h.policies[resource]
	c.mu.Unlock()
	if known.document == document {
		return known, nil
	}
	policy, err := trust.ParsePolicy([]byte(document))
	if err == nil {
		err = policy.ValidateResource()
	}
	if err != nil {
		return pinnedPolicy{}, err
	}
	p := pinnedPolicy{document: document, policy: policy, pins: pinned(c, "policy of "+resource, policy)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.policies == nil {
		h.policies = map[string]pinnedPolicy{}
	}
	h.policies[resource] = p
	return p, nil
}

// refusalOf is the error response to a handler's error.
func refusalOf(req *request, err error) *refusal {
	e, ok := errors.AsType[*ServiceError](err)
	if !ok {
		return failedHandler(req, "failed: "+err.Error())
	}
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	return &refusal{status: status, code: e.Code, message: e.Message}
}

// failedHandler is the error response to a handler's mistake.
func failedHandler(req *request, how string) *refusal {
	req.call.Explain = fmt.Sprintf("awstest: the handler of %s %s", req.service, how)
	return &refusal{status: http.StatusInternalServerError, code: "InternalFailure", message: "The request processing has failed because of an unknown error, exception or failure."}
}

// handledResponse is the response that a handler's result makes.
func handledResponse(req *request, result any) (*response, *refusal) {
	resp := &response{status: http.StatusOK, header: http.Header{"Content-Type": {"text/xml"}}}
	if req.form == nil {
		resp.header.Set("Content-Type", jsonType(req))
	}
	if raw, ok := result.([]byte); ok {
		resp.body = raw
		return resp, nil
	}
	if req.form == nil {
		if result == nil {
			result = struct{}{}
		}
		body, err := json.Marshal(result)
		if err != nil {
			return nil, failedHandler(req, "returned what is no JSON: "+err.Error())
		}
		resp.body = body
		return resp, nil
	}
	elements, ok := result.(map[string]string)
	if !ok && result != nil {
		return nil, failedHandler(req, fmt.Sprintf("returned a %T; the query protocol needs a map[string]string or a []byte", result))
	}
	action := req.call.Operation
	var b strings.Builder
	b.WriteString("<" + action + "Response>\n  <" + action + "Result>")
	for _, name := range slices.Sorted(maps.Keys(elements)) {
		element(&b, name, elements[name])
	}
	b.WriteString("</" + action + "Result>\n  <ResponseMetadata>")
	element(&b, "RequestId", req.id)
	b.WriteString("</ResponseMetadata>\n</" + action + "Response>\n")
	resp.body = []byte(b.String())
	return resp, nil
}

// jsonType is the content type of responses to a request of a JSON protocol.
func jsonType(req *request) string {
	if kind := req.Header.Get("Content-Type"); strings.HasPrefix(kind, "application/x-amz-json-") {
		return kind
	}
	return "application/json"
}

// jsonCodes are what services of the JSON protocols call refusals that those of
// the query protocol call otherwise. The status is 400 where the request has a
// target, and the query protocol's where it has a path.
var jsonCodes = map[string]string{
	"AccessDenied":               "AccessDeniedException",
	"ExpiredToken":               "ExpiredTokenException",
	"IncompleteSignature":        "IncompleteSignatureException",
	"InvalidClientTokenId":       "UnrecognizedClientException",
	"MissingAuthenticationToken": "MissingAuthenticationTokenException",
	"SignatureDoesNotMatch":      "InvalidSignatureException",
}

// renderJSON writes an error document of the JSON protocols. SQS, which spoke the
// query protocol before, keeps that one's codes in a header.
func (r *refusal) renderJSON(req *request) *response {
	resp := &response{status: r.status, header: http.Header{}}
	code := r.code
	if other, ok := jsonCodes[code]; ok {
		code = other
		if req.Header.Get("X-Amz-Target") != "" {
			resp.status = http.StatusBadRequest
		}
	}
	if req.service == "sqs" {
		fault := "Sender"
		if r.status >= 500 {
			fault = "Receiver"
		}
		resp.status = r.status
		resp.header.Set("X-Amzn-Query-Error", r.code+";"+fault)
	} else {
		req.call.Code = code
	}
	resp.header.Set("Content-Type", jsonType(req))
	resp.header.Set("X-Amzn-Errortype", code)
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	// Strings can always be marshalled, and a bytes.Buffer never fails to write.
	_ = encoder.Encode(map[string]string{"__type": code, "message": r.message})
	resp.body = b.Bytes()
	return resp
}
