package awstest_test

import (
	"cmp"
	"encoding/xml"
	"slices"
	"strings"
	"testing"
)

// s3Row is a request and what S3 answers: the status, the error code, headers
// as lines ("Name: -" says that it is absent), the body.
type s3Row struct {
	as      string // owner, if empty; "anonymous" does not sign
	request string
	headers string
	status  int
	code    string
	answer  string
	body    string
}

const (
	catETag      = `"781e5e245d69b566979b86e28d23f2c7"` // md5 of 0123456789
	secondBefore = "Wed, 25 Nov 2026 04:29:59 GMT"
	uploadedAt   = "Wed, 25 Nov 2026 04:30:00 GMT"
)

var getRows = []s3Row{
	{request: "GET /pics/cat", status: 200, body: "0123456789", answer: "Content-Length: 10\nETag: " + catETag + "\nAccept-Ranges: bytes\nContent-Type: binary/octet-stream\n" +
		"Last-Modified: " + uploadedAt + "\nx-amz-server-side-encryption: AES256\nx-amz-storage-class: -\nx-amz-version-id: -\nx-amz-checksum-crc64nvme: -\nContent-Range: -\nServer: AmazonS3"},
	{request: "HEAD /pics/cat", status: 200, answer: "Content-Length: 10\nETag: " + catETag},
	{request: "GET pics.s3.us-east-1.amazonaws.com/cat", status: 200, body: "0123456789"},
	{request: "GET /pics/cat?x-id=GetObject", status: 200, body: "0123456789"},
	{request: "GET /pics/empty", status: 200, answer: "Content-Length: 0"},
	{request: "GET /pics/described", status: 200, body: "0123456789", answer: "Content-Type: image/jpeg\nContent-Encoding: gzip\nx-amz-meta-colour: red"},
	{request: "GET /pics/described?response-content-type=text%2Fplain&response-content-disposition=inline", status: 200, body: "0123456789", answer: "Content-Type: text/plain\nContent-Disposition: inline"},
	{request: "GET /pics/rare", status: 200, body: "0123456789", answer: "x-amz-storage-class: STANDARD_IA"},

	// Ranges.
	{request: "GET /pics/cat", headers: "Range: bytes=2-5", status: 206, body: "2345", answer: "Content-Range: bytes 2-5/10\nContent-Length: 4"},
	{request: "HEAD /pics/cat", headers: "Range: bytes=2-5", status: 206, answer: "Content-Range: bytes 2-5/10\nContent-Length: 4"},
	{request: "GET /pics/cat", headers: "Range: bytes=3-3", status: 206, body: "3", answer: "Content-Range: bytes 3-3/10"},
	{request: "GET /pics/cat", headers: "Range: bytes=7-", status: 206, body: "789", answer: "Content-Range: bytes 7-9/10"},
	{request: "GET /pics/cat", headers: "Range: bytes=-3", status: 206, body: "789", answer: "Content-Range: bytes 7-9/10"},
	{request: "GET /pics/cat", headers: "Range: bytes=-30", status: 206, body: "0123456789", answer: "Content-Range: bytes 0-9/10"},
	{request: "GET /pics/cat", headers: "Range: bytes=9-99999999999999999999", status: 206, body: "9", answer: "Content-Range: bytes 9-9/10"},
	{request: "GET /pics/cat", headers: "Range: bytes=0-1,4-5", status: 200, body: "0123456789", answer: "Content-Range: -"},
	{request: "GET /pics/cat", headers: "Range: bytes=5-2", status: 200, body: "0123456789"},
	{request: "GET /pics/cat", headers: "Range: bytes=x-2", status: 200, body: "0123456789"},
	{request: "GET /pics/cat", headers: "Range: items=0-1", status: 200, body: "0123456789"},
	{request: "GET /pics/cat", headers: "Range: bytes=10-", status: 416, code: "InvalidRange", answer: "Content-Range: bytes */10"},
	{request: "HEAD /pics/cat", headers: "Range: bytes=10-", status: 416, code: "InvalidRange"},
	{request: "GET /pics/cat", headers: "Range: bytes=-0", status: 416, code: "InvalidRange"},
	{request: "GET /pics/empty", headers: "Range: bytes=0-", status: 416, code: "InvalidRange", answer: "Content-Range: bytes */0"},
	{request: "GET /pics/empty", headers: "Range: bytes=-1", status: 416, code: "InvalidRange"},

	// Conditions.
	{request: "GET /pics/cat", headers: "If-Match: " + catETag, status: 200, body: "0123456789"},
	{request: "GET /pics/cat", headers: "If-Match: 781e5e245d69b566979b86e28d23f2c7", status: 200, body: "0123456789"},
	{request: "GET /pics/cat", headers: "If-Match: *", status: 200, body: "0123456789"},
	{request: "GET /pics/cat", headers: `If-Match: "x"`, status: 412, code: "PreconditionFailed"},
	{request: "HEAD /pics/cat", headers: `If-Match: "x"`, status: 412, code: "PreconditionFailed"},
	{request: "GET /pics/none", headers: `If-Match: "x"`, status: 404, code: "NoSuchKey"},
	{request: "GET /pics/cat", headers: "If-None-Match: " + catETag, status: 304, code: "NotModified", answer: "ETag: " + catETag + "\nContent-Length: -"},
	{request: "GET /pics/cat", headers: `If-None-Match: "x"`, status: 200, body: "0123456789"},
	{request: "GET /pics/cat", headers: "If-Modified-Since: " + uploadedAt, status: 304, code: "NotModified"},
	{request: "GET /pics/cat", headers: "If-Modified-Since: " + secondBefore, status: 200, body: "0123456789"},
	{request: "GET /pics/cat", headers: "If-Unmodified-Since: " + secondBefore, status: 412, code: "PreconditionFailed"},
	{request: "GET /pics/cat", headers: "If-Unmodified-Since: " + uploadedAt, status: 200, body: "0123456789"},
	{request: "GET /pics/cat", headers: "If-Match: " + catETag + "\nIf-Unmodified-Since: " + secondBefore, status: 200, body: "0123456789"},
	{request: "GET /pics/cat", headers: "If-None-Match: " + catETag + "\nIf-Modified-Since: " + secondBefore, status: 304, code: "NotModified"},
	{request: "GET /pics/cat", headers: "If-None-Match: \"x\"\nIf-Modified-Since: " + uploadedAt, status: 200, body: "0123456789"},
	{request: "GET /pics/cat", headers: "If-Match: \"x\"\nRange: bytes=99-", status: 412, code: "PreconditionFailed"},

	// Parts and checksums.
	{request: "GET /pics/parts?partNumber=2", status: 206, body: "abcdefghij", answer: "Content-Range: bytes 10-19/25\nx-amz-mp-parts-count: 3"},
	{request: "HEAD /pics/parts?partNumber=3", status: 206, answer: "Content-Range: bytes 20-24/25\nContent-Length: 5\nx-amz-mp-parts-count: 3"},
	{request: "GET /pics/parts", status: 200, body: "0123456789abcdefghijABCDE", answer: "ETag: \"612f5cb1e3fb16a7599212e4ca24185a-3\"\nx-amz-mp-parts-count: -"},
	{request: "GET /pics/parts?partNumber=4", status: 416, code: "InvalidPartNumber"},
	{request: "GET /pics/parts?partNumber=0", status: 400, code: "InvalidArgument"},
	{request: "GET /pics/parts?partNumber=1", headers: "Range: bytes=0-1", status: 400, code: "InvalidRequest"},
	{request: "GET /pics/cat?partNumber=1", status: 206, body: "0123456789", answer: "Content-Range: bytes 0-9/10\nx-amz-mp-parts-count: -"},
	{request: "GET /pics/cat?partNumber=2", status: 416, code: "InvalidPartNumber"},
	{request: "GET /pics/cat", headers: "x-amz-checksum-mode: ENABLED", status: 200, body: "0123456789", answer: "x-amz-checksum-crc64nvme: Ffmx7kz9nB0=\nx-amz-checksum-type: FULL_OBJECT"},
	{request: "HEAD /pics/cat", headers: "x-amz-checksum-mode: ENABLED", status: 200, answer: "x-amz-checksum-crc64nvme: Ffmx7kz9nB0="},
	{request: "GET /pics/cat", headers: "x-amz-checksum-mode: ENABLED\nRange: bytes=0-3", status: 206, body: "0123", answer: "x-amz-checksum-crc64nvme: -\nx-amz-checksum-type: -"},
	{request: "GET /pics/parts", headers: "x-amz-checksum-mode: ENABLED", status: 200, body: "0123456789abcdefghijABCDE", answer: "x-amz-checksum-crc32: JqXFmA==-3\nx-amz-checksum-type: COMPOSITE"},
	{request: "GET /pics/parts?partNumber=1", headers: "x-amz-checksum-mode: ENABLED", status: 206, body: "0123456789", answer: "x-amz-checksum-crc32: poTHxg==\nx-amz-checksum-type: COMPOSITE"},
	{request: "GET /pics/whole", headers: "x-amz-checksum-mode: ENABLED", status: 200, body: "0123456789abcdefghijABCDE", answer: "x-amz-checksum-type: FULL_OBJECT"},
	{request: "GET /pics/before2024", headers: "x-amz-checksum-mode: ENABLED", status: 200, body: "0123456789", answer: "x-amz-checksum-crc64nvme: -"},

	// Archives.
	{request: "GET /pics/frozen", status: 403, code: "InvalidObjectState"},
	{request: "HEAD /pics/frozen", status: 200, answer: "x-amz-storage-class: GLACIER\nContent-Length: 10"},
	{request: "GET /pics/tiered", status: 403, code: "InvalidObjectState"},
	{request: "GET /pics/thawing", status: 403, code: "InvalidObjectState"},
	{request: "GET /pics/thawed", status: 200, body: "0123456789", answer: "x-amz-storage-class: GLACIER"},

	// Versions.
	{request: "GET /past/k", status: 200, body: "two", answer: "x-amz-version-id: {v2}"},
	{request: "GET /past/k?versionId={v1}", status: 200, body: "one", answer: "x-amz-version-id: {v1}"},
	{request: "GET /past/k?versionId=null", status: 200, body: "zero", answer: "x-amz-version-id: null"},
	{request: "GET /pics/cat?versionId=null", status: 200, body: "0123456789"},
	{request: "GET /past/k?versionId=nonsense", status: 400, code: "InvalidArgument"},
	{request: "GET /past/k?versionId=", status: 400, code: "InvalidArgument"},
	{request: "GET /past/k?versionId=00000000000000000000000000000000", status: 404, code: "NoSuchVersion"},
	{request: "GET /past/gone", status: 404, code: "NoSuchKey", answer: "x-amz-delete-marker: true\nx-amz-version-id: {marker}"},
	{request: "GET /past/gone?versionId={marker}", status: 405, code: "MethodNotAllowed", answer: "x-amz-delete-marker: true\nAllow: DELETE"},
	{request: "HEAD /past/gone?versionId={marker}", status: 405, code: "MethodNotAllowed", answer: "x-amz-delete-marker: true"},
}

var refusedRows = []s3Row{
	{request: "GET /pics/none", status: 404, code: "NoSuchKey"},
	{request: "HEAD /pics/none", status: 404, code: "NoSuchKey"},
	{as: "reader", request: "GET /pics/cat", status: 200, body: "0123456789"},
	{as: "reader", request: "GET /pics/none", status: 403, code: "AccessDenied"},
	{as: "reader", request: "HEAD /pics/none", status: 403, code: "AccessDenied"},
	{as: "reader", request: "GET /past/k?versionId={v1}", status: 403, code: "AccessDenied"}, // needs s3:GetObjectVersion
	{as: "reader", request: "GET /pics?list-type=2", status: 403, code: "AccessDenied"},
	{as: "reader", request: "PUT /pics/new", status: 403, code: "AccessDenied"},
	{as: "lister", request: "GET /pics?list-type=2&prefix=public%2Fx", status: 200},
	{as: "lister", request: "GET /pics?list-type=2", status: 403, code: "AccessDenied"},
	{as: "lister", request: "GET /pics?list-type=2&prefix=private%2F", status: 403, code: "AccessDenied"},
	{as: "other", request: "GET /pics/cat", status: 403, code: "AccessDenied"},
	{as: "anonymous", request: "GET /pics/cat", status: 403, code: "AccessDenied"},
	{as: "anonymous", request: "GET /open/k", status: 200, body: "for all"},
	{as: "anonymous", request: "GET /open/k?response-content-type=text%2Fplain", status: 400, code: "InvalidRequest"},
	{as: "anonymous", request: "GET /open/none", status: 403, code: "AccessDenied"},
	{as: "other", request: "GET /open/k", status: 200, body: "for all"},
	{request: "GET /open/secret", status: 403, code: "AccessDenied"},
	{request: "GET /open/k", headers: "x-amz-expected-bucket-owner: 444455556666", status: 200, body: "for all"},
	{request: "GET /open/k", headers: "x-amz-expected-bucket-owner: 111122223333", status: 403, code: "AccessDenied"},
	{request: "GET /open/k", headers: "x-amz-expected-bucket-owner: me", status: 400, code: "InvalidBucketOwnerAWSAccountID"},
	{request: "GET /paid/k", status: 200, body: "not for free", answer: "x-amz-request-charged: -"},
	{as: "other", request: "GET /paid/k", status: 403, code: "AccessDenied"},
	{as: "other", request: "HEAD /paid/k", status: 403, code: "AccessDenied"},
	{as: "other", request: "GET /paid/k", headers: "x-amz-request-payer: requester", status: 200, body: "not for free", answer: "x-amz-request-charged: requester"},
	{as: "other", request: "GET /paid?list-type=2", headers: "x-amz-request-payer: requester", status: 200, answer: "x-amz-request-charged: requester"},
	{as: "anonymous", request: "GET /paid/k", headers: "x-amz-request-payer: requester", status: 403, code: "AccessDenied"},

	// Buckets.
	{request: "HEAD /pics", status: 200, answer: "x-amz-bucket-region: us-east-1"},
	{request: "HEAD /pics/", status: 200, answer: "x-amz-bucket-region: us-east-1"},
	{as: "reader", request: "HEAD /pics", status: 403, code: "AccessDenied", answer: "x-amz-bucket-region: us-east-1"},
	{request: "HEAD /absent", status: 404, code: "NoSuchBucket", answer: "x-amz-bucket-region: -"},
	{request: "GET /absent/k", status: 404, code: "NoSuchBucket"},
	{request: "GET /A_B/k", status: 400, code: "InvalidBucketName"},
	{request: "GET /far/k", status: 301, code: "PermanentRedirect", answer: "x-amz-bucket-region: eu-west-1\nLocation: -"},
	{request: "HEAD /far", status: 301, code: "PermanentRedirect", answer: "x-amz-bucket-region: eu-west-1"},
	{request: "GET /pics?location", status: 200, body: xml.Header + `<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LocationConstraint>`},
	{as: "other", request: "GET /paid?location", status: 403, code: "AccessDenied"},

	// What is not built is said to be so.
	{request: "GET /pics?encryption", status: 501, code: "NotImplemented"},
	{request: "GET /pics?cors", status: 501, code: "NotImplemented"},
	{request: "PUT /pics?lifecycle", status: 501, code: "NotImplemented"},
	{request: "PUT /pics?publicAccessBlock", status: 501, code: "NotImplemented"},
	{request: "PUT /pics/cat?tagging", status: 501, code: "NotImplemented"},
	{request: "PUT /pics/cat?renameObject", status: 501, code: "NotImplemented"},
	{request: "PUT /pics/cat?retention", status: 501, code: "NotImplemented"},
	{request: "POST /pics/cat?restore", status: 501, code: "NotImplemented"},
	{request: "POST /pics/cat?select&select-type=2", status: 501, code: "NotImplemented"},
	{request: "PUT /pics/cat", headers: "x-amz-write-offset-bytes: 0", status: 501, code: "NotImplemented"},
	{request: "GET /pics/cat?acl", status: 501, code: "NotImplemented"},
	{request: "DELETE /pics/cat?tagging=", status: 501, code: "NotImplemented"},
	{request: "POST /pics/cat", status: 405, code: "MethodNotAllowed"},
	{request: "PATCH /pics/cat", status: 405, code: "MethodNotAllowed"},
	{request: "PATCH /pics", status: 405, code: "MethodNotAllowed"},
	{request: "DELETE /", status: 405, code: "MethodNotAllowed"},
	{request: "POST /pics", status: 501, code: "NotImplemented"}, // a browser's upload
	{request: "OPTIONS /pics/cat", status: 501, code: "NotImplemented"},
	{request: "GET /pics/cat", headers: "x-amz-server-side-encryption-customer-algorithm: AES256", status: 400, code: "InvalidArgument"},
	{request: "GET /pics/cat", headers: "x-amz-server-side-encryption-customer-algorithm: DES", status: 400, code: "InvalidEncryptionAlgorithmError"},
	{request: "PUT /pics/cat", headers: "x-amz-server-side-encryption-customer-algorithm: AES256", status: 400, code: "InvalidArgument"},
	{request: "GET /pics/cat", headers: "x-amz-server-side-encryption: AES256", status: 400, code: "InvalidArgument"},
	{request: "GET /pics/%ff", status: 400, code: "InvalidURI"},
	{as: "anonymous", request: "GET /open/k?a=%zz", status: 400, code: "InvalidURI"},
	{request: "GET /pics/" + strings.Repeat("k", 1025), status: 400, code: "KeyTooLongError"},
}

func TestS3Answers(t *testing.T) {
	s, overSocket := newStore(t), newStore(t)
	overSocket.scheme, overSocket.http = "http", onSocket(t, overSocket.cloud.Serve(t))
	for name, s := range map[string]*store{"memory": s, "socket": overSocket} {
		rows := slices.Concat(getRows, refusedRows)
		for _, row := range rows {
			as := strings.Replace(cmp.Or(row.as, "owner"), "anonymous", "", 1)
			t.Run(strings.TrimSpace(name+" "+as+" "+row.request+" "+row.headers), func(t *testing.T) {
				method, target, _ := strings.Cut(s.names.Replace(row.request), " ")
				got := s.do(t, as, method, target, row.headers, "")
				s.check(t, row, method, got)
			})
		}
	}
}

func (s *store) check(t *testing.T, row s3Row, method string, got answer) {
	t.Helper()
	calls := s.cloud.Calls()
	call := calls[len(calls)-1]
	if got.StatusCode != row.status || call.Status != row.status || call.Code != row.code {
		t.Errorf("status %d, recorded %d %s; want %d %s", got.StatusCode, call.Status, call.Code, row.status, row.code)
	}
	hasDocument := row.code != "" && row.status != 304 && method != "HEAD"
	if hasDocument && got.code() != row.code {
		t.Errorf("body %q does not have the code %s", got.body, row.code)
	}
	if !hasDocument && (row.body != "" || method == "HEAD" || row.status == 304) && got.body != row.body {
		t.Errorf("body %q, want %q", got.body, row.body)
	}
	if length := got.Header.Get("Content-Length"); method == "HEAD" && row.code != "" && length != "" && length != "0" {
		t.Errorf("an error without a document claims %s bytes", length)
	}
	if got.Header.Get("x-amz-request-id") == "" || got.Header.Get("x-amz-id-2") == "" {
		t.Error("no request ids")
	}
	for line := range strings.Lines(s.names.Replace(row.answer)) {
		name, want, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		values := got.Header.Values(name)
		if want == "-" && len(values) > 0 || want != "-" && (len(values) != 1 || values[0] != want) {
			t.Errorf("header %s is %q, want %q", name, values, want)
		}
	}
}
