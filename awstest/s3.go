package awstest

import (
	"bytes"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// How S3 works
//
// route.go names the operation; answerS3 refuses what every operation refuses (an
// unknown feature, a bucket that does not exist or is elsewhere) and calls the
// function of the operation, which is in the file of its subject:
//
//   - s3get.go: GetObject, HeadObject; s3put.go: PutObject, and what all writes
//     share; s3copy.go; s3delete.go; s3attributes.go
//   - s3multipart.go: uploads in parts; s3uploads.go: listings of them
//   - s3list.go: listings of objects; s3versions.go: versioning, listings of versions
//   - s3bucket.go: buckets; s3policy.go: their policies
//   - s3checksum.go, s3encrypt.go (with kms.go), s3xml.go: what several of them need
//
// An operation first asks authorize whether the caller may do its action, and only
// then looks at what is stored. Where S3 does a second thing on the caller's behalf,
// such as the read of a copy's source, inner makes a request of it, which is
// authorized like one of the caller's. Conditions of a write are checked under the
// same lock under which it is stored. Object data never changes, and is copied only
// where CompleteMultipartUpload joins parts: versions, parts and copies share the
// bytes that came with the request.

// s3Request is a request to a bucket that exists, in the region where it is.
type s3Request struct {
	*request
	cloud    *Cloud
	of       *Bucket
	settings bucketSettings
	query    url.Values
}

// s3Operations are the operations on a bucket that exists.
var s3Operations = map[string]func(*s3Request) (*response, *refusal){
	"AbortMultipartUpload":    abortUpload,
	"CompleteMultipartUpload": completeUpload,
	"CopyObject":              copyObject,
	"CreateMultipartUpload":   createUpload,
	"DeleteBucket":            deleteBucket,
	"DeleteBucketPolicy":      deleteBucketPolicy,
	"DeleteObject":            deleteObject,
	"DeleteObjects":           deleteObjects,
	"GetBucketAcl":            getBucketACL,
	"GetBucketLocation":       (*s3Request).getBucketLocation,
	"GetBucketPolicy":         getBucketPolicy,
	"GetBucketVersioning":     getBucketVersioning,
	"GetObject":               (*s3Request).getObject,
	"GetObjectAttributes":     getAttributes,
	"GetObjectTagging":        getTagging,
	"HeadBucket":              (*s3Request).headBucket,
	"HeadObject":              (*s3Request).getObject,
	"ListMultipartUploads":    listUploads,
	"ListObjectVersions":      listVersions,
	"ListObjects":             listObjectsV1,
	"ListObjectsV2":           (*s3Request).listObjects,
	"ListParts":               listParts,
	"PutBucketAcl":            putBucketACL,
	"PutBucketPolicy":         putBucketPolicy,
	"PutBucketVersioning":     putBucketVersioning,
	"PutObject":               (*s3Request).putObject,
	"PutObjectAcl":            putObjectACL,
	"UploadPart":              uploadPart,
	"UploadPartCopy":          uploadPartCopy,
}

// s3OperationNames returns the operations of S3 that are modelled.
func s3OperationNames() []string {
	return slices.Sorted(maps.Keys(s3Operations))
}

// serveS3 handles a request to S3.
func serveS3(c *Cloud, req *request) (*response, *refusal) {
	resp, refused := answerS3(c, req)
	if f := req.fault; refused == nil && f != nil && f.Edit != nil && req.Method == http.MethodGet && resp.status < 300 {
		resp.body = f.Edit(bytes.Clone(resp.body))
	}
	return resp, refused
}

func answerS3(c *Cloud, req *request) (*response, *refusal) {
	operation := s3Operations[req.call.Operation]
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil || !utf8.ValidString(req.key) {
		return nil, refuse(400, "InvalidURI", "Couldn't parse the specified URI.", "URI", req.URL.EscapedPath())
	}
	if name := unknownFeature(req, query); name != "" {
		return nil, refuse(501, "NotImplemented", "A header you provided implies functionality that is not implemented", "Header", name)
	}
	if resource := noSuchMethod(req); resource != "" {
		return nil, refuse(405, "MethodNotAllowed", "The specified method is not allowed against this resource.", "Method", req.Method, "ResourceType", resource)
	}
	if method := req.Header.Get("X-Amz-Server-Side-Encryption"); method != "" && !slices.Contains(encryptingOperations, req.call.Operation) {
		return nil, badArgument("x-amz-server-side-encryption header is not supported for this operation.", "x-amz-server-side-encryption", method)
	}
	if serve := s3ServiceOperations[req.call.Operation]; serve != nil {
		return serve(&s3Request{request: req, cloud: c})
	}
	if operation == nil {
		return nil, refuse(501, "NotImplemented", "awstest does not implement "+req.call.Operation)
	}
	if !bucketName().MatchString(req.bucket) {
		return nil, refuse(400, "InvalidBucketName", "The specified bucket is not valid.", "BucketName", req.bucket)
	}
	b := c.buckets.get(req.bucket)
	if b == nil {
		return nil, refuse(404, "NoSuchBucket", "The specified bucket does not exist", "BucketName", req.bucket)
	}
	s := &s3Request{request: req, cloud: c, of: b, settings: b.settings(), query: query}
	if req.region != "" && req.region != s.settings.region {
		return nil, s.elsewhere()
	}
	if len(req.key) > maxKeyLength {
		return nil, keyTooLong(req.key)
	}
	if owner := s.option("X-Amz-Expected-Bucket-Owner"); owner != "" && owner != b.owner.id {
		if !accountID().MatchString(owner) {
			return nil, refuse(400, "InvalidBucketOwnerAWSAccountID", "The value of the expected bucket owner parameter must be an AWS account ID", "BucketOwner", owner)
		}
		return nil, refuse(403, "AccessDenied", "Access Denied")
	}
	return operation(s)
}

// noSuchMethod is the kind of resource, if S3 has no such method for it; empty if
// S3 has one, be it of an operation that is not modelled. Only requests that
// s3Operation has no name for are named by method and resource.
func noSuchMethod(req *request) string {
	method, resource, _ := strings.Cut(req.call.Operation, " ")
	forBrowsers := method == http.MethodOptions || method == http.MethodPost && resource == "Bucket"
	if forBrowsers || !slices.Contains([]string{"Service", "Bucket", "Object"}, resource) {
		return ""
	}
	return strings.ToUpper(resource)
}

// unknownFeature names a header that asks for what awstest does not do. S3 has
// these features; to ignore the header would be to do something else than asked.
func unknownFeature(req *request, query url.Values) string {
	for name := range query {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-amz-copy-source") || hasAnyPrefix(lower, unknownFeatures) || hasAnyPrefix(lower, encryptionFeatures) {
			return lower
		}
	}
	for name := range req.Header {
		lower := strings.ToLower(name)
		switch {
		case strings.HasPrefix(lower, strings.ToLower(customerKeyHeader)) && slices.Contains(customerKeyOperations, req.call.Operation):
		case lower == strings.ToLower(kmsKeyHeader) && slices.Contains(encryptingOperations, req.call.Operation):
		case lower == "x-amz-server-side-encryption-bucket-key-enabled" && req.Header.Get(name) == "false":
		case strings.HasPrefix(lower, "x-amz-copy-source") && !isCopy(req):
			return lower
		case strings.HasPrefix(lower, "x-amz-grant-") && slices.Contains(aclOperations, req.call.Operation):
		case lower == "x-amz-tagging-directive" && req.Header.Get(name) == "COPY":
		case hasAnyPrefix(lower, unknownFeatures) || hasAnyPrefix(lower, encryptionFeatures):
			return lower
		}
	}
	if op := req.call.Operation; op == "CreateMultipartUpload" || op == "UploadPart" || op == "UploadPartCopy" {
		for _, name := range []string{"If-Match", "If-None-Match"} {
			if req.Header.Get(name) != "" {
				return name
			}
		}
	}
	return ""
}

func hasAnyPrefix(text string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(text, prefix) })
}

func isCopy(req *request) bool {
	return req.call.Operation == "CopyObject" || req.call.Operation == "UploadPartCopy"
}

// aclOperations are those that take an ACL, and refuse nearly every one.
var aclOperations = []string{"CopyObject", "CreateBucket", "CreateMultipartUpload", "PutBucketAcl", "PutObject", "PutObjectAcl"}

// hasGrants reports whether the request grants something by an x-amz-grant- header.
func hasGrants(s *s3Request) bool {
	for name := range s.Header {
		if strings.HasPrefix(name, "X-Amz-Grant-") {
			return true
		}
	}
	return false
}

// customerKeyOperations are those that know the headers of SSE-C.
var customerKeyOperations = []string{
	"CompleteMultipartUpload", "CopyObject", "CreateMultipartUpload", "GetObject", "GetObjectAttributes", "HeadObject", "PutObject", "UploadPart", "UploadPartCopy",
}

// encryptingOperations are those that say how an object is to be encrypted.
var encryptingOperations = []string{"CopyObject", "CreateMultipartUpload", "PutObject"}

var encryptionFeatures = []string{"x-amz-server-side-encryption-"}

var unknownFeatures = []string{
	"x-amz-bucket-namespace", "x-amz-bucket-object-lock-", "x-amz-bypass-governance-retention", "x-amz-grant-",
	"x-amz-if-match-", "x-amz-mfa", "x-amz-object-annotation-directive", "x-amz-object-lock-", "x-amz-optional-object-attributes",
	"x-amz-rename-source", "x-amz-tagging", "x-amz-website-redirect-location", "x-amz-write-offset-bytes",
}

// option is the value of an x-amz- header, which a presigned URL carries in its
// query.
func (s *s3Request) option(header string) string {
	if value := s.Header.Get(header); value != "" {
		return value
	}
	for name, values := range s.query {
		if strings.EqualFold(name, header) {
			return values[0]
		}
	}
	return ""
}

// elsewhere sends the client to the bucket's own region.
func (s *s3Request) elsewhere() *refusal {
	region := s.settings.region
	refused := refuse(301, "PermanentRedirect",
		"The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.",
		"Endpoint", s.of.name+".s3."+region+"."+s.cloud.partition.suffix, "Bucket", s.of.name)
	refused.header.Set("X-Amz-Bucket-Region", region)
	return refused
}

func keyTooLong(key string) *refusal {
	return refuse(400, "KeyTooLongError", "Your key is too long", "Size", itoa(len(key)), "MaxSizeAllowed", itoa(maxKeyLength))
}

func (s *s3Request) headBucket() (*response, *refusal) {
	if refused := s.authorize("s3:ListBucket"); refused != nil {
		refused.header.Set("X-Amz-Bucket-Region", s.settings.region)
		return nil, refused
	}
	resp := &response{status: 200, header: http.Header{}}
	resp.header.Set("Content-Type", "application/xml")
	resp.header.Set("X-Amz-Access-Point-Alias", "false")
	resp.header.Set("X-Amz-Bucket-Region", s.settings.region)
	return resp, nil
}

// getBucketLocation handles GetBucketLocation, which only the bucket's owner may
// call, whatever policies say.
func (s *s3Request) getBucketLocation() (*response, *refusal) {
	if s.caller == nil || s.caller.account != s.of.owner {
		return nil, refuse(403, "AccessDenied", "Access Denied")
	}
	if refused := s.authorize("s3:GetBucketLocation"); refused != nil {
		return nil, refused
	}
	region := s.settings.region
	if region == "us-east-1" {
		region = "" // the classic region has no LocationConstraint
	}
	var x s3XML
	x.open("LocationConstraint")
	x.text(region)
	x.close("LocationConstraint")
	return x.response(), nil
}

// objectActions are the actions whose resource is an object (Service
// Authorization Reference, "Actions, resources, and condition keys for Amazon S3").
var objectActions = []string{
	"s3:AbortMultipartUpload", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObject", "s3:GetObjectAttributes",
	"s3:GetObjectTagging", "s3:GetObjectVersion", "s3:GetObjectVersionAttributes", "s3:GetObjectVersionTagging", "s3:ListMultipartUploadParts", "s3:PutObject", "s3:PutObjectAcl",
}

// inner returns a request for one object that S3 makes on the caller's behalf:
// the read of a copy's source, or one deletion out of many. It is authorized like
// a request of its own, with the given headers in place of the request's.
func (s *s3Request) inner(method string, of *Bucket, key, versionID string, header http.Header) *s3Request {
	for _, name := range []string{"User-Agent", "Referer", "X-Amz-Request-Payer", "X-Amz-Content-Sha256"} {
		if values := s.Header.Values(name); len(values) > 0 {
			header[name] = values
		}
	}
	sent := *s.Request
	sent.Method, sent.Header = method, header
	one := *s.request
	one.Request, one.bucket, one.key, one.body, one.fault = &sent, of.name, key, nil, nil
	query := url.Values{}
	if versionID != "" {
		query.Set("versionId", versionID)
	}
	return &s3Request{request: &one, cloud: s.cloud, of: of, settings: of.settings(), query: query}
}

// authorize returns nil if the caller may do action, or else AccessDenied.
// The resource is the object for actions on objects, else the bucket.
func (s *s3Request) authorize(action string) *refusal {
	resource := s.of.arnPrefix() + s.of.name
	if slices.Contains(objectActions, action) {
		resource += "/" + s.key
	}
	question := access{
		p: s.caller, owner: s.of.owner, action: action, resource: resource,
		policy: s.settings.policy, policyResource: resource, pins: s.settings.pins, keys: s.conditionKeys(),
	}
	allowed, why := question.decide()
	if !allowed {
		s.call.Explain = why
		if !question.acquainted() {
			// Other callers learn nothing (Amazon S3 User Guide, "Troubleshoot access
			// denied errors").
			return refuse(403, "AccessDenied", "Access Denied")
		}
		return refuse(403, "AccessDenied", question.message(`"`+resource+`"`))
	}
	s.call.allow(why)
	if s.settings.requesterPays && !s.payerKnown() {
		s.call.Explain = "requester pays: another account must send x-amz-request-payer: requester"
		return refuse(403, "AccessDenied", "Access Denied")
	}
	return nil
}

// payerKnown reports whether the owner or the requester pays for the request.
func (s *s3Request) payerKnown() bool {
	return s.caller != nil && (s.caller.account == s.of.owner || s.charged())
}

// charged reports whether the requester has offered to pay and has to.
func (s *s3Request) charged() bool {
	return s.option("X-Amz-Request-Payer") == "requester" && s.settings.requesterPays && s.caller != nil && s.caller.account != s.of.owner
}

// conditionKeys returns S3's condition keys of the request. A parameter that was
// not sent has no key, which a policy's Null condition can test.
func (s *s3Request) conditionKeys() map[string][]string {
	// A signed caller brings these along; an anonymous one has them too.
	keys := globalKeys(s.request)
	keys["s3:ResourceAccount"] = []string{s.of.owner.id}
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
		"s3:x-amz-server-side-encryption-aws-kms-key-id": kmsKeyHeader, "s3:x-amz-server-side-encryption-customer-algorithm": customerKeyHeader + "Algorithm",
		"s3:x-amz-copy-source": "X-Amz-Copy-Source", "s3:x-amz-metadata-directive": "X-Amz-Metadata-Directive",
		"s3:x-amz-grant-full-control": "X-Amz-Grant-Full-Control", "s3:x-amz-grant-read": "X-Amz-Grant-Read", "s3:x-amz-grant-read-acp": "X-Amz-Grant-Read-Acp",
		"s3:x-amz-grant-write": "X-Amz-Grant-Write", "s3:x-amz-grant-write-acp": "X-Amz-Grant-Write-Acp",
		"aws:UserAgent": "User-Agent", "aws:Referer": "Referer",
	} {
		if values := s.Header.Values(header); len(values) > 0 {
			keys[name] = values
		}
	}
	// A policy that demands conditional writes exempts by it the requests of an
	// upload that create no object yet (Amazon S3 User Guide, "Enforce conditional
	// writes").
	switch s.call.Operation {
	case "PutObject", "CopyObject", "CompleteMultipartUpload":
		keys["s3:ObjectCreationOperation"] = []string{"true"}
	case "CreateMultipartUpload", "UploadPart", "UploadPartCopy":
		keys["s3:ObjectCreationOperation"] = []string{"false"}
	}
	return keys
}

// s3Headers and s3Query are what Calls shows of a request.
var s3Headers = map[string]string{
	"Range": "Range", "If-Match": "IfMatch", "If-None-Match": "IfNoneMatch",
	"If-Modified-Since": "IfModifiedSince", "If-Unmodified-Since": "IfUnmodifiedSince",
	"X-Amz-Checksum-Mode": "ChecksumMode", "X-Amz-Expected-Bucket-Owner": "ExpectedBucketOwner",
	"X-Amz-Request-Payer": "RequestPayer", "X-Amz-Storage-Class": "StorageClass",
	"X-Amz-Sdk-Checksum-Algorithm": "ChecksumAlgorithm",
}

var s3Query = map[string]string{
	"versionId": "VersionId", "partNumber": "PartNumber", "uploadId": "UploadId", "prefix": "Prefix", "delimiter": "Delimiter",
	"max-keys": "MaxKeys", "marker": "Marker", "key-marker": "KeyMarker", "version-id-marker": "VersionIdMarker", "continuation-token": "ContinuationToken", "start-after": "StartAfter",
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
