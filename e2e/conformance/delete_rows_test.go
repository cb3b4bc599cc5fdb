package conformance

import (
	"fmt"
	"strings"
)

const (
	docDelete   = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html"
	docDeletes  = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html"
	docDeleteIf = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html"
)

// deletion is a document of DeleteObjects.
func deletion(entries ...string) string {
	return `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` + strings.Join(entries, "") + "</Delete>"
}

func entry(key string) string { return "<Object><Key>" + key + "</Key></Object>" }

// entries are n keys that hold nothing.
func entries(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(entry(fmt.Sprintf("many/none-%d", i)))
	}
	return b.String()
}

// deleteMany is a DeleteObjects, with its Content-MD5.
func deleteMany(document string) call {
	return to("POST /"+bucket+"?delete=", "Content-MD5", "{md5}").sending(document)
}

func deleteRows() []row {
	const other = `"00000000000000000000000000000000"`
	return []row{
		{name: "delete", ask: script(stored("del/a", "x"), to("DELETE del/a")), status: 204, header: wanting("X-Amz-Delete-Marker", ""), doc: docDelete},
		{name: "delete: and it is gone", ask: script(stored("del/b", "x"), to("DELETE del/b"), to("GET del/b")), status: 404, code: "NoSuchKey", doc: docDelete},
		{name: "delete: nothing there", ask: once("DELETE del/none"), status: 204, doc: docDelete},
		{name: "delete: twice", ask: script(stored("del/c", "x"), to("DELETE del/c"), to("DELETE del/c")), status: 204, doc: docDelete},
		{name: "delete: may not", ask: script(stored("del/d", "x"), to("DELETE del/d").blindly()), status: 403, code: "AccessDenied", doc: docDelete, differs: map[server]difference{versityServer: noRoles}},
		{name: "delete: may not, nothing there", ask: script(to("DELETE del/none").blindly()), status: 403, code: "AccessDenied", doc: docDelete, differs: map[server]difference{versityServer: noRoles}},
		{name: "delete: unsigned", ask: script(to("DELETE del/none").unsigned()), status: 403, code: "AccessDenied", doc: docDelete},
		{name: "delete: no such bucket", ask: once("DELETE /no-such-bucket-here/x"), status: 404, code: "NoSuchBucket", doc: docDelete},
		{name: "delete: key of 1,025 bytes", ask: once("DELETE " + strings.Repeat("k", 1025)), status: 400, code: "KeyTooLongError", doc: docS3Error},
		{name: "delete: not the expected owner", ask: once("DELETE del/none", "X-Amz-Expected-Bucket-Owner", "999988887777"), status: 403, code: "AccessDenied", doc: docDelete},
		{name: "delete: null version", ask: script(stored("del/e", "x"), to("DELETE del/e?versionId=null")), status: 204, doc: docDelete},
		{name: "delete: version id of no version", ask: once("DELETE del/none?versionId=nonsense"), status: 400, code: "InvalidArgument", doc: docDelete},
		{name: "delete: by a presigned URL", ask: with(script(stored("del/f", "x"), to("DELETE del/f")), func(_ *world, a *ask) { a.presign = "60" }), status: 204, doc: docPresign},
		{name: "delete: if-match same", ask: script(stored("del/g", "x"), to("DELETE del/g", "If-Match", "{tag1}")), status: 204, doc: docDeleteIf},
		{name: "delete: if-match other", ask: script(stored("del/h", "x"), to("DELETE del/h", "If-Match", other)), status: 412, code: "PreconditionFailed", doc: docDeleteIf},
		{name: "delete: if-match other, and it is still there", ask: script(stored("del/i", "x"), to("DELETE del/i", "If-Match", other).refused(), to("GET del/i")), status: 200, body: "x", doc: docDeleteIf},
		{name: "delete: if-match star", ask: script(stored("del/j", "x"), to("DELETE del/j", "If-Match", "*")), status: 204, doc: docDeleteIf},

		{name: "delete many", ask: script(stored("many/a", "x"), stored("many/b", "x"), deleteMany(deletion(entry("many/a"), entry("many/b")))), status: 200, match: []string{`<Deleted><Key>many/a</Key></Deleted>`, `<Deleted><Key>many/b</Key></Deleted>`, `!<Error>`}, doc: docDeletes},
		{name: "delete many: and they are gone", ask: script(stored("many/c", "x"), deleteMany(deletion(entry("many/c"))), to("GET many/c")), status: 404, code: "NoSuchKey", doc: docDeletes},
		{name: "delete many: nothing there", ask: script(deleteMany(deletion(entry("many/none")))), status: 200, match: []string{`<Deleted><Key>many/none</Key></Deleted>`}, doc: docDeletes},
		{name: "delete many: quiet", ask: script(stored("many/d", "x"), deleteMany(deletion("<Quiet>true</Quiet>", entry("many/d")))), status: 200, match: []string{`!<Deleted>`, `!<Error>`}, doc: docDeletes},
		{name: "delete many: markup in a key", ask: script(stored("many/a%26b", "x"), deleteMany(deletion(entry("many/a&amp;b"))), to("GET many/a%26b")), status: 404, code: "NoSuchKey", doc: docDeletes},
		{name: "delete many: no MD5", ask: script(to("POST /" + bucket + "?delete=").sending(deletion(entry("many/none")))), status: 400, code: "InvalidRequest", doc: docDeletes},
		{name: "delete many: MD5 of something else", ask: script(to("POST /"+bucket+"?delete=", "Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==").sending(deletion(entry("many/none")))), status: 400, code: "BadDigest", doc: docDeletes},
		{name: "delete many: CRC32 of something else", ask: script(to("POST /"+bucket+"?delete=", "X-Amz-Checksum-Crc32", "AAAAAA==").sending(deletion(entry("many/none")))), status: 400, code: "BadDigest", doc: docDeletes},
		{name: "delete many: no XML", ask: script(deleteMany("nonsense")), status: 400, code: "MalformedXML", doc: docDeletes},
		{name: "delete many: broken XML", ask: script(deleteMany("<Delete><Object>")), status: 400, code: "MalformedXML", doc: docDeletes},
		{name: "delete many: no keys", ask: script(deleteMany(deletion())), status: 400, code: "MalformedXML", doc: docDeletes},
		{name: "delete many: 1,000 keys", ask: script(deleteMany(deletion(entries(1000)))), status: 200, doc: docDeletes},
		{name: "delete many: 1,001 keys", ask: script(deleteMany(deletion(entries(1001)))), status: 400, code: "MalformedXML", doc: docDeletes},
		{name: "delete many: may not", ask: script(stored("many/e", "x"), deleteMany(deletion(entry("many/e"))).blindly()), status: 200, match: []string{`<Error><Key>many/e</Key>(<VersionId></VersionId>|<VersionId/>)?<Code>AccessDenied</Code>`, `!<Deleted>`}, doc: docDeletes, differs: map[server]difference{versityServer: noRoles}},
		{name: "delete many: tag of something else", ask: script(stored("many/f", "x"), deleteMany(deletion("<Object><Key>many/f</Key><ETag>"+strings.Trim(other, `"`)+"</ETag></Object>"))), status: 200, match: []string{`<Code>PreconditionFailed</Code>`}, doc: docDeleteIf},
		{name: "delete many: no such bucket", ask: script(to("POST /no-such-bucket-here?delete=", "Content-MD5", "{md5}").sending(deletion(entry("a")))), status: 404, code: "NoSuchBucket", doc: docDeletes},
	}
}
