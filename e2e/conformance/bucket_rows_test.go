package conformance

import "strings"

const (
	docListV1       = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html"
	docVersions     = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html"
	docVersioning   = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketVersioning.html"
	docMarkers      = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarker.html"
	docSuspended    = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/VersionSuspendedBehavior.html"
	docListBuckets  = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html"
	docCreateBucket = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html"
	docDeleteBucket = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html"
	docPutPolicy    = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html"
	docGetPolicy    = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicy.html"
	docPublic       = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html"
	docOwnership    = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html"
	docAttributes   = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html"
	docSSEC         = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html"
	docSSECBlocked  = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/blocking-unblocking-s3-c-encryption-gpb.html"
	docSSEKMS       = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/specifying-kms-encryption.html"
)

// oldListRows are those of ListObjects, the listing before version 2.
func oldListRows() []row {
	list := func(query string) func(*world) ask { return once("GET /" + bucket + "?" + query) }
	return []row{
		{name: "old list", ask: list("prefix=dir%2F"), status: 200, match: []string{`<ListBucketResult`, `<Marker></Marker>|<Marker/>`, `<Key>dir/a</Key>`, `<Key>dir/sub/c</Key>`, `<IsTruncated>false</IsTruncated>`, `<Owner>`, `!<KeyCount>`}, doc: docListV1},
		{name: "old list: one key", ask: list("prefix=dir%2F&max-keys=1"), status: 200, match: []string{`<Key>dir/a</Key>`, `!<Key>dir/b</Key>`, `<IsTruncated>true</IsTruncated>`, `<MaxKeys>1</MaxKeys>`}, doc: docListV1},
		{name: "old list: after a marker", ask: list("prefix=dir%2F&marker=dir%2Fa"), status: 200, match: []string{`<Marker>dir/a</Marker>`, `<Key>dir/b</Key>`, `!<Key>dir/a</Key>`}, doc: docListV1},
		{name: "old list: delimiter", ask: list("prefix=dir%2F&delimiter=%2F"), status: 200, match: []string{`<CommonPrefixes><Prefix>dir/sub/</Prefix></CommonPrefixes>`, `<Delimiter>/</Delimiter>`}, doc: docListV1},
		{name: "old list: next marker", ask: list("prefix=dir%2F&delimiter=%2F&max-keys=1"), status: 200, match: []string{`<NextMarker>dir/a</NextMarker>`}, doc: docListV1},
		{name: "old list: no next marker without a delimiter", ask: list("prefix=dir%2F&max-keys=1"), status: 200, match: []string{`!<NextMarker>`}, doc: docListV1},
		{name: "old list: no key", ask: list("max-keys=0"), status: 200, match: []string{`<IsTruncated>false</IsTruncated>`, `!<Contents>`}, doc: docListV1},
		{name: "old list: many keys in words", ask: list("max-keys=many"), status: 400, code: "InvalidArgument", doc: docListV1},
		{name: "old list: unknown encoding", ask: list("encoding-type=rot13"), status: 400, code: "InvalidArgument", doc: docListV1},
		{name: "old list: may not", ask: script(to("GET /" + bucket + "?prefix=dir").blindly()), status: 403, code: "AccessDenied", doc: docListV1, differs: map[server]difference{versityServer: noRoles}},
	}
}

var noVersions = skip("it keeps no versions without a directory for them")

// versionRows are those of the bucket with versions.
func versionRows() []row {
	at := func(key string) string { return "/" + past + "/" + key }
	put := func(key, text string) call { return to("PUT " + at(key)).sending(text) }
	rows := []row{
		{name: "versions: put", ask: script(put("a", "x")), status: 200, header: wanting("X-Amz-Version-Id", ".{10,}"), doc: docPut},
		{name: "versions: get", ask: script(put("b", "one"), put("b", "two"), to("GET "+at("b"))), status: 200, header: wanting("X-Amz-Version-Id", ".{10,}"), body: "two", doc: docGet},
		{name: "versions: get the first", ask: script(put("c", "one"), put("c", "two"), to("GET "+at("c")+"?versionId={version1}")), status: 200, body: "one", doc: docGet},
		{name: "versions: delete leaves a marker", ask: script(put("d", "x"), to("DELETE "+at("d"))), status: 204, header: wanting("X-Amz-Delete-Marker", "true", "X-Amz-Version-Id", ".{10,}"), doc: docMarkers},
		{name: "versions: get what is deleted", ask: script(put("e", "x"), to("DELETE "+at("e")), to("GET "+at("e"))), status: 404, code: "NoSuchKey", header: wanting("X-Amz-Delete-Marker", "true"), doc: docMarkers},
		{name: "versions: get under the marker", ask: script(put("f", "x"), to("DELETE "+at("f")), to("GET "+at("f")+"?versionId={version1}")), status: 200, body: "x", doc: docMarkers},
		{name: "versions: get the marker", ask: script(put("g", "x"), to("DELETE "+at("g")), to("GET "+at("g")+"?versionId={version2}")), status: 405, code: "MethodNotAllowed", header: wanting("X-Amz-Delete-Marker", "true"), doc: docMarkers},
		{name: "versions: delete the marker", ask: script(put("h", "x"), to("DELETE "+at("h")), to("DELETE "+at("h")+"?versionId={version2}"), to("GET "+at("h"))), status: 200, body: "x", doc: docMarkers},
		{name: "versions: delete a version", ask: script(put("i", "one"), put("i", "two"), to("DELETE "+at("i")+"?versionId={version2}"), to("GET "+at("i"))), status: 200, body: "one", doc: docDelete},
		{name: "versions: delete what is not there", ask: once("DELETE " + at("none")), status: 204, header: wanting("X-Amz-Delete-Marker", "true"), doc: docMarkers},
		{name: "versions: delete many leaves markers", ask: script(put("j", "x"), to("POST /"+past+"?delete=", "Content-MD5", "{md5}").sending(deletion(entry("j")))), status: 200, match: []string{`<DeleteMarker>true</DeleteMarker>`, `<DeleteMarkerVersionId>[^<]+</DeleteMarkerVersionId>`}, doc: docDeletes},
		{name: "versions: only if absent, deleted", ask: script(put("l", "x"), to("DELETE "+at("l")), to("PUT "+at("l"), "If-None-Match", "*").sending("y")), status: 200, doc: docWrites},
		{name: "versions: copy of a version", ask: script(put("m", "one"), put("m", "two"), copyOf(at("m")+"?versionId={version1}", at("n")), to("GET "+at("n"))), status: 200, body: "one", doc: docCopy},
		{name: "versions: copy says which", ask: script(put("o", "one"), copyOf(at("o"), at("p"))), status: 200, header: wanting("X-Amz-Copy-Source-Version-Id", ".{10,}"), doc: docCopy},
		{name: "versions: copy of a marker", ask: script(put("q", "x"), to("DELETE "+at("q")), copyOf(at("q")+"?versionId={version2}", at("r"))), status: 400, code: "InvalidRequest", doc: docCopy},
		{name: "versions: no such version", ask: script(put("s", "x"), to("GET "+at("t")+"?versionId={version1}")), status: 404, code: "NoSuchVersion", doc: docGet},

		{name: "list versions", ask: script(put("lv/a", "one"), put("lv/a", "two"), to("DELETE "+at("lv/a")), to("GET /"+past+"?versions=&prefix=lv%2F")), status: 200, match: []string{`<ListVersionsResult`, `<DeleteMarker><Key>lv/a</Key><VersionId>[^<]+</VersionId><IsLatest>true</IsLatest>`, `(?s)<Version>.*<IsLatest>false</IsLatest>.*<Version>`, `<IsTruncated>false</IsTruncated>`}, doc: docVersions},
		{name: "list versions: one", ask: script(put("lw/a", "one"), put("lw/a", "two"), to("GET /"+past+"?versions=&prefix=lw%2F&max-keys=1")), status: 200, match: []string{`<IsTruncated>true</IsTruncated>`, `<NextKeyMarker>lw/a</NextKeyMarker>`, `<NextVersionIdMarker>[^<]+</NextVersionIdMarker>`}, doc: docVersions},
		{name: "list versions: after one", ask: script(put("lx/a", "one"), put("lx/a", "two"), to("GET /"+past+"?versions=&prefix=lx%2F&key-marker=lx%2Fa&version-id-marker={version2}")), status: 200, match: []string{`<IsLatest>false</IsLatest>`, `!<IsLatest>true</IsLatest>`, `<Size>3</Size>`}, doc: docVersions},
		{name: "list versions: delimiter", ask: script(put("ly/a", "one"), to("GET /"+past+"?versions=&prefix=ly&delimiter=%2F")), status: 200, match: []string{`<CommonPrefixes><Prefix>ly/</Prefix></CommonPrefixes>`, `!<Version>`}, doc: docVersions},
		{name: "list versions: marker of a version alone", ask: script(put("lz", "x"), to("GET /"+past+"?versions=&version-id-marker={version1}")), status: 400, code: "InvalidArgument", doc: docVersions},
		{name: "list versions: may not", ask: script(to("GET /" + bucket + "?versions=").blindly()), status: 403, code: "AccessDenied", doc: docVersions},
		{name: "list versions: many in words", ask: once("GET /" + past + "?versions=&max-keys=many"), status: 400, code: "InvalidArgument", doc: docVersions},

		{name: "versioning", ask: once("GET /" + past + "?versioning="), status: 200, match: []string{`<Status>Enabled</Status>`}, doc: docVersioning},
		{name: "versioning: off by default", ask: once("GET /" + bucket + "?versioning="), status: 200, match: []string{`<VersioningConfiguration`, `!<Status>`}, doc: docVersioning},
		{name: "versioning: status that is none", ask: script(to("PUT /" + past + "?versioning=").sending("<VersioningConfiguration><Status>Off</Status></VersioningConfiguration>")), status: 400, code: "MalformedXML", doc: docVersioning},
		{name: "versioning: broken XML", ask: script(to("PUT /" + past + "?versioning=").sending("<VersioningConfiguration>")), status: 400, code: "MalformedXML", doc: docVersioning},
		{name: "versioning: may not", ask: script(to("PUT /" + past + "?versioning=").sending("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>").blindly()), status: 403, code: "AccessDenied", doc: docVersioning},
	}
	for i := range rows {
		if rows[i].differs == nil {
			rows[i].differs = map[server]difference{versityServer: noVersions}
		}
	}
	return rows
}

// bucketRows are about buckets themselves and what is set for them.
func bucketRows() []row {
	statement := func(principal, action, resource string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":["` + action + `"],"Resource":["` + resource + `"]}]}`
	}
	const hub = `{"AWS":["arn:aws:iam::` + devAccount + `:role/hub"]}`
	policy := func(document string) call { return to("PUT /" + past + "?policy=").sending(document) }
	return []row{
		{name: "buckets", ask: once("GET /"), status: 200, match: []string{`<ListAllMyBucketsResult`, `<Name>pics</Name>`, `<CreationDate>`, `<Owner>`}, doc: docListBuckets},
		{name: "buckets: may not", ask: script(to("GET /").blindly()), status: 403, code: "AccessDenied", doc: docListBuckets, differs: map[server]difference{versityServer: noRoles}},
		{name: "bucket: create", ask: once("PUT /pics-made-a"), status: 200, header: wanting("Location", "/pics-made-a"), doc: docCreateBucket},
		{name: "bucket: create, and it is there", ask: script(to("PUT /pics-made-b"), to("HEAD /pics-made-b")), status: 200, doc: docCreateBucket},
		{name: "bucket: create, name in capitals", ask: once("PUT /Pics-Made"), status: 400, code: "InvalidBucketName", doc: docCreateBucket},
		{name: "bucket: create, name of two letters", ask: once("PUT /ab"), status: 400, code: "InvalidBucketName", doc: docCreateBucket},
		{name: "bucket: create elsewhere", ask: script(to("PUT /pics-made-c").sending("<CreateBucketConfiguration><LocationConstraint>nowhere</LocationConstraint></CreateBucketConfiguration>")), status: 400, code: "InvalidLocationConstraint", doc: docCreateBucket},
		{name: "bucket: create, broken XML", ask: script(to("PUT /pics-made-d").sending("<CreateBucketConfiguration>")), status: 400, code: "MalformedXML", doc: docCreateBucket},
		{name: "bucket: create, may not", ask: script(to("PUT /pics-made-e").blindly()), status: 403, code: "AccessDenied", doc: docCreateBucket, differs: map[server]difference{versityServer: noRoles}},
		{name: "bucket: create, with a public ACL", ask: once("PUT /pics-made-f", "X-Amz-Acl", "public-read"), status: 400, code: "InvalidBucketAclWithObjectOwnership", doc: docOwnership},
		{name: "bucket: delete", ask: script(to("PUT /pics-made-g"), to("DELETE /pics-made-g")), status: 204, doc: docDeleteBucket},
		{name: "bucket: delete, and it is gone", ask: script(to("PUT /pics-made-h"), to("DELETE /pics-made-h"), to("GET /pics-made-h/x")), status: 404, code: "NoSuchBucket", doc: docDeleteBucket},
		{name: "bucket: delete what is not empty", ask: once("DELETE /" + bucket), status: 409, code: "BucketNotEmpty", doc: docDeleteBucket},
		{name: "bucket: delete, may not", ask: script(to("DELETE /" + bucket).blindly()), status: 403, code: "AccessDenied", doc: docDeleteBucket, differs: map[server]difference{versityServer: noRoles}},
		{name: "bucket: delete, none", ask: once("DELETE /no-such-bucket-here"), status: 404, code: "NoSuchBucket", doc: docDeleteBucket},

		{name: "policy: none", ask: once("GET /" + bucket + "?policy="), status: 404, code: "NoSuchBucketPolicy", doc: docGetPolicy},
		{name: "policy: put", ask: script(policy(statement(hub, "s3:GetObject", "arn:aws:s3:::"+past+"/*"))), status: 204, doc: docPutPolicy},
		{name: "policy: get", ask: script(policy(statement(hub, "s3:GetObject", "arn:aws:s3:::"+past+"/*")), to("GET /"+past+"?policy=")), status: 200, match: []string{`role/hub`}, doc: docGetPolicy},
		{name: "policy: delete", ask: script(policy(statement(hub, "s3:GetObject", "arn:aws:s3:::"+past+"/*")), to("DELETE /"+past+"?policy="), to("GET /"+past+"?policy=")), status: 404, code: "NoSuchBucketPolicy", doc: docGetPolicy},
		{name: "policy: no JSON", ask: script(policy("nonsense")), status: 400, code: "MalformedPolicy", doc: docPutPolicy},
		{name: "policy: of another bucket", ask: script(policy(statement(hub, "s3:GetObject", "arn:aws:s3:::elsewhere/*"))), status: 400, code: "MalformedPolicy", doc: docPutPolicy},
		{name: "policy: action of another service", ask: script(policy(statement(hub, "sts:AssumeRole", "arn:aws:s3:::"+past+"/*"))), status: 400, code: "MalformedPolicy", doc: docPutPolicy},
		{name: "policy: for everyone", ask: script(policy(statement(`"*"`, "s3:GetObject", "arn:aws:s3:::"+past+"/*"))), status: 403, code: "AccessDenied", doc: docPublic},
		{name: "policy: may not", ask: script(policy(statement(hub, "s3:GetObject", "arn:aws:s3:::"+past+"/*")).blindly()), status: 403, code: "AccessDenied", doc: docPutPolicy, differs: map[server]difference{versityServer: noRoles}},
		{name: "policy: get, may not", ask: script(to("GET /" + bucket + "?policy=").blindly()), status: 403, code: "AccessDenied", doc: docGetPolicy, differs: map[server]difference{versityServer: noRoles}},

		{name: "put: public ACL", ask: script(to("PUT acl/a", "X-Amz-Acl", "public-read").sending("x")), status: 400, code: "AccessControlListNotSupported", doc: docOwnership},
		{name: "put: private ACL", ask: script(to("PUT acl/d", "X-Amz-Acl", "private").sending("x")), status: 400, code: "AccessControlListNotSupported", doc: docOwnership},
		{name: "put: ACL for the bucket's owner", ask: script(to("PUT acl/b", "X-Amz-Acl", "bucket-owner-full-control").sending("x")), status: 200, doc: docOwnership},
		{name: "put: grant", ask: script(to("PUT acl/c", "X-Amz-Grant-Read", `uri="http://acs.amazonaws.com/groups/global/AllUsers"`).sending("x")), status: 400, code: "AccessControlListNotSupported", doc: docOwnership},
		{name: "acl of a bucket", ask: once("PUT /"+bucket+"?acl=", "X-Amz-Acl", "public-read"), status: 400, code: "AccessControlListNotSupported", doc: docOwnership},
		{name: "acl of an object", ask: once("PUT digits?acl=", "X-Amz-Acl", "public-read"), status: 400, code: "AccessControlListNotSupported", doc: docOwnership},
	}
}

// attributeRows are about attributes, checksums and encryption of objects.
func attributeRows() []row {
	attributes := func(key, names string) call {
		return to("GET "+key+"?attributes=", "X-Amz-Object-Attributes", names)
	}
	const customer = "X-Amz-Server-Side-Encryption-Customer-"
	key := []string{customer + "Algorithm", "AES256", customer + "Key", "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=", customer + "Key-Md5", "Xsqb0+sHwAbNQ65I395/0w=="}
	sums := func(name, right string) []row {
		label := strings.ToUpper(name)
		return []row{
			{name: "checksum: " + label, ask: script(to("PUT sum/"+name, "X-Amz-Checksum-"+name, right).sending(digits), to("HEAD sum/"+name, "X-Amz-Checksum-Mode", "ENABLED")), status: 200, header: wanting("X-Amz-Checksum-"+name, strings.ReplaceAll(right, "+", `\+`), "X-Amz-Checksum-Type", "FULL_OBJECT"), doc: docUserUploads},
			{name: "checksum: wrong " + label, ask: script(to("PUT sum/wrong-"+name, "X-Amz-Checksum-"+name, right).sending("something else")), status: 400, code: "BadDigest", doc: docUserUploads},
		}
	}
	rows := []row{
		{name: "attributes", ask: script(attributes("digits", "ETag,ObjectSize,StorageClass")), status: 200, match: []string{`<GetObjectAttributesResponse`, `<ETag>781e5e245d69b566979b86e28d23f2c7</ETag>`, `<ObjectSize>10</ObjectSize>`, `<StorageClass>STANDARD</StorageClass>`}, doc: docAttributes},
		{name: "attributes: of parts", ask: script(begin("att/a", "X-Amz-Checksum-Algorithm", "CRC32"), part("att/a", 1, digits, "X-Amz-Checksum-Crc32", "poTHxg=="),
			complete("att/a", strings.Replace(partList("1", "{tag2}"), "</Part>", "<ChecksumCRC32>poTHxg==</ChecksumCRC32></Part>", 1)), attributes("att/a", "ObjectParts,Checksum")), status: 200, match: []string{`<PartsCount>1</PartsCount>`, `<Part>`, `<ChecksumType>COMPOSITE</ChecksumType>`}, doc: docAttributes},
		{name: "attributes: none asked for", ask: once("GET digits?attributes="), status: 400, code: "InvalidRequest", doc: docAttributes},
		{name: "attributes: one that is none", ask: script(attributes("digits", "Colour")), status: 400, code: "InvalidArgument", doc: docAttributes},
		{name: "attributes: of nothing", ask: script(attributes("nothing", "ETag")), status: 404, code: "NoSuchKey", doc: docAttributes},
		{name: "attributes: may not", ask: script(attributes("digits", "ETag").blindly()), status: 403, code: "AccessDenied", doc: docAttributes, differs: map[server]difference{versityServer: noRoles}},
		{name: "checksum: algorithm that is none", ask: script(to("PUT sum/none", "X-Amz-Checksum-Md6", "AAAA").sending(digits)), status: 400, code: "InvalidRequest", doc: docUserUploads},
		{name: "checksum: another algorithm than announced", ask: script(to("PUT sum/other", "X-Amz-Checksum-Crc32", "poTHxg==", "X-Amz-Sdk-Checksum-Algorithm", "CRC32C").sending(digits)), status: 400, code: "InvalidRequest", doc: docUserUploads},

		{name: "sse-c: blocked", ask: script(to("PUT sse/a", key...).sending("x")), status: 403, code: "AccessDenied", doc: docSSECBlocked},
		{name: "sse-c: unknown algorithm", ask: script(to("PUT sse/b", customer+"Algorithm", "DES", key[2], key[3], key[4], key[5]).sending("x")), status: 400, code: "InvalidEncryptionAlgorithmError", doc: docSSEC},
		{name: "sse-c: no key", ask: script(to("PUT sse/c", key[0], key[1]).sending("x")), status: 400, code: "InvalidArgument", doc: docSSEC},
		{name: "sse-c: MD5 of another key", ask: script(to("PUT sse/d", key[0], key[1], key[2], key[3], key[4], "1B2M2Y8AsgTpgAmY7PhCfg==").sending("x")), status: 400, code: "InvalidArgument", doc: docSSEC},
		{name: "sse-c: read of what has no key", ask: script(to("GET digits", key...)), status: 400, code: "InvalidRequest", doc: docSSEC},
		{name: "sse: unknown method", ask: script(to("PUT sse/e", "X-Amz-Server-Side-Encryption", "rot13").sending("x")), status: 400, code: "InvalidArgument", doc: docPut},
		{name: "sse: on a read", ask: once("GET digits", "X-Amz-Server-Side-Encryption", "AES256"), status: 400, code: "InvalidArgument", doc: docSSEKMS},
		{name: "sse-kms: key without the method", ask: script(to("PUT sse/f", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "arn:aws:kms:us-east-1:"+sharedAccount+":key/1234abcd-12ab-34cd-56ef-1234567890ab").sending("x")), status: 400, code: "InvalidArgument", doc: docSSEKMS},
	}
	for _, sum := range [][2]string{
		{"crc32", "poTHxg=="}, {"crc32c", "KAwGng=="}, {"crc64nvme", "Ffmx7kz9nB0="}, {"sha1", "h6zsF82dzSCnFsws9nQXtxyKcBY="},
		{"sha256", "hNiYd/DUBB77a/kaFvAkjy/Vc+avBcGflr7bn4gveII="}, {"md5", "eB5eJF1ptWaXm4bijSPyxw=="},
	} {
		rows = append(rows, sums(sum[0], sum[1])...)
	}
	return rows
}
