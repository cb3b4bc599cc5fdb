package conformance

const docCopy = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html"

// copyOf is a call that copies what the source header names.
func copyOf(source, key string, header ...string) call {
	return to("PUT "+key, append([]string{"X-Amz-Copy-Source", source}, header...)...)
}

func copyRows() []row {
	const (
		source = "/" + bucket + "/digits"
		other  = `"00000000000000000000000000000000"`
		before = "Mon, 01 Jan 2001 00:00:00 GMT"
	)
	described := to("PUT copy/source", "Content-Type", "text/row", "Cache-Control", "max-age=1", "X-Amz-Meta-Row", "told").sending("x")
	return []row{
		{name: "copy", ask: script(copyOf(source, "copy/a")), status: 200, match: []string{`<CopyObjectResult`, `<LastModified>[^<]+</LastModified>`, `<ETag>(&#34;|&quot;|")?781e5e245d69b566979b86e28d23f2c7`}, doc: docCopy},
		{name: "copy: and it is there", ask: script(copyOf(source, "copy/b"), to("GET copy/b")), status: 200, header: wanting("ETag", digitsETag), body: digits, doc: docCopy},
		{name: "copy: source without a slash", ask: script(copyOf(bucket+"/digits", "copy/c")), status: 200, doc: docCopy},
		{name: "copy: odd source", ask: script(copyOf("/"+bucket+"/odd/a%20b%2Bc%2520%C3%A9", "copy/d"), to("GET copy/d")), status: 200, body: "odd", doc: docCopy},
		{name: "copy: metadata of the source", ask: script(described, copyOf("/"+bucket+"/copy/source", "copy/e"), to("HEAD copy/e")), status: 200, header: wanting("Content-Type", "text/row", "Cache-Control", "max-age=1", "X-Amz-Meta-Row", "told"), doc: docCopy},
		{name: "copy: metadata of its own", ask: script(described, copyOf("/"+bucket+"/copy/source", "copy/f", "X-Amz-Metadata-Directive", "REPLACE", "Content-Type", "text/other", "X-Amz-Meta-Own", "told"), to("HEAD copy/f")), status: 200, header: wanting("Content-Type", "text/other", "X-Amz-Meta-Own", "told", "X-Amz-Meta-Row", ""), doc: docCopy},
		{name: "copy: metadata of its own is ignored", ask: script(described, copyOf("/"+bucket+"/copy/source", "copy/g", "X-Amz-Metadata-Directive", "COPY", "X-Amz-Meta-Own", "told"), to("HEAD copy/g")), status: 200, header: wanting("Content-Type", "text/row", "X-Amz-Meta-Own", ""), doc: docCopy},
		{name: "copy: directive that is none", ask: script(copyOf(source, "copy/h", "X-Amz-Metadata-Directive", "MERGE")), status: 400, code: "InvalidArgument", doc: docCopy},
		{name: "copy: onto itself", ask: script(copyOf(source, "digits")), status: 400, code: "InvalidRequest", doc: docCopy},
		{name: "copy: onto itself with metadata", ask: script(copyOf(source, "digits", "X-Amz-Metadata-Directive", "REPLACE")), status: 200, doc: docCopy},
		{name: "copy: source without a key", ask: script(copyOf("/"+bucket, "copy/i")), status: 400, code: "InvalidArgument", doc: docCopy},
		{name: "copy: no such source", ask: script(copyOf("/"+bucket+"/nothing", "copy/j")), status: 404, code: "NoSuchKey", doc: docCopy},
		{name: "copy: no such source's bucket", ask: script(copyOf("/no-such-bucket-here/x", "copy/k")), status: 404, code: "NoSuchBucket", doc: docCopy},
		{name: "copy: no such bucket", ask: script(copyOf(source, "/no-such-bucket-here/x")), status: 404, code: "NoSuchBucket", doc: docCopy},
		{name: "copy: source's version id of no version", ask: script(copyOf(source+"?versionId=nonsense", "copy/l")), status: 400, code: "InvalidArgument", doc: docCopy},
		{name: "copy: source if-match same", ask: script(copyOf(source, "copy/m", "X-Amz-Copy-Source-If-Match", digitsETag)), status: 200, doc: docCopy},
		{name: "copy: source if-match other", ask: script(copyOf(source, "copy/n", "X-Amz-Copy-Source-If-Match", other)), status: 412, code: "PreconditionFailed", doc: docCopy},
		{name: "copy: source if-none-match same", ask: script(copyOf(source, "copy/o", "X-Amz-Copy-Source-If-None-Match", digitsETag)), status: 412, code: "PreconditionFailed", doc: docCopy},
		{name: "copy: source if-none-match other", ask: script(copyOf(source, "copy/p", "X-Amz-Copy-Source-If-None-Match", other)), status: 200, doc: docCopy},
		{name: "copy: source if-unmodified-since before", ask: script(copyOf(source, "copy/q", "X-Amz-Copy-Source-If-Unmodified-Since", before)), status: 412, code: "PreconditionFailed", doc: docCopy},
		{name: "copy: source if-modified-since before", ask: script(copyOf(source, "copy/r", "X-Amz-Copy-Source-If-Modified-Since", before)), status: 200, doc: docCopy},
		{name: "copy: if-match holds, if-unmodified-since does not", ask: script(copyOf(source, "copy/s", "X-Amz-Copy-Source-If-Match", digitsETag, "X-Amz-Copy-Source-If-Unmodified-Since", before)), status: 200, doc: docCopy},
		{name: "copy: only if absent, present", ask: script(copyOf(source, "empty", "If-None-Match", "*")), status: 412, code: "PreconditionFailed", doc: docWrites},
		{name: "copy: storage class that is none", ask: script(copyOf(source, "copy/t", "X-Amz-Storage-Class", "SHELF")), status: 400, code: "InvalidStorageClass", doc: docCopy},
		{name: "copy: may not read the source", ask: script(copyOf("/"+past+"/k", "copy/u").blindly()), status: 403, code: "AccessDenied", doc: docCopy, differs: map[server]difference{versityServer: noRoles}},
		{name: "copy: may not list, no such source", ask: script(copyOf("/"+bucket+"/nothing", "copy/v").blindly()), status: 403, code: "AccessDenied", doc: docCopy, differs: map[server]difference{versityServer: noRoles}},
		{name: "copy: may not write", ask: script(copyOf(source, "/"+past+"/copy").blindly()), status: 403, code: "AccessDenied", doc: docCopy, differs: map[server]difference{versityServer: noRoles}},
		{name: "copy: unsigned", ask: script(copyOf(source, "copy/w").unsigned()), status: 403, code: "AccessDenied", doc: docCopy},
		{name: "copy: not the source's expected owner", ask: script(copyOf(source, "copy/x", "X-Amz-Source-Expected-Bucket-Owner", "999988887777")), status: 403, code: "AccessDenied", doc: docCopy},
		{name: "copy: to a public ACL", ask: script(copyOf(source, "copy/y", "X-Amz-Acl", "public-read")), status: 400, code: "AccessControlListNotSupported", doc: docCopy},
	}
}
