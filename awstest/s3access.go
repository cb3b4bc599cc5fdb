package awstest

import (
	"fmt"
	"net/http"
	"strings"
)

// authorize answers nil when the caller may do action, and AccessDenied else.
// The resource is the object for actions on objects, else the bucket.
func (s *s3Request) authorize(action string) *response {
	resource := "arn:aws:s3:::" + s.of.name
	if strings.HasPrefix(action, "s3:GetObject") || action == "s3:PutObject" {
		resource += "/" + s.key
	}
	question := access{
		p: s.caller, owner: s.of.owner, action: action, resource: resource,
		policy: s.settings.policy, policyResource: resource, pins: s.settings.pins, keys: s.conditionKeys(),
	}
	allowed, why := question.decide()
	if !allowed {
		s.call.Explain = why
		return s.refuse(403, "AccessDenied", s.deniedMessage(action, resource, why))
	}
	if s.settings.requesterPays && !s.payerKnown() {
		s.call.Explain = "requester pays: another account must send x-amz-request-payer: requester"
		return s.refuse(403, "AccessDenied", "Access Denied")
	}
	return nil
}

// deniedMessage says what S3 says: to callers of the bucket's own account it
// names the kind of policy, to all others nothing (Amazon S3 User Guide,
// "Troubleshoot access denied errors").
func (s *s3Request) deniedMessage(action, resource, why string) string {
	if s.caller == nil || s.caller.account != s.of.owner {
		return "Access Denied"
	}
	kind := "identity-based"
	switch {
	case strings.HasPrefix(why, "resource policy"):
		kind = "resource-based"
	case strings.HasPrefix(why, "session policy"):
		kind = "session"
	}
	reason := fmt.Sprintf("because no %s policy allows the %s action", kind, action)
	if strings.Contains(why, " matched: ") {
		reason = "with an explicit deny in a " + kind + " policy"
		if kind == "identity-based" {
			reason = "with an explicit deny in an identity-based policy"
		}
	}
	return fmt.Sprintf("User: %s is not authorized to perform: %s on resource: \"%s\" %s", s.caller.arn, action, resource, reason)
}

// payerKnown says whether someone has agreed to pay for the request.
func (s *s3Request) payerKnown() bool {
	return s.caller != nil && (s.caller.account == s.of.owner || s.charged())
}

// charged says whether the requester offered to pay and has to.
func (s *s3Request) charged() bool {
	return s.option("X-Amz-Request-Payer") == "requester" && s.settings.requesterPays && s.caller != nil && s.caller.account != s.of.owner
}

// conditionKeys are S3's condition keys of the request. A parameter that was
// not sent has no key, as a policy's Null condition can tell.
func (s *s3Request) conditionKeys() map[string][]string {
	// A signed caller brings these along; an anonymous one has them too.
	keys := s.globalKeys()
	keys["s3:ResourceAccount"], keys["aws:ResourceAccount"] = []string{s.of.owner.id}, []string{s.of.owner.id}
	for name, parameter := range map[string]string{
		"s3:prefix": "prefix", "s3:delimiter": "delimiter", "s3:max-keys": "max-keys", "s3:VersionId": "versionId",
	} {
		if s.query.Has(parameter) {
			keys[name] = []string{s.query.Get(parameter)}
		}
	}
	for name, header := range map[string]string{
		"s3:x-amz-storage-class": "X-Amz-Storage-Class", "s3:x-amz-acl": "X-Amz-Acl", "s3:if-match": "If-Match", "s3:if-none-match": "If-None-Match",
		"s3:x-amz-server-side-encryption": "X-Amz-Server-Side-Encryption", "s3:x-amz-content-sha256": "X-Amz-Content-Sha256",
		"aws:UserAgent": "User-Agent", "aws:Referer": "Referer",
	} {
		if values := s.Header.Values(header); len(values) > 0 {
			keys[name] = values
		}
	}
	return keys
}

// s3Headers and s3Query are what Calls tells of a request.
var s3Headers = map[string]string{
	"Range": "Range", "If-Match": "IfMatch", "If-None-Match": "IfNoneMatch",
	"If-Modified-Since": "IfModifiedSince", "If-Unmodified-Since": "IfUnmodifiedSince",
	"X-Amz-Checksum-Mode": "ChecksumMode", "X-Amz-Expected-Bucket-Owner": "ExpectedBucketOwner",
	"X-Amz-Request-Payer": "RequestPayer", "X-Amz-Storage-Class": "StorageClass",
	"X-Amz-Sdk-Checksum-Algorithm": "ChecksumAlgorithm",
}

var s3Query = map[string]string{
	"versionId": "VersionId", "partNumber": "PartNumber", "prefix": "Prefix", "delimiter": "Delimiter",
	"max-keys": "MaxKeys", "continuation-token": "ContinuationToken", "start-after": "StartAfter",
	"encoding-type": "EncodingType", "fetch-owner": "FetchOwner",
	"response-cache-control": "ResponseCacheControl", "response-content-disposition": "ResponseContentDisposition",
	"response-content-encoding": "ResponseContentEncoding", "response-content-language": "ResponseContentLanguage",
	"response-content-type": "ResponseContentType", "response-expires": "ResponseExpires",
}

// recordS3Params notes the request's parameters for Calls.
func recordS3Params(req *request) {
	for name, values := range req.Header {
		if param, ok := s3Headers[name]; ok {
			req.call.Params[param] = strings.Join(values, ",")
		}
	}
	for name, values := range req.URL.Query() {
		param, ok := s3Query[name]
		if canonical := http.CanonicalHeaderKey(name); !ok && strings.HasPrefix(canonical, "X-Amz-") {
			param, ok = s3Headers[canonical] // of a presigned URL
		}
		if ok {
			req.call.Params[param] = strings.Join(values, ",")
		}
	}
}
