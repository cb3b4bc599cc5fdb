package conformance

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// list returns a request for a page of the bucket's listing.
func list(query string) func(*world) ask {
	if query != "" {
		query = "&" + query
	}
	return bucketRequest(http.MethodGet, "list-type=2"+query)
}

// next returns a request for the page after the one that query requests.
func next(query string) func(*world) ask {
	return func(w *world) ask {
		w.t.Helper()
		first := w.do(w.t, list(query)(w))
		m := regexp.MustCompile(`<NextContinuationToken>([^<]+)<`).FindStringSubmatch(first.body)
		if m == nil {
			w.t.Fatalf("the page names no next one:\n%s", first)
		}
		return list(query + "&continuation-token=" + url.QueryEscape(html.UnescapeString(m[1])))(w)
	}
}

func listRows() []row {
	page := map[string]string{"Content-Type": "application/xml.*"}
	return []row{
		{name: "list", ask: list(""), status: 200, header: page, match: []string{`<Key>digits</Key>`, `<ETag>(&#34;|&quot;|")[0-9a-f]{32}(&#34;|&quot;|")</ETag>`, `<StorageClass>STANDARD</StorageClass>`}, doc: docList},
		{name: "list: after a key", ask: list("start-after=dir%2Fb&prefix=dir%2F"), status: 200, match: []string{`<KeyCount>1</KeyCount>`, `<Key>dir/sub/c</Key>`}, doc: docList},
		{name: "list: prefix", ask: list("prefix=dir%2F"), status: 200, match: []string{`<KeyCount>3</KeyCount>`, `<Key>dir/sub/c</Key>`, `<IsTruncated>false</IsTruncated>`}, doc: docList},
		{name: "list: delimiter", ask: list("delimiter=%2F"), status: 200, match: []string{`<CommonPrefixes><Prefix>dir/</Prefix></CommonPrefixes>`, `<CommonPrefixes><Prefix>odd/</Prefix></CommonPrefixes>`, `<KeyCount>4</KeyCount>`}, doc: docList},
		{name: "list: encoded", ask: list("encoding-type=url"), status: 200, match: []string{`<EncodingType>url</EncodingType>`, `<Key>odd/a\+b%2Bc%2520%C3%A9</Key>`}, doc: docList},
		{name: "list: unknown encoding", ask: list("encoding-type=rot13"), status: 400, code: "InvalidArgument", doc: docList},
		{name: "list: one key", ask: list("max-keys=1"), status: 200, match: []string{`<KeyCount>1</KeyCount>`, `<IsTruncated>true</IsTruncated>`, `<NextContinuationToken>.+</NextContinuationToken>`, `<Key>digits</Key>`}, doc: docList},
		{name: "list: no key", ask: list("max-keys=0"), status: 200, match: []string{`<KeyCount>0</KeyCount>`, `<IsTruncated>false</IsTruncated>`}, doc: docList},
		{name: "list: 1,001 keys", ask: list("max-keys=1001"), status: 200, match: []string{`<MaxKeys>1000</MaxKeys>`}, doc: docList},
		{name: "list: minus one key", ask: list("max-keys=-1"), status: 400, code: "InvalidArgument", doc: docList},
		{name: "list: many keys in words", ask: list("max-keys=many"), status: 400, code: "InvalidArgument", doc: docList},
		{name: "list: foreign continuation token", ask: list("continuation-token=nonsense"), status: 400, code: "InvalidArgument", doc: docList},
		{name: "list: next page", ask: next("max-keys=2&prefix=dir%2F"), status: 200, match: []string{`<KeyCount>1</KeyCount>`, `<Key>dir/sub/c</Key>`, `<IsTruncated>false</IsTruncated>`, `<ContinuationToken>.+</ContinuationToken>`, `!<NextContinuationToken>`}, doc: docList},
		{name: "list: next page after a common prefix", ask: next("max-keys=2&delimiter=%2F"), status: 200, match: []string{`<Key>empty</Key>`, `<Prefix>odd/</Prefix>`, `!<Prefix>dir/</Prefix>`}, doc: docList},
		{name: "list: prefix and delimiter", ask: list("prefix=dir%2F&delimiter=%2F"), status: 200, match: []string{`<KeyCount>3</KeyCount>`, `<Key>dir/b</Key>`, `<CommonPrefixes><Prefix>dir/sub/</Prefix></CommonPrefixes>`, `!<Key>dir/sub/c`}, doc: docList},
		{name: "list: delimiter of two characters", ask: list("delimiter=%2F%2F"), status: 200, match: []string{`<CommonPrefixes><Prefix>odd/x//</Prefix></CommonPrefixes>`, `<Key>dir/a</Key>`}, doc: docList, differs: map[server]difference{versityServer: skip("a POSIX directory tree has no such name")}},
		{name: "list: nothing begins so", ask: list("prefix=zzz"), status: 200, match: []string{`<KeyCount>0</KeyCount>`, `<IsTruncated>false</IsTruncated>`, `!<Contents>`}, doc: docList},
		{name: "list: no owner", ask: list(""), status: 200, match: []string{`!<Owner>`}, doc: docList},
		{name: "list: fetch-owner", ask: list("fetch-owner=true"), status: 200, match: []string{`<Owner><ID>[^<]+</ID>`}, doc: docList},
		{name: "list: may not", ask: blind(list("")), status: 403, code: "AccessDenied", doc: docList, differs: map[server]difference{versityServer: noRoles}},
		{name: "list: no such bucket", ask: with(list(""), func(_ *world, a *ask) { a.path = "/no-such-bucket-here" }), status: 404, code: "NoSuchBucket", doc: docList},
	}
}

// put returns a request to write a new object, with the row's conditions.
func put(key, body string, header ...string) func(*world) ask {
	return with(object(http.MethodPut, key, header...), func(_ *world, a *ask) { a.body = body })
}

func writeRows() []row {
	return []row{
		{name: "put", ask: put("new/a", digits), status: 200, header: map[string]string{"ETag": digitsETag}, doc: docPut},
		{name: "get: what was put", ask: func(w *world) ask {
			w.do(w.t, put("new/described", "x", "Content-Type", "text/row", "Cache-Control", "max-age=1", "X-Amz-Meta-Row", "set")(w))
			return get("new/described")(w)
		}, status: 200, header: map[string]string{"Content-Type": "text/row", "Cache-Control": "max-age=1", "X-Amz-Meta-Row": "set"}, body: "x", doc: docGet},
		{name: "put: MD5 right", ask: put("new/b", digits, "Content-MD5", "eB5eJF1ptWaXm4bijSPyxw=="), status: 200, doc: docPut},
		{name: "put: MD5 of something else", ask: put("new/c", digits, "Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg=="), status: 400, code: "BadDigest", doc: docS3Error},
		{name: "put: no MD5", ask: put("new/d", digits, "Content-MD5", "nonsense"), status: 400, code: "InvalidDigest", doc: docS3Error},
		{name: "put: another payload than signed", ask: put("new/e", digits, "X-Amz-Content-Sha256", strings.Repeat("0", 64)), status: 400, code: "XAmzContentSHA256Mismatch", doc: docS3Error},
		{name: "put: CRC32 right", ask: put("new/f", digits, "X-Amz-Checksum-Crc32", "poTHxg=="), status: 200, doc: docPut},
		{name: "put: CRC32 of something else", ask: put("new/g", digits, "X-Amz-Checksum-Crc32", "AAAAAA=="), status: 400, code: "BadDigest", doc: docPut},
		{name: "put: only if absent, present", ask: put("digits", "x", "If-None-Match", "*"), status: 412, code: "PreconditionFailed", doc: docPut},
		{name: "put: only if absent, absent", ask: put("new/h", digits, "If-None-Match", "*"), status: 200, doc: docPut},
		{name: "put: only if absent, by a tag", ask: put("new/i", digits, "If-None-Match", digitsETag), status: 501, code: "NotImplemented", doc: docPut},
		{name: "put: only if the same, same", ask: put("digits", digits, "If-Match", digitsETag), status: 200, doc: docPut},
		{name: "put: only if the same, tag without quotes", ask: put("digits", digits, "If-Match", strings.Trim(digitsETag, `"`)), status: 200, doc: docPut},
		{name: "put: only if the same, other", ask: put("empty", "x", "If-Match", digitsETag), status: 412, code: "PreconditionFailed", doc: docPut},
		{name: "put: only if the same, absent", ask: put("new/j", digits, "If-Match", digitsETag), status: 404, code: "NoSuchKey", doc: docWrites},
		{name: "put: of unknown length", ask: with(put("new/k", digits), func(_ *world, a *ask) { a.lengthless = true }), status: 411, code: "MissingContentLength", doc: docS3Error},
		{name: "put: two checksums", ask: put("new/l", digits, "X-Amz-Checksum-Crc32", "poTHxg==", "X-Amz-Checksum-Sha1", "h6zsF80SVykR4EprIxvEuEhmUu4="), status: 400, code: "InvalidRequest", doc: docPut},
		{name: "put: CRC32 of no form", ask: put("new/m", digits, "X-Amz-Checksum-Crc32", "nonsense"), status: 400, code: "InvalidRequest", doc: docPut},
		{name: "put: storage class that is none", ask: put("new/n", digits, "X-Amz-Storage-Class", "SHELF"), status: 400, code: "InvalidStorageClass", doc: docS3Error},
		{name: "put: key of 1,025 bytes", ask: put(strings.Repeat("k", 1025), digits), status: 400, code: "KeyTooLongError", doc: docS3Error},
		{name: "put: unsigned", ask: with(put("new/o", digits), func(_ *world, a *ask) { a.signer = nil }), status: 403, code: "AccessDenied", doc: docS3Error},
		{name: "put: no such bucket", ask: with(put("x", digits), func(_ *world, a *ask) { a.path = "/no-such-bucket-here/x" }), status: 404, code: "NoSuchBucket", doc: docPut},
	}
}
