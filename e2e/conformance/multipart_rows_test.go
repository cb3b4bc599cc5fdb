package conformance

import (
	"fmt"
	"strings"
)

const (
	docCreate      = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html"
	docPart        = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html"
	docPartCopy    = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html"
	docComplete    = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html"
	docAbort       = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html"
	docListParts   = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html"
	docListUploads = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html"
	docUserUploads = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html"
)

// begin creates an upload, which the calls after it know by {id}.
func begin(key string, header ...string) call { return to("POST "+key+"?uploads", header...) }

func part(key string, number int, content string, header ...string) call {
	return to(fmt.Sprintf("PUT %s?partNumber=%d&uploadId={id}", key, number), header...).sending(content)
}

// partList is the document of a completion: number and tag of each part.
func partList(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		b.WriteString("<Part><PartNumber>" + pairs[i] + "</PartNumber><ETag>" + pairs[i+1] + "</ETag></Part>")
	}
	return `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` + b.String() + "</CompleteMultipartUpload>"
}

func complete(key, document string, header ...string) call {
	return to("POST "+key+"?uploadId={id}", header...).sending(document)
}

func abort(key string) call { return to("DELETE " + key + "?uploadId={id}") }

func multipartRows() []row {
	const (
		none  = "nonsenseNonsenseNonsenseNonsense"
		other = "00000000000000000000000000000000"
		from  = "/" + bucket + "/digits"
	)
	five := strings.Repeat("a", 5<<20)
	copied := func(key string, header ...string) call {
		return to("PUT "+key+"?partNumber=1&uploadId={id}", append([]string{"X-Amz-Copy-Source", from}, header...)...)
	}
	return []row{
		{name: "upload: begin", ask: script(begin("up/a")), status: 200, match: []string{`<InitiateMultipartUploadResult`, `<Bucket>pics</Bucket>`, `<Key>up/a</Key>`, `<UploadId>[^<]+</UploadId>`}, doc: docCreate},
		{name: "upload: begin, may not", ask: script(to("POST /" + past + "/up?uploads").blindly()), status: 403, code: "AccessDenied", doc: docCreate, differs: map[server]difference{versityServer: noRoles}},
		{name: "upload: begin, unsigned", ask: script(begin("up/b").unsigned()), status: 403, code: "AccessDenied", doc: docCreate},
		{name: "upload: begin, no such bucket", ask: once("POST /no-such-bucket-here/x?uploads"), status: 404, code: "NoSuchBucket", doc: docCreate},
		{name: "upload: begin, storage class that is none", ask: script(begin("up/c", "X-Amz-Storage-Class", "SHELF")), status: 400, code: "InvalidStorageClass", doc: docCreate},
		{name: "upload: begin with SHA256", ask: script(begin("up/d", "X-Amz-Checksum-Algorithm", "SHA256")), status: 200, header: wanting("X-Amz-Checksum-Algorithm", "SHA256", "X-Amz-Checksum-Type", "COMPOSITE"), doc: docCreate},
		{name: "upload: begin with SHA256 of the whole", ask: script(begin("up/e", "X-Amz-Checksum-Algorithm", "SHA256", "X-Amz-Checksum-Type", "FULL_OBJECT")), status: 400, code: "InvalidRequest", doc: docUserUploads},
		{name: "upload: begin with CRC64NVME of parts", ask: script(begin("up/f", "X-Amz-Checksum-Algorithm", "CRC64NVME", "X-Amz-Checksum-Type", "COMPOSITE")), status: 400, code: "InvalidRequest", doc: docUserUploads},
		{name: "upload: begin with a type and no algorithm", ask: script(begin("up/g", "X-Amz-Checksum-Type", "COMPOSITE")), status: 400, code: "InvalidRequest", doc: docCreate},
		{name: "upload: begin with a checksum that is none", ask: script(begin("up/h", "X-Amz-Checksum-Algorithm", "MD6")), status: 400, code: "InvalidRequest", doc: docCreate},

		{name: "upload: part", ask: script(begin("up/i"), part("up/i", 1, digits)), status: 200, header: wanting("ETag", digitsETag), doc: docPart},
		{name: "upload: part 10,000", ask: script(begin("up/j"), part("up/j", 10000, digits)), status: 200, doc: docPart},
		{name: "upload: part 10,001", ask: script(begin("up/k"), part("up/k", 10001, digits)), status: 400, code: "InvalidArgument", doc: docPart},
		{name: "upload: part zero", ask: script(begin("up/l"), part("up/l", 0, digits)), status: 400, code: "InvalidArgument", doc: docPart},
		{name: "upload: part of no upload", ask: once("PUT up/m?partNumber=1&uploadId=" + none), status: 404, code: "NoSuchUpload", doc: docPart},
		{name: "upload: part of another key's upload", ask: script(begin("up/n"), part("up/other", 1, digits)), status: 404, code: "NoSuchUpload", doc: docPart},
		{name: "upload: part, MD5 of something else", ask: script(begin("up/o"), part("up/o", 1, digits, "Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==")), status: 400, code: "BadDigest", doc: docPart},
		{name: "upload: part, CRC32 of something else", ask: script(begin("up/p"), part("up/p", 1, digits, "X-Amz-Checksum-Crc32", "AAAAAA==")), status: 400, code: "BadDigest", doc: docPart},
		{name: "upload: part without the upload's checksum", ask: script(begin("up/q", "X-Amz-Checksum-Algorithm", "SHA256"), part("up/q", 1, digits)), status: 400, code: "InvalidRequest", doc: docPart},
		{name: "upload: part with another checksum", ask: script(begin("up/r", "X-Amz-Checksum-Algorithm", "SHA256"), part("up/r", 1, digits, "X-Amz-Checksum-Crc32", "poTHxg==")), status: 400, code: "InvalidRequest", doc: docPart},
		{name: "upload: part without a checksum, of the whole", ask: script(begin("up/s", "X-Amz-Checksum-Algorithm", "CRC32", "X-Amz-Checksum-Type", "FULL_OBJECT"), part("up/s", 1, digits)), status: 200, header: wanting("X-Amz-Checksum-Crc32", "poTHxg=="), doc: docPart},
		{name: "upload: part with a checksum that was not asked for", ask: script(begin("up/t"), part("up/t", 1, digits, "X-Amz-Checksum-Crc32", "poTHxg==")), status: 200, doc: docPart},
		{name: "upload: part of unknown length", ask: lengthless(script(begin("up/u"), part("up/u", 1, digits))), status: 411, code: "MissingContentLength", doc: docS3Error},
		{name: "upload: part, may not", ask: script(to("PUT /" + past + "/up?partNumber=1&uploadId=" + none).sending("x").blindly()), status: 403, code: "AccessDenied", doc: docPart, differs: map[server]difference{versityServer: noRoles}},
		{name: "upload: part, unsigned", ask: script(begin("up/v"), part("up/v", 1, digits).unsigned()), status: 403, code: "AccessDenied", doc: docPart},

		{name: "upload: copied part", ask: script(begin("up/w"), copied("up/w")), status: 200, match: []string{`<CopyPartResult`, `<ETag>(&#34;|&quot;|")?781e5e245d69b566979b86e28d23f2c7`}, doc: docPartCopy},
		{name: "upload: copied range", ask: script(begin("up/x"), copied("up/x", "X-Amz-Copy-Source-Range", "bytes=0-2")), status: 200, match: []string{`<ETag>(&#34;|&quot;|")?d2490f048dc3b77a457e3e450ab4eb38`}, doc: docPartCopy},
		{name: "upload: copied range beyond the end", ask: script(begin("up/y"), copied("up/y", "X-Amz-Copy-Source-Range", "bytes=5-10")), status: 400, code: "InvalidArgument", doc: docPartCopy},
		{name: "upload: copied range without an end", ask: script(begin("up/z"), copied("up/z", "X-Amz-Copy-Source-Range", "bytes=5-")), status: 400, code: "InvalidArgument", doc: docPartCopy},
		{name: "upload: copied part, source if-match other", ask: script(begin("up/aa"), copied("up/aa", "X-Amz-Copy-Source-If-Match", other)), status: 412, code: "PreconditionFailed", doc: docPartCopy},
		{name: "upload: copied part of nothing", ask: script(begin("up/ab"), to("PUT up/ab?partNumber=1&uploadId={id}", "X-Amz-Copy-Source", "/"+bucket+"/nothing")), status: 404, code: "NoSuchKey", doc: docPartCopy},
		{name: "upload: copied part to no upload", ask: once("PUT up/ac?partNumber=1&uploadId="+none, "X-Amz-Copy-Source", from), status: 404, code: "NoSuchUpload", doc: docPartCopy},
		{name: "upload: copied part, may not read the source", ask: script(begin("up/ad"), to("PUT up/ad?partNumber=1&uploadId={id}", "X-Amz-Copy-Source", "/"+past+"/k").blindly()), status: 403, code: "AccessDenied", doc: docPartCopy, differs: map[server]difference{versityServer: noRoles}},

		{name: "upload: complete", ask: script(begin("up/ae"), part("up/ae", 1, digits), complete("up/ae", partList("1", "{tag2}"))), status: 200, match: []string{`<CompleteMultipartUploadResult`, `<Bucket>pics</Bucket>`, `<Key>up/ae</Key>`, `<ETag>(&#34;|&quot;|")?[0-9a-f]{32}-1`}, doc: docComplete},
		{name: "upload: and it is there", ask: script(begin("up/af", "Content-Type", "text/row", "X-Amz-Meta-Row", "told"), part("up/af", 1, five), part("up/af", 2, digits), complete("up/af", partList("1", "{tag2}", "2", "{tag3}")), to("HEAD up/af")), status: 200, header: wanting("Content-Length", "5242890", "ETag", `"[0-9a-f]{32}-2"`, "Content-Type", "text/row", "X-Amz-Meta-Row", "told"), doc: docComplete},
		{name: "upload: second part of two", ask: script(begin("up/ag"), part("up/ag", 1, five), part("up/ag", 2, digits), complete("up/ag", partList("1", "{tag2}", "2", "{tag3}")), to("GET up/ag?partNumber=2")), status: 206, header: wanting("X-Amz-Mp-Parts-Count", "2", "Content-Range", "bytes 5242880-5242889/5242890"), body: digits, doc: docGet},
		{name: "upload: a part sent again", ask: script(begin("up/ah"), part("up/ah", 1, "first"), part("up/ah", 1, digits), complete("up/ah", partList("1", "{tag3}")), to("GET up/ah")), status: 200, body: digits, doc: docPart},
		{name: "upload: complete with a part that was replaced", ask: script(begin("up/ai"), part("up/ai", 1, "first"), part("up/ai", 1, digits), complete("up/ai", partList("1", "{tag2}"))), status: 400, code: "InvalidPart", doc: docComplete},
		{name: "upload: complete with small parts", ask: script(begin("up/aj"), part("up/aj", 1, "a"), part("up/aj", 2, "b"), complete("up/aj", partList("1", "{tag2}", "2", "{tag3}"))), status: 400, code: "EntityTooSmall", doc: docComplete},
		{name: "upload: complete out of order", ask: script(begin("up/ak"), part("up/ak", 1, "a"), part("up/ak", 2, "b"), complete("up/ak", partList("2", "{tag3}", "1", "{tag2}"))), status: 400, code: "InvalidPartOrder", doc: docComplete},
		{name: "upload: complete with a missing part", ask: script(begin("up/al"), part("up/al", 1, "a"), complete("up/al", partList("2", "{tag2}"))), status: 400, code: "InvalidPart", doc: docComplete},
		{name: "upload: complete with another tag", ask: script(begin("up/am"), part("up/am", 1, "a"), complete("up/am", partList("1", other))), status: 400, code: "InvalidPart", doc: docComplete},
		{name: "upload: complete without parts", ask: script(begin("up/an"), part("up/an", 1, "a"), complete("up/an", partList())), status: 400, code: "MalformedXML", doc: docComplete},
		{name: "upload: complete with broken XML", ask: script(begin("up/ao"), part("up/ao", 1, "a"), complete("up/ao", "<CompleteMultipartUpload>")), status: 400, code: "MalformedXML", doc: docComplete},
		{name: "upload: complete no upload", ask: script(to("POST up/ap?uploadId=" + none).sending(partList("1", other))), status: 404, code: "NoSuchUpload", doc: docComplete},
		{name: "upload: complete, size of something else", ask: script(begin("up/aq"), part("up/aq", 1, "a"), complete("up/aq", partList("1", "{tag2}"), "X-Amz-Mp-Object-Size", "7")), status: 400, code: "InvalidRequest", doc: docComplete},
		{name: "upload: complete, only if absent, present", ask: script(begin("digits"), part("digits", 1, digits), complete("digits", partList("1", "{tag2}"), "If-None-Match", "*")), status: 412, code: "PreconditionFailed", doc: docWrites},
		{name: "upload: complete, only if absent, absent", ask: script(begin("up/ar"), part("up/ar", 1, digits), complete("up/ar", partList("1", "{tag2}"), "If-None-Match", "*")), status: 200, doc: docWrites},
		{name: "upload: complete without a part's checksum", ask: script(begin("up/as", "X-Amz-Checksum-Algorithm", "CRC32"), part("up/as", 1, digits, "X-Amz-Checksum-Crc32", "poTHxg=="), complete("up/as", partList("1", "{tag2}"))), status: 400, code: "InvalidRequest", doc: docComplete},
		{name: "upload: complete, checksum of the whole", ask: script(begin("up/at", "X-Amz-Checksum-Algorithm", "CRC32", "X-Amz-Checksum-Type", "FULL_OBJECT"), part("up/at", 1, digits), complete("up/at", partList("1", "{tag2}"), "X-Amz-Checksum-Crc32", "poTHxg==")), status: 200, match: []string{`<ChecksumCRC32>poTHxg==</ChecksumCRC32>`, `<ChecksumType>FULL_OBJECT</ChecksumType>`}, doc: docComplete},
		{name: "upload: complete, checksum of something else", ask: script(begin("up/au", "X-Amz-Checksum-Algorithm", "CRC32", "X-Amz-Checksum-Type", "FULL_OBJECT"), part("up/au", 1, digits), complete("up/au", partList("1", "{tag2}"), "X-Amz-Checksum-Crc32", "AAAAAA==")), status: 400, code: "BadDigest", doc: docComplete},

		{name: "upload: abort", ask: script(begin("up/av"), part("up/av", 1, "a"), abort("up/av")), status: 204, doc: docAbort},
		{name: "upload: abort, and no part is taken", ask: script(begin("up/aw"), abort("up/aw"), part("up/aw", 1, "a")), status: 404, code: "NoSuchUpload", doc: docAbort},
		{name: "upload: abort, and it is not completed", ask: script(begin("up/ax"), part("up/ax", 1, "a"), abort("up/ax"), complete("up/ax", partList("1", "{tag2}"))), status: 404, code: "NoSuchUpload", doc: docAbort},
		{name: "upload: abort no upload", ask: once("DELETE up/ay?uploadId=" + none), status: 404, code: "NoSuchUpload", doc: docAbort},
		{name: "upload: abort, may not", ask: script(begin("up/az"), abort("up/az").blindly()), status: 403, code: "AccessDenied", doc: docAbort, differs: map[server]difference{versityServer: noRoles}},
		{name: "upload: in progress is no object", ask: script(begin("up/ba"), part("up/ba", 1, "a"), to("GET up/ba")), status: 404, code: "NoSuchKey", doc: docCreate},

		{name: "list parts", ask: script(begin("up/bb"), part("up/bb", 1, "a"), part("up/bb", 3, digits), to("GET up/bb?uploadId={id}")), status: 200, match: []string{`<ListPartsResult`, `<PartNumber>1</PartNumber>`, `<PartNumber>3</PartNumber>`, `<Size>10</Size>`, `<IsTruncated>false</IsTruncated>`, `<StorageClass>STANDARD</StorageClass>`, `<Initiator>`}, doc: docListParts},
		{name: "list parts: one", ask: script(begin("up/bc"), part("up/bc", 1, "a"), part("up/bc", 3, digits), to("GET up/bc?uploadId={id}&max-parts=1")), status: 200, match: []string{`<IsTruncated>true</IsTruncated>`, `<NextPartNumberMarker>1</NextPartNumberMarker>`, `<MaxParts>1</MaxParts>`, `!<PartNumber>3`}, doc: docListParts},
		{name: "list parts: after one", ask: script(begin("up/bd"), part("up/bd", 1, "a"), part("up/bd", 3, digits), to("GET up/bd?uploadId={id}&part-number-marker=1")), status: 200, match: []string{`<PartNumber>3</PartNumber>`, `!<PartNumber>1</PartNumber>`}, doc: docListParts},
		{name: "list parts: many in words", ask: script(begin("up/be"), to("GET up/be?uploadId={id}&max-parts=many")), status: 400, code: "InvalidArgument", doc: docListParts},
		{name: "list parts: no upload", ask: once("GET up/bf?uploadId=" + none), status: 404, code: "NoSuchUpload", doc: docListParts},
		{name: "list parts: may not", ask: script(begin("up/bg"), to("GET up/bg?uploadId={id}").blindly()), status: 403, code: "AccessDenied", doc: docListParts, differs: map[server]difference{versityServer: noRoles}},

		{name: "list uploads", ask: script(begin("ups/a"), begin("ups/b"), to("GET /"+bucket+"?uploads=&prefix=ups%2F")), status: 200, match: []string{`<ListMultipartUploadsResult`, `<Key>ups/a</Key>`, `<Key>ups/b</Key>`, `<UploadId>`, `<Initiated>`, `<IsTruncated>false</IsTruncated>`}, doc: docListUploads},
		{name: "list uploads: one", ask: script(begin("ups1/a"), begin("ups1/b"), to("GET /"+bucket+"?uploads=&prefix=ups1%2F&max-uploads=1")), status: 200, match: []string{`<Key>ups1/a</Key>`, `!<Key>ups1/b</Key>`, `<IsTruncated>true</IsTruncated>`, `<NextKeyMarker>ups1/a</NextKeyMarker>`}, doc: docListUploads},
		{name: "list uploads: after a key", ask: script(begin("ups2/a"), begin("ups2/b"), to("GET /"+bucket+"?uploads=&prefix=ups2%2F&key-marker=ups2%2Fa")), status: 200, match: []string{`<Key>ups2/b</Key>`, `!<Key>ups2/a</Key>`}, doc: docListUploads},
		{name: "list uploads: delimiter", ask: script(begin("ups3/a"), begin("ups3/b"), to("GET /"+bucket+"?uploads=&prefix=ups3&delimiter=%2F")), status: 200, match: []string{`<CommonPrefixes><Prefix>ups3/</Prefix></CommonPrefixes>`, `!<Key>`}, doc: docListUploads},
		{name: "list uploads: many in words", ask: once("GET /" + bucket + "?uploads=&max-uploads=many"), status: 400, code: "InvalidArgument", doc: docListUploads},
		{name: "list uploads: may not", ask: script(to("GET /" + bucket + "?uploads=").blindly()), status: 403, code: "AccessDenied", doc: docListUploads, differs: map[server]difference{versityServer: noRoles}},
	}
}
