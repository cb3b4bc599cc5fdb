package conformance

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"net/http"
	"regexp"
	"strings"
)

// crc returns the CRC32 of a text, as S3 writes it; those of parts give the composite.
func crc(texts ...string) string {
	var sums []byte
	for _, text := range texts {
		sums = binary.BigEndian.AppendUint32(sums, crc32.ChecksumIEEE([]byte(text)))
	}
	if len(texts) > 1 {
		sums = binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(sums))
	}
	return base64.StdEncoding.EncodeToString(sums)
}

// twoParts are calls that store an object in two parts with a composite checksum: 5 MiB
// of the letter a, and the digits.
func twoParts(key string, then ...call) func(*world) ask {
	five := strings.Repeat("a", 5<<20)
	list := strings.NewReplacer("{tag2}</ETag>", "{tag2}</ETag><ChecksumCRC32>"+crc(five)+"</ChecksumCRC32>", "{tag3}</ETag>", "{tag3}</ETag><ChecksumCRC32>"+crc(digits)+"</ChecksumCRC32>").
		Replace(partList("1", "{tag2}", "2", "{tag3}"))
	return script(append([]call{
		begin(key, "X-Amz-Checksum-Algorithm", "CRC32", "X-Amz-Checksum-Type", "COMPOSITE"),
		part(key, 1, five, "X-Amz-Checksum-Crc32", crc(five)), part(key, 2, digits, "X-Amz-Checksum-Crc32", crc(digits)), complete(key, list),
	}, then...)...)
}

// readerRows are what readers send that verify large objects by their parts, read
// encrypted objects, and sign links.
func readerRows() []row {
	const (
		customer   = "X-Amz-Server-Side-Encryption-Customer-"
		overridden = "response-cache-control=no-store&response-content-disposition=attachment%3B%20filename%3D%22cat.jpg%22&response-content-encoding=identity&response-content-language=de&response-content-type=image%2Fjpeg&response-expires=Thu%2C%2001%20Dec%202022%2016%3A00%3A00%20GMT"
		zero       = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	)
	key := []string{customer + "Algorithm", "AES256", customer + "Key", "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=", customer + "Key-Md5", "Xsqb0+sHwAbNQ65I395/0w=="}
	otherKey := []string{customer + "Algorithm", "AES256", customer + "Key", zero, customer + "Key-Md5", "cLyPS3KoaSFGi/joRB3OUQ=="}
	encrypted := func(name string, then call) func(*world) ask {
		at := "/" + past + "/" + name // this bucket admits keys of customers
		then.line = strings.Replace(then.line, "KEY", at, 1)
		return script(to("PUT "+at, key...).sending(digits), then)
	}
	five := strings.Repeat("a", 5<<20)
	composite := regexp.QuoteMeta(crc(five, digits)) // headers add the number of parts
	checked := []string{"X-Amz-Checksum-Mode", "ENABLED"}
	attributes := func(key string, header ...string) call {
		return to("GET "+key+"?attributes=", append([]string{"X-Amz-Object-Attributes", "Checksum,ObjectParts,ObjectSize"}, header...)...)
	}
	presigned := func(query string, header ...string) func(*world) ask {
		return with(get("digits", header...), func(_ *world, a *ask) { a.query, a.presign = query, "60" })
	}
	return []row{
		{name: "composite: head", ask: twoParts("comp/a", to("HEAD comp/a", checked...)), status: 200, header: wanting("X-Amz-Checksum-Crc32", composite+"-2", "X-Amz-Checksum-Type", "COMPOSITE", "Content-Length", "5242890"), doc: docUserUploads},
		{name: "composite: first part", ask: twoParts("comp/b", to("HEAD comp/b?partNumber=1", checked...)), status: 206, header: wanting("X-Amz-Mp-Parts-Count", "2", "Content-Range", "bytes 0-5242879/5242890", "Content-Length", "5242880"), doc: docHead},
		{name: "composite: second part, with its checksum", ask: twoParts("comp/c", to("GET comp/c?partNumber=2", checked...)), status: 206, header: wanting("X-Amz-Checksum-Crc32", regexp.QuoteMeta(crc(digits)), "Content-Range", "bytes 5242880-5242889/5242890"), body: digits, doc: docUserUploads},
		{name: "composite: third part of two", ask: twoParts("comp/d", to("GET comp/d?partNumber=3")), status: 416, code: "InvalidPartNumber", doc: docS3Error},
		{name: "composite: range across the parts has no checksum", ask: twoParts("comp/e", to("GET comp/e", append([]string{"Range", "bytes=5242878-5242881"}, checked...)...)), status: 206, header: wanting("X-Amz-Checksum-Crc32", "", "Content-Range", "bytes 5242878-5242881/5242890"), body: "aa01", doc: docUserUploads},
		{name: "composite: no checksum unless asked", ask: twoParts("comp/f", to("HEAD comp/f")), status: 200, header: wanting("X-Amz-Checksum-Crc32", ""), doc: docHead},
		{name: "composite: part with a wrong checksum in the list", ask: script(begin("comp/g", "X-Amz-Checksum-Algorithm", "CRC32"), part("comp/g", 1, digits, "X-Amz-Checksum-Crc32", crc(digits)),
			complete("comp/g", strings.Replace(partList("1", "{tag2}"), "</Part>", "<ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>", 1))), status: 400, code: "InvalidPart", doc: docComplete},

		{name: "attributes: composite checksum and parts", ask: twoParts("comp/h", attributes("comp/h")), status: 200, match: []string{`<ChecksumCRC32>` + composite + `</ChecksumCRC32>`, `<PartsCount>2</PartsCount>`, `<PartNumber>1</PartNumber>`, `<Size>5242880</Size>`, `<ChecksumCRC32>` + regexp.QuoteMeta(crc(digits)) + `</ChecksumCRC32>`, `<ObjectSize>5242890</ObjectSize>`}, doc: docAttributes},
		{name: "attributes: first page of parts", ask: twoParts("comp/i", attributes("comp/i", "X-Amz-Max-Parts", "1")), status: 200, match: []string{`<IsTruncated>true</IsTruncated>`, `<NextPartNumberMarker>1</NextPartNumberMarker>`, `<PartNumber>1</PartNumber>`, `!<PartNumber>2`}, doc: docAttributes},
		{name: "attributes: next page of parts", ask: twoParts("comp/j", attributes("comp/j", "X-Amz-Max-Parts", "1", "X-Amz-Part-Number-Marker", "1")), status: 200, match: []string{`<IsTruncated>false</IsTruncated>`, `<PartNumber>2</PartNumber>`, `!<PartNumber>1<`}, doc: docAttributes},
		{name: "attributes: without checksums, no parts", ask: script(begin("comp/k"), part("comp/k", 1, digits), complete("comp/k", partList("1", "{tag2}")), attributes("comp/k")), status: 200, match: []string{`<PartsCount>1</PartsCount>`, `!<Part>`}, doc: docAttributes},
		{name: "attributes: object in one piece", ask: script(attributes("digits")), status: 200, match: []string{`<ObjectSize>10</ObjectSize>`, `!<ObjectParts>`}, doc: docAttributes},

		{name: "sse-c: get", ask: encrypted("ssec/a", to("GET KEY", key...)), status: 200, header: wanting(key[0], "AES256", key[4], regexp.QuoteMeta(key[5])), body: digits, doc: docSSEC},
		{name: "sse-c: get a range", ask: encrypted("ssec/b", to("GET KEY", append([]string{"Range", "bytes=2-4"}, key...)...)), status: 206, body: "234", doc: docSSEC},
		{name: "sse-c: get without the key", ask: encrypted("ssec/c", to("GET KEY")), status: 400, code: "InvalidRequest", doc: docSSEC},
		{name: "sse-c: head without the key", ask: encrypted("ssec/d", to("HEAD KEY")), status: 400, doc: docSSEC},
		{name: "sse-c: get with another key", ask: encrypted("ssec/e", to("GET KEY", otherKey...)), status: 403, code: "AccessDenied", doc: docSSEC},
		{name: "sse-c: attributes without the key", ask: encrypted("ssec/f", to("GET KEY?attributes=", "X-Amz-Object-Attributes", "ObjectSize")), status: 400, code: "InvalidRequest", doc: docAttributes},

		{name: "presigned: response headers", ask: presigned(overridden), status: 200, body: digits, doc: docGet, header: wanting("Cache-Control", "no-store", "Content-Disposition", `attachment; filename="cat.jpg"`,
			"Content-Encoding", "identity", "Content-Language", "de", "Content-Type", "image/jpeg", "Expires", "Thu, 01 Dec 2022 16:00:00 GMT")},
		{name: "presigned: response header changed afterwards", ask: with(presigned("response-content-type=image%2Fjpeg"), func(_ *world, a *ask) {
			a.after = func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "jpeg", "html", 1) }
		}), status: 403, code: "SignatureDoesNotMatch", doc: docPresign},
		{name: "presigned: response header with a range", ask: presigned("response-content-type=image%2Fjpeg", "Range", "bytes=2-4"), status: 206, header: wanting("Content-Type", "image/jpeg"), body: "234", doc: docGet},
		{name: "presigned: if-none-match same", ask: with(script(stored("link/a", digits), to("GET link/a", "If-None-Match", digitsETag)), func(_ *world, a *ask) { a.presign = "60" }), status: 304, doc: docGet},

		{name: "list: after the last key of a common prefix", ask: list("delimiter=%2F&start-after=dir%2Fsub%2Fc"), status: 200, match: []string{`!<Prefix>dir/</Prefix>`, `<Key>empty</Key>`}, doc: docList},
		{name: "list: after a key that is not there", ask: list("start-after=dir%2Faa&prefix=dir%2F&delimiter=%2F"), status: 200, match: []string{`<StartAfter>dir/aa</StartAfter>`, `<Key>dir/b</Key>`, `!<Key>dir/a</Key>`, `<Prefix>dir/sub/</Prefix>`}, doc: docList},
	}
}
