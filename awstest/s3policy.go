package awstest

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/crossrole/crossrole/trust"
)

// Bucket policies by request. Bucket.SetPolicy is the same for a test's set-up.

// authorizePolicy refuses a caller that may not do action, and one of another
// account even if it may (PutBucketPolicy, "Amazon S3 returns a 405 Method Not
// Allowed error").
func authorizePolicy(s *s3Request, action string) *refusal {
	if refused := s.authorize(action); refused != nil {
		return refused
	}
	if s.caller == nil || s.caller.account != s.of.owner {
		s.call.Explain = "only the bucket owner's account may do this, whatever policies say"
		return refuse(405, "MethodNotAllowed", "The specified method is not allowed against this resource.", "Method", s.Method, "ResourceType", "BUCKETPOLICY")
	}
	return nil
}

// getBucketPolicy handles GetBucketPolicy.
func getBucketPolicy(s *s3Request) (*response, *refusal) {
	if refused := authorizePolicy(s, "s3:GetBucketPolicy"); refused != nil {
		return nil, refused
	}
	s.of.mu.RLock()
	document := s.of.policyJSON
	s.of.mu.RUnlock()
	if document == "" {
		return nil, refuse(404, "NoSuchBucketPolicy", "The bucket policy does not exist", "BucketName", s.of.name)
	}
	resp := &response{status: 200, header: http.Header{}, body: []byte(document)}
	resp.header.Set("Content-Type", "application/json")
	return resp, nil
}

// deleteBucketPolicy handles DeleteBucketPolicy, which succeeds without a policy
// too.
func deleteBucketPolicy(s *s3Request) (*response, *refusal) {
	if refused := authorizePolicy(s, "s3:DeleteBucketPolicy"); refused != nil {
		return nil, refused
	}
	s.of.setPolicy("", nil, nil)
	return &response{status: http.StatusNoContent, header: http.Header{}}, nil
}

// putBucketPolicy handles PutBucketPolicy.
func putBucketPolicy(s *s3Request) (*response, *refusal) {
	if refused := authorizePolicy(s, "s3:PutBucketPolicy"); refused != nil {
		return nil, refused
	}
	if _, refused := verifyChecksum(s); refused != nil {
		return nil, refused
	}
	if refused := verifyMD5(s); refused != nil {
		return nil, refused
	}
	policy, refused := readPolicy(s)
	if refused != nil {
		return nil, refused
	}
	s.cloud.mu.Lock()
	ids, refused := pin(s.cloud, policy)
	s.cloud.mu.Unlock()
	if refused != nil {
		return nil, &refusal{status: 400, code: "MalformedPolicy", message: "Invalid principal in policy", details: refused.details, why: refused.why}
	}
	if isPublic(policy) {
		s.call.Explain = "Block Public Access is on, as for every new bucket; Bucket.SetPolicy sets a public policy all the same"
		return nil, refuse(403, "AccessDenied", "User: "+s.caller.arn+" is not authorized to perform: s3:PutBucketPolicy on resource: \""+s.of.arnPrefix()+s.of.name+"\" because public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access")
	}
	s.of.setPolicy(string(s.body), policy, ids)
	return &response{status: http.StatusNoContent, header: http.Header{}}, nil
}

// readPolicy parses and checks the policy that a request brings.
func readPolicy(s *s3Request) (*trust.Policy, *refusal) {
	document := s.body
	if len(document) > trust.MaxBucketPolicySize {
		return nil, refuse(400, "PolicyTooLarge", "The policy document exceeds the maximum allowed size", "MaxSizeAllowed", itoa(trust.MaxBucketPolicySize))
	}
	if len(document) == 0 {
		return nil, refuse(400, "MissingRequestBodyError", "Request Body is empty")
	}
	policy, err := trust.ParsePolicy(document)
	if err != nil || document[0] != '{' {
		if err != nil {
			s.call.Explain = err.Error()
		}
		return nil, refuse(400, "MalformedPolicy", "Policies must be valid JSON and the first byte must be '{'")
	}
	message := ""
	switch foreign := s.of.checkPolicy(policy); {
	case errors.Is(foreign, errPolicyResource):
		message, err = "Policy has invalid resource", foreign
	case errors.Is(foreign, errPolicyAction):
		message, err = "Policy has invalid action", foreign
	default:
		err = policy.ValidateResource()
		message = "This policy contains invalid Json"
	}
	if err != nil {
		s.call.Explain = err.Error()
		return nil, refuse(400, "MalformedPolicy", message)
	}
	return policy, nil
}

// isPublic reports whether a policy allows something to everyone, as Block Public
// Access sees it: a condition that names fixed accounts, networks or principals
// makes it private (Amazon S3 User Guide, "The meaning of public").
func isPublic(policy *trust.Policy) bool {
	for _, s := range policy.Statements {
		everyone := s.NotPrincipal != nil || len(s.Principal["*"]) > 0 || slices.Contains(s.Principal["AWS"], "*")
		if s.Effect == "Allow" && everyone && !isNarrowed(s.Condition) {
			return true
		}
	}
	return false
}

// narrowingKeys are the condition keys whose fixed values make a policy private.
var narrowingKeys = []string{
	"aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths", "aws:sourceaccount", "aws:sourcearn",
	"aws:sourceip", "aws:sourceowner", "aws:sourcevpc", "aws:sourcevpce", "aws:userid",
}

// isNarrowed reports whether one of the conditions has fixed values of such a key.
func isNarrowed(conditions trust.Conditions) bool {
	for operator, keys := range conditions {
		if !slices.Contains(narrowingOperators, operator) {
			continue
		}
		for key, values := range keys {
			open := func(v string) bool { return strings.ContainsAny(v, "*?$") || strings.HasSuffix(v, "/0") }
			if slices.Contains(narrowingKeys, strings.ToLower(key)) && !slices.ContainsFunc(values, open) {
				return true
			}
		}
	}
	return false
}

// narrowingOperators are those that do not hold without the key.
var narrowingOperators = []string{
	"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike", "IpAddress", "ForAnyValue:StringEquals", "ForAnyValue:StringLike",
}
