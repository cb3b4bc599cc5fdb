package awstest

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/crossrole/crossrole/internal/lazyregexp"
)

// Routing: which service, region, bucket, key and operation a request is for.

var (
	stsHost = lazyregexp.New(`^sts(?:-fips)?(?:\.([a-z]{2,4}(?:-[a-z]+)+-\d+))?\.(?:amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|api\.aws)$`)
	s3Host  = lazyregexp.New(`^(?:(.+)\.)?s3(?:-fips|-accesspoint|-accesspoint-fips)?(?:\.dualstack)?(?:[.-]([a-z]{2,4}(?:-[a-z]+)+-\d+))?\.amazonaws\.(?:com|com\.cn|eu)$`)
)

// iamHosts are IAM's hosts and the region that requests to them are signed for.
var iamHosts = map[string]string{
	"iam.amazonaws.com":                       "us-east-1",
	"iam-fips.amazonaws.com":                  "us-east-1",
	"iam.global.api.aws":                      "us-east-1",
	"iam-fips.global.api.aws":                 "us-east-1",
	"iam.cn-north-1.amazonaws.com.cn":         "cn-north-1",
	"iam.global.api.amazonwebservices.com.cn": "cn-north-1",
	"iam.us-gov.amazonaws.com":                "us-gov-west-1",
	"iam.us-gov.api.aws":                      "us-gov-west-1",
	"iam.eusc-de-east-1.amazonaws.eu":         "eusc-de-east-1",
	"iam.global.api.amazonwebservices.eu":     "eusc-de-east-1",
}

// route finds the service, region, bucket, key and operation of a request from
// its host, method, path and query. Any host is served when anyHost is set, as
// a loopback listener has none of AWS's names: a form posted to "/" is for IAM or
// STS, all else for S3 with the bucket in the path. It reports false if the
// cloud serves no such host.
func (r *request) route(anyHost bool) bool {
	host := hostName(r.Host)
	if m := stsHost().FindStringSubmatch(host); m != nil {
		r.service, r.region = serviceSTS, m[1]
		if r.region == "" {
			r.region = "us-east-1" // sts.amazonaws.com is served and signed there
		}
		return true
	}
	if region, ok := iamHosts[host]; ok {
		r.service, r.region = serviceIAM, region
		return true
	}
	if m := s3Host().FindStringSubmatch(host); m != nil {
		r.service, r.bucket, r.region = serviceS3, m[1], m[2]
		r.routeS3(m[1] != "")
		return true
	}
	if !anyHost {
		return false
	}
	r.service = serviceS3
	if r.URL.Path == "/" && (isForm(r.Request) || r.URL.Query().Has("Action")) {
		r.service = r.queryService()
		return true
	}
	r.routeS3(false)
	return true
}

// endpointRegion returns the region of the endpoint that the request was sent to:
// that of the host, or else the one that the request is signed for. A request without
// either has none.
func (r *request) endpointRegion() string {
	if r.region != "" {
		return r.region
	}
	if scope := strings.Split(credentialOf(r.Request), "/"); len(scope) == 5 {
		return scope[2]
	}
	return ""
}

// queryService distinguishes IAM from STS where the host does not: by the service that the
// request is signed for, or else by the version of the API that it names.
func (r *request) queryService() string {
	switch service := claimedService(r.Request); {
	case service == serviceIAM || service == serviceSTS:
		return service
	case r.URL.Query().Get("Version") == iamVersion:
		return serviceIAM
	}
	if form, err := url.ParseQuery(string(r.body)); err == nil && form.Get("Version") == iamVersion {
		return serviceIAM
	}
	return serviceSTS
}

// hostName is the host of an address, without the port that the name implies.
func hostName(address string) string {
	host := strings.ToLower(address)
	if h, port, err := net.SplitHostPort(host); err == nil && (port == "443" || port == "80") {
		host = h
	}
	return host
}

// knownHost reports whether address is one of AWS's that the cloud serves.
func knownHost(address string) bool {
	host := hostName(address)
	return stsHost().MatchString(host) || iamHosts[host] != "" || s3Host().MatchString(host)
}

func isForm(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// routeS3 fills bucket, key and the call's operation and parameters.
func (r *request) routeS3(virtualHost bool) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	if virtualHost {
		r.key = path
	} else {
		r.bucket, r.key, _ = strings.Cut(path, "/")
	}
	r.call.Operation = s3Operation(r.Method, r.bucket, r.key, r.URL.Query())
	if r.Header.Get("X-Amz-Copy-Source") != "" {
		switch r.call.Operation {
		case "PutObject":
			r.call.Operation = "CopyObject"
		case "UploadPart":
			r.call.Operation = "UploadPartCopy"
		}
	}
	if r.bucket != "" {
		r.call.Params["Bucket"] = r.bucket
	}
	if r.key != "" {
		r.call.Params["Key"] = r.key
	}
	recordS3Params(r)
}

// s3Subresources are query parameters that make another operation of a request
// which by method and path would be a plain one.
var s3Subresources = []string{
	"abac", "acl", "accelerate", "analytics", "annotation", "attributes", "cors", "delete", "encryption", "intelligent-tiering",
	"inventory", "legal-hold", "lifecycle", "location", "logging", "metadataAnnotationTable", "metadataConfiguration",
	"metadataInventoryTable", "metadataJournalTable", "metadataTable", "metrics", "notification", "object-lock",
	"ownershipControls", "policy", "policyStatus", "publicAccessBlock", "renameObject", "replication", "requestPayment",
	"restore", "retention", "select", "session", "tagging", "torrent", "uploadId", "uploads", "versioning", "versions", "website",
}

// s3Operation names an S3 request by the API's name, or by "<METHOD> <what>"
// where the cloud does not know the operation.
func s3Operation(method, bucket, key string, query map[string][]string) string {
	for _, sub := range s3Subresources {
		if _, ok := query[sub]; ok && bucket != "" {
			return s3SubresourceOperation(method, key, sub)
		}
	}
	what := "Service"
	switch {
	case key != "":
		what = "Object"
	case bucket != "":
		what = "Bucket"
	}
	switch method + " " + what {
	case "GET Object":
		return "GetObject"
	case "HEAD Object":
		return "HeadObject"
	case "PUT Object":
		return "PutObject"
	case "DELETE Object":
		return "DeleteObject"
	case "GET Bucket":
		if slices.Contains(query["list-type"], "2") {
			return "ListObjectsV2"
		}
		return "ListObjects"
	case "HEAD Bucket":
		return "HeadBucket"
	case "PUT Bucket":
		return "CreateBucket"
	case "DELETE Bucket":
		return "DeleteBucket"
	case "GET Service":
		return "ListBuckets"
	}
	return method + " " + what
}

// s3SubresourceOperations are the operations on subresources, by method, "Bucket" or "Object", and parameter.
var s3SubresourceOperations = map[string]string{
	"DELETE Bucket policy":    "DeleteBucketPolicy",
	"DELETE Object tagging":   "DeleteObjectTagging",
	"DELETE Object uploadId":  "AbortMultipartUpload",
	"GET Bucket acl":          "GetBucketAcl",
	"GET Bucket location":     "GetBucketLocation",
	"GET Bucket policy":       "GetBucketPolicy",
	"GET Bucket uploads":      "ListMultipartUploads",
	"GET Bucket versioning":   "GetBucketVersioning",
	"GET Bucket versions":     "ListObjectVersions",
	"GET Object acl":          "GetObjectAcl",
	"GET Object attributes":   "GetObjectAttributes",
	"GET Object tagging":      "GetObjectTagging",
	"GET Object uploadId":     "ListParts",
	"POST Bucket delete":      "DeleteObjects",
	"POST Object uploadId":    "CompleteMultipartUpload",
	"POST Object uploads":     "CreateMultipartUpload",
	"PUT Bucket acl":          "PutBucketAcl",
	"PUT Bucket policy":       "PutBucketPolicy",
	"PUT Bucket versioning":   "PutBucketVersioning",
	"PUT Object acl":          "PutObjectAcl",
	"PUT Object renameObject": "RenameObject",
	"PUT Object tagging":      "PutObjectTagging",
	"PUT Object uploadId":     "UploadPart",
}

func s3SubresourceOperation(method, key, sub string) string {
	what := "Object"
	if key == "" {
		what = "Bucket"
	}
	if operation := s3SubresourceOperations[method+" "+what+" "+sub]; operation != "" {
		return operation
	}
	return method + " ?" + sub
}
