package awstest_test

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crossrole/crossrole/awstest"
)

// uploader is a program that uploads in parts, all at the same time.
type uploader struct {
	client      *s3.Client
	bucket, key string
	create      func(*s3.CreateMultipartUploadInput)
	complete    func(*s3.CompleteMultipartUploadInput)
}

func (u uploader) upload(t *testing.T, parts ...[]byte) (*s3.CompleteMultipartUploadOutput, error) {
	t.Helper()
	in := &s3.CreateMultipartUploadInput{Bucket: &u.bucket, Key: &u.key}
	if u.create != nil {
		u.create(in)
	}
	created, err := u.client.CreateMultipartUpload(t.Context(), in)
	if err != nil {
		return nil, err
	}
	done := make([]types.CompletedPart, len(parts))
	var all sync.WaitGroup
	for i, data := range parts {
		all.Go(func() {
			out, err := u.client.UploadPart(t.Context(), &s3.UploadPartInput{
				Bucket: &u.bucket, Key: &u.key, UploadId: created.UploadId, PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(data), ChecksumAlgorithm: in.ChecksumAlgorithm,
			})
			if err != nil {
				t.Error(err)
				return
			}
			done[i] = types.CompletedPart{
				PartNumber: aws.Int32(int32(i + 1)), ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32, ChecksumCRC32C: out.ChecksumCRC32C,
				ChecksumSHA1: out.ChecksumSHA1, ChecksumSHA256: out.ChecksumSHA256, ChecksumCRC64NVME: out.ChecksumCRC64NVME, ChecksumSHA512: out.ChecksumSHA512,
			}
		})
	}
	all.Wait()
	completion := &s3.CompleteMultipartUploadInput{Bucket: &u.bucket, Key: &u.key, UploadId: created.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done}}
	if u.complete != nil {
		u.complete(completion)
	}
	return u.client.CompleteMultipartUpload(t.Context(), completion)
}

// A program's upload in three parts, with each checksum, is read back whole and by
// parts.
func TestMultipartUpload(t *testing.T) {
	s := newStore(t)
	past := s.owner.CreateBucket("films")
	past.SetVersioning()
	parts := [][]byte{bytes.Repeat([]byte("a"), 5<<20), bytes.Repeat([]byte("bc"), 5<<19), []byte("the end")}
	for _, test := range []struct {
		algorithm types.ChecksumAlgorithm
		kind      types.ChecksumType
		want      types.ChecksumType
	}{
		{"", "", types.ChecksumTypeFullObject}, // the SDK adds a CRC32 to each part by itself
		{"CRC64NVME", "", types.ChecksumTypeFullObject},
		{"CRC32C", types.ChecksumTypeFullObject, types.ChecksumTypeFullObject},
		{"SHA256", "", types.ChecksumTypeComposite},
		{"SHA512", "", types.ChecksumTypeComposite},
	} {
		t.Run(string(test.algorithm)+string(test.kind), func(t *testing.T) {
			client := s.client("owner")
			out, err := uploader{client: client, bucket: "films", key: "big", create: func(in *s3.CreateMultipartUploadInput) {
				in.ChecksumAlgorithm, in.ChecksumType = test.algorithm, test.kind
				in.ContentType, in.Metadata, in.StorageClass = new("video/mp4"), map[string]string{"colour": "red"}, types.StorageClassStandardIa
			}}.upload(t, parts...)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(*out.ETag, `-3"`) || out.ChecksumType != test.want || len(*out.VersionId) != 32 || *out.Location != "https://films.s3.us-east-1.amazonaws.com/big" {
				t.Errorf("completed: %+v", out)
			}
			whole, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: new("films"), Key: new("big"), ChecksumMode: types.ChecksumModeEnabled})
			if err != nil {
				t.Fatal(err)
			}
			// The SDK compares the checksum, where it has one of the whole object.
			if data, err := io.ReadAll(whole.Body); err != nil || !bytes.Equal(data, bytes.Join(parts, nil)) {
				t.Errorf("read %d bytes, %v", len(data), err)
			}
			if *whole.ContentType != "video/mp4" || whole.Metadata["colour"] != "red" || whole.StorageClass != types.StorageClassStandardIa {
				t.Errorf("described as %+v", whole)
			}
			second, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: new("films"), Key: new("big"), PartNumber: aws.Int32(2), ChecksumMode: types.ChecksumModeEnabled})
			if err != nil {
				t.Fatal(err)
			}
			if data, err := io.ReadAll(second.Body); err != nil || !bytes.Equal(data, parts[1]) || *second.PartsCount != 3 {
				t.Errorf("part 2: %d bytes, %v", len(data), err)
			}
			// One upload has parts of S3's size, the others need not.
			past.SetMinPartSize(1)
			parts = [][]byte{[]byte("one"), []byte("two and a half"), []byte("three")}
		})
	}
}

// Parts are copied from other objects, by range, and listed until the upload ends.
func TestUploadPartCopy(t *testing.T) {
	s := newStore(t)
	s.pics.SetMinPartSize(0)
	client := s.client("owner")
	created, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: new("pics"), Key: new("joined"), ChecksumAlgorithm: "CRC32"})
	if err != nil {
		t.Fatal(err)
	}
	var done []types.CompletedPart
	for i, from := range []struct{ source, part string }{{"pics/cat", "bytes=2-5"}, {"pics/empty", ""}, {"pics/parts", "bytes=10-12"}} {
		in := &s3.UploadPartCopyInput{Bucket: new("pics"), Key: new("joined"), UploadId: created.UploadId, PartNumber: aws.Int32(int32(i + 1)), CopySource: &from.source}
		if from.part != "" {
			in.CopySourceRange = &from.part
		}
		out, err := client.UploadPartCopy(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, types.CompletedPart{PartNumber: in.PartNumber, ETag: out.CopyPartResult.ETag, ChecksumCRC32: out.CopyPartResult.ChecksumCRC32})
	}
	var sizes []int64
	pages := s3.NewListPartsPaginator(client, &s3.ListPartsInput{Bucket: new("pics"), Key: new("joined"), UploadId: created.UploadId, MaxParts: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.Parts {
			sizes = append(sizes, *p.Size)
		}
		if *page.Initiator.ID != "arn:aws:iam::444455556666:user/owner" || page.ChecksumType != types.ChecksumTypeComposite {
			t.Errorf("page %+v", page)
		}
	}
	if !slices.Equal(sizes, []int64{4, 0, 3}) {
		t.Errorf("parts of %v bytes", sizes)
	}
	complete := &s3.CompleteMultipartUploadInput{Bucket: new("pics"), Key: new("joined"), UploadId: created.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done}}
	if _, err := client.CompleteMultipartUpload(t.Context(), complete); err != nil {
		t.Fatal(err)
	}
	if got := read(t, client, "pics", "joined", ""); got != "2345abc" {
		t.Errorf("joined: %s", got)
	}
	if _, err := client.CompleteMultipartUpload(t.Context(), complete); codeOf(err) != "NoSuchUpload" {
		t.Errorf("completed again: %v", err)
	}
}

// An upload in progress is listed, costs its parts, and is gone once aborted.
func TestListAndAbortUploads(t *testing.T) {
	s := newStore(t)
	client := s.client("owner")
	for _, key := range []string{"b/2", "a", "b/1", "a", "c"} {
		if _, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: new("pics"), Key: &key}); err != nil {
			t.Fatal(err)
		}
	}
	list := func(in *s3.ListMultipartUploadsInput) (names []string, uploads []types.MultipartUpload) {
		t.Helper()
		in.Bucket = new("pics")
		pages := s3.NewListMultipartUploadsPaginator(client, in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range page.Uploads {
				names, uploads = append(names, *u.Key), append(uploads, u)
			}
			for _, p := range page.CommonPrefixes {
				names = append(names, *p.Prefix)
			}
		}
		return names, uploads
	}
	for _, test := range []struct {
		in   s3.ListMultipartUploadsInput
		want string
	}{
		{s3.ListMultipartUploadsInput{}, "a a b/1 b/2 c"},
		{s3.ListMultipartUploadsInput{MaxUploads: aws.Int32(1)}, "a a b/1 b/2 c"},
		{s3.ListMultipartUploadsInput{MaxUploads: aws.Int32(2), EncodingType: "url"}, "a a b/1 b/2 c"},
		{s3.ListMultipartUploadsInput{Delimiter: new("/"), MaxUploads: aws.Int32(1)}, "a a b/ c"},
		{s3.ListMultipartUploadsInput{Prefix: new("b/")}, "b/1 b/2"},
		{s3.ListMultipartUploadsInput{KeyMarker: new("b/1")}, "b/2 c"},
	} {
		if names, _ := list(&test.in); strings.Join(names, " ") != test.want {
			t.Errorf("%+v: %q, want %q", test.in, names, test.want)
		}
	}
	_, uploads := list(&s3.ListMultipartUploadsInput{})
	for _, u := range uploads {
		if _, err := client.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: new("pics"), Key: u.Key, UploadId: u.UploadId}); err != nil {
			t.Fatal(err)
		}
		_, err := client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: new("pics"), Key: u.Key, UploadId: u.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("late")})
		if codeOf(err) != "NoSuchUpload" {
			t.Errorf("part after the abortion: %v", err)
		}
	}
	if names, _ := list(&s3.ListMultipartUploadsInput{}); names != nil {
		t.Errorf("left: %q", names)
	}
}

var uploadID = regexp.MustCompile(`<UploadId>(.*)</UploadId>`)

// begin creates an upload and makes its id known as {id}.
func (s *store) begin(t *testing.T, path, headers string, parts ...string) (tags []string) {
	t.Helper()
	got := s.do(t, "owner", "POST", path+"?uploads", headers, "")
	m := uploadID.FindStringSubmatch(got.body)
	if m == nil {
		t.Fatalf("no upload: %s", got.body)
	}
	names := []string{"{id}", m[1]}
	for i, data := range parts {
		tag := s.do(t, "owner", "PUT", fmt.Sprintf("%s?partNumber=%d&uploadId=%s", path, i+1, m[1]), "", data).Header.Get("Etag")
		names = append(names, fmt.Sprintf("{p%d}", i+1), fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, tag))
		tags = append(tags, tag)
	}
	s.names = strings.NewReplacer(names...)
	return tags
}

func TestMultipartRefusals(t *testing.T) {
	const small = "<CompleteMultipartUpload>{p1}{p2}</CompleteMultipartUpload>"
	const last = "<CompleteMultipartUpload>{p2}</CompleteMultipartUpload>"
	part := func(n int, etag, more string) string {
		return fmt.Sprintf("<CompleteMultipartUpload><Part><PartNumber>%d</PartNumber><ETag>%s</ETag>%s</Part></CompleteMultipartUpload>", n, etag, more)
	}
	const tagOfOne = "c4ca4238a0b923820dcc509a6f75849b" // of "1"
	for _, row := range []writeRow{
		{request: "POST /pics/new?uploads", status: 200, match: "<Key>new</Key><UploadId>"},
		{request: "POST /pics/new?uploads", headers: "x-amz-checksum-algorithm: SHA1", status: 200, answer: "x-amz-checksum-algorithm: SHA1\nx-amz-checksum-type: COMPOSITE"},
		{request: "POST /pics/new?uploads", headers: "x-amz-checksum-algorithm: SHA1\nx-amz-checksum-type: FULL_OBJECT", status: 400, code: "InvalidRequest"},
		{request: "POST /pics/new?uploads", headers: "x-amz-checksum-algorithm: CRC64NVME\nx-amz-checksum-type: COMPOSITE", status: 400, code: "InvalidRequest"},
		{request: "POST /pics/new?uploads", headers: "x-amz-checksum-algorithm: CRC32\nx-amz-checksum-type: HALF", status: 400, code: "InvalidRequest"},
		{request: "POST /pics/new?uploads", headers: "x-amz-checksum-type: COMPOSITE", status: 400, code: "InvalidRequest"},
		{request: "POST /pics/new?uploads", headers: "x-amz-checksum-algorithm: MD6", status: 400, code: "InvalidRequest"},
		{request: "POST /pics/new?uploads", headers: "x-amz-storage-class: COLD", status: 400, code: "InvalidStorageClass"},
		{request: "POST /pics/new?uploads", headers: "x-amz-acl: public-read", status: 400, code: "AccessControlListNotSupported"},
		{request: "POST /pics/new?uploads", headers: "x-amz-tagging: a=b", status: 501, code: "NotImplemented"},
		{request: "POST /pics/new?uploads", headers: "If-None-Match: *", status: 501, code: "NotImplemented"},
		{as: "reader", request: "POST /pics/new?uploads", status: 403, code: "AccessDenied"},
		{as: "writer", request: "POST /pics/new?uploads", status: 200},
		{as: "anonymous", request: "POST /paid/new?uploads", status: 403, code: "AccessDenied", match: "Anonymous users cannot initiate"},

		{request: "PUT /pics/up?partNumber=3&uploadId={id}", sent: "3", status: 200, answer: "ETag: \"eccbc87e4b5ce2fe28308fd9f2a7baf3\"\nx-amz-checksum-crc64nvme: -"},
		{request: "PUT /pics/up?partNumber=10000&uploadId={id}", sent: "3", status: 200},
		{request: "PUT /pics/up?partNumber=0&uploadId={id}", sent: "3", status: 400, code: "InvalidArgument"},
		{request: "PUT /pics/up?partNumber=10001&uploadId={id}", sent: "3", status: 400, code: "InvalidArgument"},
		{request: "PUT /pics/up?uploadId={id}", sent: "3", status: 400, code: "InvalidArgument"},
		{request: "PUT /pics/up?partNumber=1&uploadId=x", sent: "3", status: 404, code: "NoSuchUpload"},
		{request: "PUT /pics/other?partNumber=1&uploadId={id}", sent: "3", status: 404, code: "NoSuchUpload"},
		{request: "PUT /past/up?partNumber=1&uploadId={id}", sent: "3", status: 404, code: "NoSuchUpload"},
		{request: "PUT /pics/up?partNumber=1&uploadId={id}", headers: "Content-MD5: XrY7u+Ae7tCTyyK7j1rNww==", sent: "3", status: 400, code: "BadDigest"},
		{request: "PUT /pics/up?partNumber=1&uploadId={id}", headers: "x-amz-checksum-crc32: AAAAAA==", sent: "3", status: 400, code: "BadDigest"},
		{request: "PUT /pics/up?partNumber=1&uploadId={id}", headers: "x-amz-checksum-crc32: AAAAAA==", sent: "", status: 200, answer: "x-amz-checksum-crc32: -"},
		{request: "PUT /pics/up?partNumber=1&uploadId={id}", headers: "x-amz-checksum-md5: 1B2M2Y8AsgTpgAmY7PhCfg==", sent: "", status: 400, code: "InvalidRequest", match: "expected checksum Type: null, actual checksum Type: md5"},
		{request: "PUT /pics/up?partNumber=1&uploadId={id}", headers: "If-None-Match: *", status: 501, code: "NotImplemented"},
		{as: "reader", request: "PUT /pics/up?partNumber=1&uploadId={id}", sent: "3", status: 403, code: "AccessDenied"},
		{as: "writer", request: "PUT /pics/up?partNumber=1&uploadId={id}", sent: "3", status: 200},

		{request: "PUT /pics/up?partNumber=1&uploadId={id}", headers: copyCat, status: 200, match: "<ETag>&quot;781e5e245d69b566979b86e28d23f2c7&quot;</ETag></CopyPartResult>"},
		{request: "PUT /pics/up?partNumber=1&uploadId={id}", headers: copyCat + "\nx-amz-copy-source-range: bytes=0-9", status: 200},
		{request: "PUT /pics/up?partNumber=1&uploadId={id}", headers: copyCat + "\nx-amz-copy-source-range: bytes=0-10", status: 400, code: "InvalidArgument"},
		{request: "PUT /pics/up?partNumber=1&uploadId={id}", headers: copyCat + "\nx-amz-copy-source-range: bytes=5-", status: 400, code: "InvalidArgument"},
		{request: "PUT /pics/up?partNumber=1&uploadId={id}", headers: copyCat + "\nx-amz-copy-source-range: bytes=-5", status: 400, code: "InvalidArgument"},
		{request: "PUT /pics/up?partNumber=1&uploadId={id}", headers: copyCat + "\nx-amz-copy-source-range: 0-5", status: 400, code: "InvalidArgument"},
		{request: "PUT /pics/up?partNumber=1&uploadId={id}", headers: copyCat + "\nx-amz-copy-source-if-match: x", status: 412, code: "PreconditionFailed"},
		{request: "PUT /pics/up?partNumber=0&uploadId={id}", headers: copyCat, status: 400, code: "InvalidArgument"},
		{request: "PUT /pics/up?partNumber=1&uploadId=x", headers: copyCat, status: 404, code: "NoSuchUpload"},
		{as: "writer", request: "PUT /pics/up?partNumber=1&uploadId={id}", headers: copyCat, status: 403, code: "AccessDenied"},
		{as: "reader", request: "PUT /pics/up?partNumber=1&uploadId={id}", headers: copyCat, status: 403, code: "AccessDenied"},

		{request: "POST /pics/up?uploadId={id}", sent: last, status: 200, match: "<Bucket>pics</Bucket><Key>up</Key>"},
		{request: "POST /pics/up?uploadId={id}", sent: small, status: 400, code: "EntityTooSmall", match: "<ProposedSize>1</ProposedSize><MinSizeAllowed>5242880</MinSizeAllowed><PartNumber>1</PartNumber>"},
		{request: "POST /pics/up?uploadId={id}", sent: "<CompleteMultipartUpload>{p2}{p1}</CompleteMultipartUpload>", status: 400, code: "InvalidPartOrder"},
		{request: "POST /pics/up?uploadId={id}", sent: "<CompleteMultipartUpload>{p2}{p2}</CompleteMultipartUpload>", status: 400, code: "InvalidPartOrder"},
		{request: "POST /pics/up?uploadId={id}", sent: part(3, tagOfOne, ""), status: 400, code: "InvalidPart"},
		{request: "POST /pics/up?uploadId={id}", sent: part(2, tagOfOne, ""), status: 400, code: "InvalidPart", match: "<PartNumber>2</PartNumber><ETag>" + tagOfOne + "</ETag>"},
		{request: "POST /pics/up?uploadId={id}", sent: part(1, tagOfOne, ""), status: 200},
		{request: "POST /pics/up?uploadId={id}", sent: part(1, tagOfOne, "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>"), status: 400, code: "InvalidPart"},
		{request: "POST /pics/up?uploadId={id}", sent: "", status: 400, code: "MissingRequestBodyError"},
		{request: "POST /pics/up?uploadId={id}", sent: "<CompleteMultipartUpload/>", status: 400, code: "MalformedXML"},
		{request: "POST /pics/up?uploadId={id}", sent: "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>", status: 400, code: "MalformedXML"},
		{request: "POST /pics/up?uploadId={id}", sent: "<CompleteMultipartUpload><Part><PartNumber>one</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>", status: 400, code: "MalformedXML"},
		{request: "POST /pics/up?uploadId=x", sent: last, status: 404, code: "NoSuchUpload"},
		{request: "POST /pics/up?uploadId={id}", headers: "x-amz-mp-object-size: 2", sent: last, status: 400, code: "InvalidRequest"},
		{request: "POST /pics/up?uploadId={id}", headers: "x-amz-mp-object-size: 1", sent: last, status: 200},
		{request: "POST /pics/up?uploadId={id}", headers: "x-amz-checksum-type: COMPOSITE", sent: last, status: 400, code: "InvalidRequest"},
		{request: "POST /pics/up?uploadId={id}", headers: "x-amz-checksum-crc64nvme: AAAAAAAAAAA=", sent: last, status: 400, code: "BadDigest"},
		{request: "POST /pics/up?uploadId={id}", headers: "x-amz-checksum-crc32: AAAAAA==", sent: last, status: 400, code: "InvalidRequest"},
		{request: "POST /pics/up?uploadId={id}", headers: "If-None-Match: *", sent: last, status: 200},
		{request: "POST /pics/up?uploadId={id}", headers: "If-Match: x", sent: last, status: 404, code: "NoSuchKey"},
		{as: "reader", request: "POST /pics/up?uploadId={id}", sent: last, status: 403, code: "AccessDenied"},
		{as: "writer", request: "POST /pics/up?uploadId={id}", sent: last, status: 200},

		{request: "DELETE /pics/up?uploadId={id}", status: 204},
		{request: "DELETE /pics/up?uploadId=x", status: 404, code: "NoSuchUpload"},
		{request: "DELETE /pics/up?uploadId={id}", headers: "x-amz-if-match-initiated-time: " + uploadedAt, status: 501, code: "NotImplemented"},
		{as: "writer", request: "DELETE /pics/up?uploadId={id}", status: 403, code: "AccessDenied", match: "s3:AbortMultipartUpload on resource: &#34;arn:aws:s3:::pics/up&#34;"},
		{request: "GET /pics/up?uploadId={id}", status: 200, match: "<PartNumber>2</PartNumber>"},
		{request: "GET /pics/up?uploadId={id}&max-parts=x", status: 400, code: "InvalidArgument"},
		{request: "GET /pics/up?uploadId={id}&part-number-marker=x", status: 400, code: "InvalidArgument"},
		{request: "GET /pics/up?uploadId=x", status: 404, code: "NoSuchUpload"},
		{as: "reader", request: "GET /pics/up?uploadId={id}", status: 403, code: "AccessDenied", match: "s3:ListMultipartUploadParts"},
		{request: "GET /pics?uploads", status: 200, match: "<Key>up</Key>"},
		{request: "GET /pics?uploads&max-uploads=-1", status: 400, code: "InvalidArgument"},
		{request: "GET /pics?uploads&encoding-type=rot13", status: 400, code: "InvalidArgument"},
		{as: "lister", request: "GET /pics?uploads", status: 403, code: "AccessDenied", match: "s3:ListBucketMultipartUploads"},
	} {
		t.Run(strings.TrimSpace(row.as+" "+row.request+" "+row.headers+" "+row.sent[:min(len(row.sent), 60)]), func(t *testing.T) {
			s := newStore(t)
			s.begin(t, "/pics/up", "", "1", "2")
			row.run(t, s)
		})
	}
}

// The checksums of parts and of the whole upload must be those that it began with.
func TestMultipartChecksums(t *testing.T) {
	const sha1Of1, sha1Of2 = "NWoZK3kTsExUV00Ywo1G5jlUKKs=", "2kuSN7rMzfGcB2DKt67EqDWQELA="
	complete := func(checksum string) string {
		return `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>c4ca4238a0b923820dcc509a6f75849b</ETag>` + checksum + `</Part></CompleteMultipartUpload>`
	}
	right := complete("<ChecksumSHA1>" + sha1Of1 + "</ChecksumSHA1>")
	for _, test := range []struct {
		headers string // of CreateMultipartUpload
		part    string // headers of part 1, which is "1"
		code    string // of its refusal
		row     writeRow
	}{
		{"x-amz-checksum-algorithm: SHA1", "", "expected checksum Type: sha1, actual checksum Type: null", writeRow{}},
		{"x-amz-checksum-algorithm: SHA1", "x-amz-checksum-crc32: g9zvtw==", "expected checksum Type: sha1, actual checksum Type: crc32", writeRow{}},
		{"x-amz-checksum-algorithm: SHA1", "x-amz-checksum-sha1: " + sha1Of2, "BadDigest", writeRow{}},
		{"x-amz-checksum-algorithm: SHA1", "x-amz-checksum-sha1: " + sha1Of1, "", writeRow{sent: complete(""), status: 400, code: "InvalidRequest", match: "The upload was created using a sha1 checksum. The complete request must include the checksum for each part. It was missing for part 1 in the request."}},
		{"x-amz-checksum-algorithm: SHA1", "x-amz-checksum-sha1: " + sha1Of1, "", writeRow{sent: complete("<ChecksumSHA1>" + sha1Of2 + "</ChecksumSHA1>"), status: 400, code: "InvalidPart"}},
		{"x-amz-checksum-algorithm: SHA1", "x-amz-checksum-sha1: " + sha1Of1, "", writeRow{sent: right, status: 200, match: "<ChecksumSHA1>5syQuHi5SMNekrADx5LEbFjEr0A=-1</ChecksumSHA1><ChecksumType>COMPOSITE</ChecksumType>"}},
		{"x-amz-checksum-algorithm: SHA1", "x-amz-checksum-sha1: " + sha1Of1, "", writeRow{headers: "x-amz-checksum-sha1: " + sha1Of1, sent: right, status: 400, code: "BadDigest"}},
		{"x-amz-checksum-algorithm: SHA1", "x-amz-checksum-sha1: " + sha1Of1, "", writeRow{headers: "x-amz-checksum-type: FULL_OBJECT", sent: right, status: 400, code: "InvalidRequest"}},
		{"x-amz-checksum-algorithm: CRC32\nx-amz-checksum-type: FULL_OBJECT", "", "", writeRow{sent: complete(""), status: 200, match: "<ChecksumCRC32>g9zvtw==</ChecksumCRC32><ChecksumType>FULL_OBJECT</ChecksumType>"}},
		{"x-amz-checksum-algorithm: CRC32\nx-amz-checksum-type: FULL_OBJECT", "", "", writeRow{headers: "x-amz-checksum-crc32: g9zvtw==\nx-amz-checksum-type: FULL_OBJECT", sent: complete(""), status: 200}},
		{"x-amz-checksum-algorithm: CRC32\nx-amz-checksum-type: FULL_OBJECT", "", "", writeRow{headers: "x-amz-checksum-crc32: AAAAAA==", sent: complete(""), status: 400, code: "BadDigest"}},
	} {
		t.Run(test.headers+" "+test.part+" "+test.row.headers, func(t *testing.T) {
			s := newStore(t)
			s.begin(t, "/pics/up", test.headers)
			part := s.do(t, "owner", "PUT", s.names.Replace("/pics/up?partNumber=1&uploadId={id}"), test.part, "1")
			if test.code != "" || part.StatusCode != 200 {
				if part.StatusCode == 200 || !strings.Contains(part.body, test.code) {
					t.Errorf("part: %d %s, want %s", part.StatusCode, part.body, test.code)
				}
				return
			}
			test.row.request = "POST /pics/up?uploadId={id}"
			test.row.run(t, s)
		})
	}
}

// Of several programs that complete or abort an upload, one does.
func TestUploadEndsOnce(t *testing.T) {
	cloud := awstest.New()
	account := cloud.Account(sharedID)
	bucket := account.CreateBucket("race")
	bucket.SetVersioning()
	cfg := cloud.Config()
	cfg.Credentials, cfg.RetryMaxAttempts = provider(account.UserCredentials("u", allowAll)), 1
	client := s3.NewFromConfig(cfg)
	created, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: new("race"), Key: new("k")})
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: new("race"), Key: new("k"), UploadId: created.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("x")})
	if err != nil {
		t.Fatal(err)
	}
	codes := make(chan string, 8)
	var all sync.WaitGroup
	for range cap(codes) {
		all.Go(func() {
			_, err := client.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
				Bucket: new("race"), Key: new("k"), UploadId: created.UploadId,
				MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: out.ETag}}},
			})
			codes <- codeOf(err)
		})
	}
	all.Wait()
	close(codes)
	won := 0
	for code := range codes {
		if code == "" {
			won++
		} else if code != "NoSuchUpload" {
			t.Errorf("code %s", code)
		}
	}
	if won != 1 {
		t.Errorf("%d of 8 completed the upload", won)
	}
}
