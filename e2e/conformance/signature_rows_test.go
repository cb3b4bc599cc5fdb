package conformance

import (
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const hour = time.Hour

// get returns a GET of a key by the reader; the key is as on the wire.
func get(key string, header ...string) func(*world) ask {
	return object(http.MethodGet, key, header...)
}

// head returns the same request as a HEAD.
func head(key string, header ...string) func(*world) ask {
	return object(http.MethodHead, key, header...)
}

func object(method, key string, header ...string) func(*world) ask {
	return func(w *world) ask {
		a := ask{method: method, path: "/" + bucket + "/" + key, signer: &w.reader, header: map[string]string{}}
		for i := 0; i < len(header); i += 2 {
			a.header[header[i]] = header[i+1]
		}
		return a
	}
}

// s3Error matches every refusal of S3.
var s3Error = map[string]string{"Content-Type": "application/xml.*", "X-Amz-Request-Id": ".+", "Www-Authenticate": "", "Etag": ""}

func signatureRows() []row {
	presigned := func(expires string) func(*world) ask {
		return with(get("digits"), func(_ *world, a *ask) { a.presign = expires })
	}
	ended := func(build func(*world) ask) func(*world) ask {
		return with(build, func(w *world, a *ask) { a.signer = w.expired(w.t) })
	}
	onCeph := func(status int, code, why string) map[server]difference {
		return map[server]difference{gateway: {status: status, code: code, why: why}, versityServer: skip("the owner's long-term keys do not end")}
	}
	return []row{
		{name: "s3: expired session", ask: ended(get("digits")), status: 400, code: "ExpiredToken", header: s3Error, doc: docS3Error, differs: onCeph(403, "AccessDenied", "another code")},
		{name: "s3: expired session, HEAD", ask: ended(head("digits")), status: 400, doc: docHead, differs: onCeph(403, "", "another code")},
		{name: "s3: expired session, listing", ask: ended(list("")), status: 400, code: "ExpiredToken", doc: docS3Error, differs: onCeph(403, "AccessDenied", "another code")},
		{name: "s3: expired session and wrong secret", ask: by(ended(get("digits")), func(c *aws.Credentials) { c.SecretAccessKey += "x" }), status: 403, code: "SignatureDoesNotMatch", doc: docS3Error,
			differs: onCeph(403, "AccessDenied", "another code")},
		{name: "presigned: by an expired session", ask: ended(presigned("60")), status: 400, code: "ExpiredToken", doc: docPresign, differs: onCeph(403, "AccessDenied", "another code")},
		{name: "s3: unsigned", ask: with(get("digits"), func(_ *world, a *ask) { a.signer = nil }), status: 403, code: "AccessDenied", header: s3Error, doc: docSign},
		{name: "s3: wrong secret", ask: by(get("digits"), func(c *aws.Credentials) { c.SecretAccessKey += "x" }), status: 403, code: "SignatureDoesNotMatch", header: s3Error, doc: docS3Error},
		{name: "s3: unknown key", ask: by(get("digits"), func(c *aws.Credentials) { c.AccessKeyID = "AKIAUNKNOWNUNKNOWN00"; c.SessionToken = "" }), status: 403, code: "InvalidAccessKeyId", doc: docS3Error},
		{name: "s3: garbage session token", ask: by(get("digits"), func(c *aws.Credentials) { c.SessionToken = "garbage" }), status: 400, code: "InvalidToken", doc: docS3Error,
			differs: map[server]difference{gateway: {status: 403, code: "AccessDenied", why: "another code"}}},
		{name: "s3: no session token", ask: by(get("digits"), func(c *aws.Credentials) { c.SessionToken = "" }), status: 403, code: "InvalidAccessKeyId", doc: docS3Error,
			differs: map[server]difference{versityServer: skip("the owner's long-term keys need none")}},
		{name: "s3: signed an hour ago", ask: with(get("digits"), func(_ *world, a *ask) { a.signedAgo = hour }), status: 403, code: "RequestTimeTooSkewed", doc: docS3Error},
		{name: "s3: signed for another region", ask: with(get("digits"), func(_ *world, a *ask) { a.region = "eu-west-1" }), status: 400, code: "AuthorizationHeaderMalformed", header: map[string]string{"X-Amz-Bucket-Region": region}, doc: docS3Error,
			differs: map[server]difference{double: {status: 301, code: "PermanentRedirect", why: "a host without a region has the signature's: package documentation"}}},
		{name: "s3: signed for another service", ask: with(get("digits"), func(_ *world, a *ask) { a.service = "sts" }), status: 400, code: "AuthorizationHeaderMalformed", doc: docS3Error},
		{name: "s3: a signed header changed", ask: with(get("digits", "X-Amz-Meta-Row", "a"), func(_ *world, a *ask) {
			a.after = func(r *http.Request) { r.Header.Set("X-Amz-Meta-Row", "b") }
		}), status: 403, code: "SignatureDoesNotMatch", doc: docSign},
		{name: "s3: an unsigned header added", ask: with(get("digits"), func(_ *world, a *ask) {
			a.after = func(r *http.Request) { r.Header.Set("X-Row", "b") }
		}), status: 200, body: digits, doc: docSign},
		{name: "s3: an unsigned x-amz- header added", ask: with(get("digits"), func(_ *world, a *ask) {
			a.after = func(r *http.Request) { r.Header.Set("X-Amz-Meta-Row", "b") }
		}), status: 403, code: "AccessDenied", doc: docSign},
		{name: "s3: signature of no form", ask: with(get("digits"), func(_ *world, a *ask) {
			a.after = func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 nonsense") }
		}), status: 400, code: "AuthorizationHeaderMalformed", doc: docS3Error},
		{name: "s3: the query changed", ask: with(get("digits"), func(_ *world, a *ask) {
			a.after = func(r *http.Request) { r.URL.RawQuery = "response-content-type=text/x" }
		}), status: 403, code: "SignatureDoesNotMatch", doc: docSign},
		{name: "s3: payload not signed", ask: get("digits", "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), status: 200, body: digits, doc: docSign},
		{name: "presigned", ask: presigned("60"), status: 200, body: digits, doc: docPresign},
		{name: "presigned: over", ask: with(presigned("60"), func(_ *world, a *ask) { a.signedAgo = 2 * time.Minute }), status: 403, code: "AccessDenied", doc: docPresign},
		{name: "presigned: for eight days", ask: presigned("691200"), status: 400, code: "AuthorizationQueryParametersError", doc: docPresign},
		{name: "presigned: without an end", ask: with(presigned("60"), func(_ *world, a *ask) {
			a.after = func(r *http.Request) {
				q := r.URL.Query()
				q.Del("X-Amz-Expires")
				r.URL.RawQuery = q.Encode()
			}
		}), status: 400, code: "AuthorizationQueryParametersError", doc: docPresign},
		{name: "presigned: and signed", ask: with(presigned("60"), func(w *world, a *ask) {
			a.after = func(r *http.Request) {
				r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+w.reader.AccessKeyID+"/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00")
			}
		}), status: 400, code: "InvalidArgument", doc: docS3Error},
		{name: "presigned: for another key", ask: with(presigned("60"), func(_ *world, a *ask) {
			a.after = func(r *http.Request) { r.URL.Path = "/" + bucket + "/dir/a" }
		}), status: 403, code: "SignatureDoesNotMatch", doc: docPresign},
		{name: "presigned: another method", ask: with(presigned("60"), func(_ *world, a *ask) {
			a.after = func(r *http.Request) { r.Method = http.MethodPut }
		}), status: 403, code: "SignatureDoesNotMatch", doc: docPresign},
	}
}
