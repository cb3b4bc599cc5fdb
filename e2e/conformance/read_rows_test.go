package conformance

import (
	"crypto/md5"
	"fmt"
	"net/http"
	"strings"
)

var digitsETag = fmt.Sprintf(`"%x"`, md5.Sum([]byte(digits)))

// blind signs the request as the role that may read but not list.
func blind(build func(*world) ask) func(*world) ask {
	return with(build, func(w *world, a *ask) { a.signer = &w.blind })
}

var noRoles = skip("there are no roles")

func readRows() []row {
	whole := map[string]string{
		"Content-Length": "10", "ETag": digitsETag, "Accept-Ranges": "bytes", "Last-Modified": ".+ GMT",
		"Content-Range": "", "X-Amz-Request-Id": ".+", "Www-Authenticate": "",
	}
	part := func(contentRange, length string) map[string]string {
		return map[string]string{"Content-Range": contentRange, "Content-Length": length, "ETag": digitsETag}
	}
	ranged := func(r string) func(*world) ask { return get("digits", "Range", r) }
	rows := []row{
		{name: "get", ask: get("digits"), status: 200, header: whole, body: digits, doc: docGet},
		{name: "get: empty object", ask: get("empty"), status: 200, header: map[string]string{"Content-Length": "0"}, doc: docGet},
		{name: "get: odd key", ask: get("odd/a%20b%2Bc%2520%C3%A9"), status: 200, body: "odd", doc: docGet},
		{name: "get: two slashes", ask: get("odd/x//y"), status: 200, body: "slashes", doc: docGet, differs: map[server]difference{versityServer: skip("a POSIX directory tree has no such name")}},
		{name: "get: range", ask: ranged("bytes=2-4"), status: 206, header: part("bytes 2-4/10", "3"), body: "234", doc: docGet},
		{name: "get: range to the end", ask: ranged("bytes=7-"), status: 206, header: part("bytes 7-9/10", "3"), body: "789", doc: docGet},
		{name: "get: last bytes", ask: ranged("bytes=-3"), status: 206, header: part("bytes 7-9/10", "3"), body: "789", doc: docGet},
		{name: "get: range beyond the end", ask: ranged("bytes=5-99"), status: 206, header: part("bytes 5-9/10", "5"), body: "56789", doc: docGet},
		{name: "get: more last bytes than there are", ask: ranged("bytes=-99"), status: 206, header: part("bytes 0-9/10", "10"), body: digits, doc: docGet},
		{name: "get: range that is everything", ask: ranged("bytes=0-9"), status: 206, header: part("bytes 0-9/10", "10"), body: digits, doc: docGet},
		{name: "get: range past the end", ask: ranged("bytes=10-"), status: 416, code: "InvalidRange", doc: docS3Error},
		{name: "get: no last bytes", ask: ranged("bytes=-0"), status: 416, code: "InvalidRange", doc: docS3Error},
		{name: "get: range of an empty object", ask: get("empty", "Range", "bytes=0-0"), status: 416, code: "InvalidRange", doc: docS3Error},
		{name: "get: backward range", ask: ranged("bytes=5-2"), status: 200, body: digits, doc: docGet},
		{name: "get: range of lines", ask: ranged("lines=1-2"), status: 200, body: digits, doc: docGet},
		{name: "get: two ranges", ask: ranged("bytes=0-1,4-5"), status: 200, body: digits, doc: docGet},
		{name: "get: response header overrides", ask: with(get("digits"), func(_ *world, a *ask) { a.query = "response-content-type=text%2Fx&response-cache-control=no-cache" }), status: 200,
			header: map[string]string{"Content-Type": "text/x", "Cache-Control": "no-cache"}, doc: docGet},
		{name: "get: no such key", ask: get("nothing"), status: 404, code: "NoSuchKey", header: s3Error, doc: docS3Error},
		{name: "get: no such key, may not list", ask: blind(get("nothing")), status: 403, code: "AccessDenied", doc: docGet, differs: map[server]difference{versityServer: noRoles}},
		{name: "get: may read and not list", ask: blind(get("digits")), status: 200, body: digits, doc: docGet, differs: map[server]difference{versityServer: noRoles}},
		{name: "get: no such bucket", ask: with(get("digits"), func(_ *world, a *ask) { a.path = "/no-such-bucket-here/digits" }), status: 404, code: "NoSuchBucket", doc: docS3Error},
		{name: "get: key of 1,025 bytes", ask: get(strings.Repeat("k", 1025)), status: 400, code: "KeyTooLongError", doc: docS3Error},
		{name: "get: not the expected owner", ask: get("digits", "X-Amz-Expected-Bucket-Owner", "999988887777"), status: 403, code: "AccessDenied", doc: docGet},
		{name: "get: version id of no version", ask: with(get("digits"), func(_ *world, a *ask) { a.query = "versionId=nonsense" }), status: 400, code: "InvalidArgument", doc: docGet},

		{name: "get: null version", ask: asking("digits", "versionId=null"), status: 200, body: digits, doc: docGet},
		{name: "get: part one of one", ask: asking("digits", "partNumber=1"), status: 206, header: part("bytes 0-9/10", "10"), body: digits, doc: docGet},
		{name: "get: part two of one", ask: asking("digits", "partNumber=2"), status: 416, code: "InvalidPartNumber", doc: docS3Error},
		{name: "get: part zero", ask: asking("digits", "partNumber=0"), status: 400, code: "InvalidArgument", doc: docGet},
		{name: "get: part and range", ask: with(asking("digits", "partNumber=1"), func(_ *world, a *ask) { a.header["Range"] = "bytes=0-1" }), status: 400, code: "InvalidRequest", doc: docGet},
		{name: "post to an object", ask: object(http.MethodPost, "digits"), status: 405, code: "MethodNotAllowed", doc: docS3Error},
		{name: "patch of an object", ask: object(http.MethodPatch, "digits"), status: 405, code: "MethodNotAllowed", doc: docS3Error},
		{name: "bucket location: may not", ask: bucketRequest(http.MethodGet, "location="), status: 403, code: "AccessDenied", doc: docLocation, differs: map[server]difference{versityServer: noRoles}},

		{name: "head", ask: head("digits"), status: 200, header: whole, doc: docHead},
		{name: "head: range", ask: head("digits", "Range", "bytes=2-4"), status: 206, header: part("bytes 2-4/10", "3"), doc: docHead},
		{name: "head: range past the end", ask: head("digits", "Range", "bytes=10-"), status: 416, doc: docHead},
		{name: "head: expected owner", ask: head("digits", "X-Amz-Expected-Bucket-Owner", sharedAccount), status: 200, doc: docHead},
		{name: "head: no such key", ask: head("nothing"), status: 404, doc: docHead},
		{name: "head: no such key, may not list", ask: blind(head("nothing")), status: 403, doc: docHead, differs: map[server]difference{versityServer: noRoles}},
		{name: "head bucket", ask: bucketRequest(http.MethodHead, ""), status: 200, header: map[string]string{"X-Amz-Bucket-Region": region}, doc: docBucket},
		{name: "head bucket: may not list", ask: blind(bucketRequest(http.MethodHead, "")), status: 403, doc: docBucket, differs: map[server]difference{versityServer: noRoles}},
		{name: "head bucket: none", ask: with(bucketRequest(http.MethodHead, ""), func(_ *world, a *ask) { a.path = "/no-such-bucket-here" }), status: 404, doc: docBucket},
	}
	return rows
}

// asking returns a GET of a key with a query.
func asking(key, query string) func(*world) ask {
	return with(get(key), func(_ *world, a *ask) { a.query = query })
}

// bucketRequest returns a request to the bucket itself.
func bucketRequest(method, query string) func(*world) ask {
	return func(w *world) ask {
		return ask{method: method, path: "/" + bucket, query: query, signer: &w.reader}
	}
}

func conditionalRows() []row {
	const (
		past  = "Mon, 01 Jan 2001 00:00:00 GMT"
		other = `"00000000000000000000000000000000"`
	)
	// modified adds the object's own Last-Modified.
	modified := func(header string) func(*world) ask {
		return func(w *world) ask {
			return get("digits", header, w.do(w.t, head("digits")(w)).header.Get("Last-Modified"))(w)
		}
	}
	return []row{
		{name: "if-match: same", ask: get("digits", "If-Match", digitsETag), status: 200, body: digits, doc: docGet},
		{name: "if-match: one of two", ask: get("digits", "If-Match", other+", "+digitsETag), status: 200, body: digits, doc: docRFC},
		{name: "if-match: star", ask: get("digits", "If-Match", "*"), status: 200, body: digits, doc: docRFC},
		{name: "if-match: other", ask: get("digits", "If-Match", other), status: 412, code: "PreconditionFailed", header: s3Error, doc: docGet},
		{name: "if-match: other, with a range", ask: get("digits", "If-Match", other, "Range", "bytes=0-1"), status: 412, code: "PreconditionFailed", doc: docGet},
		{name: "if-match: same, with a range", ask: get("digits", "If-Match", digitsETag, "Range", "bytes=0-1"), status: 206, body: "01", doc: docGet},
		{name: "if-none-match: same", ask: get("digits", "If-None-Match", digitsETag), status: 304, header: map[string]string{"ETag": digitsETag}, doc: docGet},
		{name: "if-none-match: same, with a range", ask: get("digits", "If-None-Match", digitsETag, "Range", "bytes=0-1"), status: 304, doc: docGet},
		{name: "if-none-match: star", ask: get("digits", "If-None-Match", "*"), status: 304, doc: docRFC},
		{name: "if-match: of a missing key", ask: get("nothing", "If-Match", digitsETag), status: 404, code: "NoSuchKey", doc: docGet},
		{name: "if-modified-since: no date", ask: get("digits", "If-Modified-Since", "yesterday"), status: 200, body: digits, doc: docRFC},
		{name: "if-none-match: other", ask: get("digits", "If-None-Match", other), status: 200, body: digits, doc: docGet},
		{name: "if-modified-since: past", ask: get("digits", "If-Modified-Since", past), status: 200, doc: docGet},
		{name: "if-modified-since: then", ask: modified("If-Modified-Since"), status: 304, doc: docGet},
		{name: "if-unmodified-since: past", ask: get("digits", "If-Unmodified-Since", past), status: 412, code: "PreconditionFailed", doc: docGet},
		{name: "if-unmodified-since: then", ask: modified("If-Unmodified-Since"), status: 200, doc: docGet},
		{name: "if-match holds, if-unmodified-since does not", ask: get("digits", "If-Match", digitsETag, "If-Unmodified-Since", past), status: 200, body: digits, doc: docGet},
		{name: "if-none-match fails, if-modified-since holds", ask: get("digits", "If-None-Match", digitsETag, "If-Modified-Since", past), status: 304, doc: docGet},
		{name: "head: if-match other", ask: head("digits", "If-Match", other), status: 412, doc: docHead},
		{name: "head: if-none-match same", ask: head("digits", "If-None-Match", digitsETag), status: 304, doc: docHead},
	}
}
