package awstest_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

var putRows = []s3Row{
	{request: "PUT /pics/new", status: 200, answer: "ETag: \"5eb63bbbe01eeed093cb22bb8f5acdc3\"\nx-amz-checksum-crc64nvme: jSnVw/bqjr4=\nx-amz-checksum-type: FULL_OBJECT\nx-amz-server-side-encryption: AES256\nx-amz-version-id: -"},
	{request: "PUT /pics/new", headers: "x-amz-checksum-crc32: DUoRhQ==", status: 200, answer: "x-amz-checksum-crc32: DUoRhQ==\nx-amz-checksum-crc64nvme: -"},
	{request: "PUT /pics/new", headers: "x-amz-checksum-crc32: DUoRhA==", status: 400, code: "BadDigest"},
	{request: "PUT /pics/new", headers: "x-amz-checksum-crc32: hello", status: 400, code: "InvalidRequest"},
	{request: "PUT /pics/new", headers: "x-amz-checksum-crc32: DUoRhQ==\nx-amz-checksum-sha1: Kq5sNclPz7QV2+lfQIuc6R7oRu0=", status: 400, code: "InvalidRequest"},
	{request: "PUT /pics/new", headers: "x-amz-checksum-sha1: Kq5sNclPz7QV2+lfQIuc6R7oRu0=", status: 200},
	{request: "PUT /pics/new", headers: "x-amz-checksum-sha256: uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=", status: 200},
	{request: "PUT /pics/new", headers: "x-amz-checksum-crc32c: yZRlqg==", status: 200},
	{request: "PUT /pics/new", headers: "x-amz-checksum-md6: yZRlqg==", status: 400, code: "InvalidRequest"},
	{request: "PUT /pics/new", headers: "x-amz-checksum-crc32: DUoRhQ==\nx-amz-sdk-checksum-algorithm: CRC32C", status: 400, code: "InvalidRequest"},
	{request: "PUT /pics/new", headers: "x-amz-checksum-md5: XrY7u+Ae7tCTyyK7j1rNww==", status: 200, answer: "x-amz-checksum-md5: XrY7u+Ae7tCTyyK7j1rNww=="},
	{request: "PUT /pics/new", headers: "x-amz-checksum-xxhash64: RatnNLIeaWg=", status: 200, answer: "x-amz-checksum-xxhash64: RatnNLIeaWg="},
	{request: "PUT /pics/new", headers: "x-amz-checksum-xxhash3: 1Eex6kDmmIs=", status: 200, answer: "x-amz-checksum-xxhash3: 1Eex6kDmmIs="},
	{request: "PUT /pics/new", headers: "x-amz-checksum-xxhash128: 340J6T+HSQCpm4d1zBW2xw==", status: 200, answer: "x-amz-checksum-xxhash128: 340J6T+HSQCpm4d1zBW2xw=="},
	{request: "PUT /pics/new", headers: "x-amz-checksum-xxhash64: AAAAAAAAAAA=", status: 400, code: "BadDigest"},
	{request: "PUT /pics/new", headers: "x-amz-sdk-checksum-algorithm: CRC32", status: 400, code: "InvalidRequest"},
	{request: "PUT /pics/new", headers: "Content-MD5: XrY7u+Ae7tCTyyK7j1rNww==", status: 200},
	{request: "PUT /pics/new", headers: "Content-MD5: YrY7u+Ae7tCTyyK7j1rNww==", status: 400, code: "BadDigest"},
	{request: "PUT /pics/new", headers: "Content-MD5: hello", status: 400, code: "InvalidDigest"},
	{request: "PUT /pics/fresh", headers: "If-None-Match: *", status: 200},
	{request: "PUT /pics/fresh", headers: "If-None-Match: *", status: 412, code: "PreconditionFailed"},
	{request: "PUT /pics/fresh", headers: `If-None-Match: "x"`, status: 501, code: "NotImplemented"},
	{request: "PUT /pics/fresh", headers: `If-Match: "5eb63bbbe01eeed093cb22bb8f5acdc3"`, status: 200},
	{request: "PUT /pics/fresh", headers: `If-Match: "x"`, status: 412, code: "PreconditionFailed"},
	{request: "PUT /pics/nothing", headers: `If-Match: "x"`, status: 404, code: "NoSuchKey"},
	{request: "PUT /past/gone", headers: "If-None-Match: *", status: 200},
	{request: "PUT /pics/new", headers: "x-amz-storage-class: GLACIER_IR", status: 200},
	{request: "PUT /pics/new", headers: "x-amz-storage-class: COLD", status: 400, code: "InvalidStorageClass"},
	{request: "PUT /pics/new", headers: "x-amz-acl: public-read", status: 400, code: "AccessControlListNotSupported"},
	{request: "PUT /pics/new", headers: "x-amz-acl: private", status: 400, code: "AccessControlListNotSupported"},
	{request: "PUT /pics/new", headers: "x-amz-acl: bucket-owner-full-control", status: 200},
	{request: "PUT /pics/new", headers: "x-amz-tagging: a=b", status: 501, code: "NotImplemented"},
	{request: "PUT /pics/new", headers: "x-amz-server-side-encryption: aws:kms", status: 501, code: "NotImplemented"},
	{request: "PUT /pics/new", headers: "x-amz-server-side-encryption: AES256", status: 200},
	{request: "PUT /pics/new", headers: "x-amz-meta-a: " + strings.Repeat("m", 2048), status: 400, code: "MetadataTooLarge"},
	{request: "PUT /pics/" + strings.Repeat("k", 1024), status: 200},
	{request: "PUT /pics/" + strings.Repeat("k", 1025), status: 400, code: "KeyTooLongError"},
	{as: "other", request: "PUT /paid/new", status: 403, code: "AccessDenied"},
	{as: "other", request: "PUT /paid/new", headers: "x-amz-request-payer: requester", status: 200, answer: "x-amz-request-charged: requester"},
	{as: "anonymous", request: "PUT /pics/new", status: 403, code: "AccessDenied"},
}

func TestPutAnswers(t *testing.T) {
	s := newStore(t)
	for _, row := range putRows {
		as := map[string]string{"": "owner", "anonymous": ""}
		who, known := as[row.as]
		if !known {
			who = row.as
		}
		t.Run(strings.TrimSpace(who+" "+row.request+" "+row.headers), func(t *testing.T) {
			method, target, _ := strings.Cut(row.request, " ")
			s.check(t, row, method, s.do(t, who, method, target, row.headers, "hello world"))
		})
	}
}

func TestPutIsReadBack(t *testing.T) {
	s := newStore(t)
	client := s.client("owner")
	for _, algorithm := range []types.ChecksumAlgorithm{"", "CRC64NVME", "CRC32", "CRC32C", "SHA1", "SHA256"} {
		put, err := client.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: new("past"), Key: new("cat.jpg"), Body: strings.NewReader("meow"),
			ContentType: new("image/jpeg"), ContentEncoding: new("gzip"), CacheControl: new("no-cache"), ContentDisposition: new("inline"),
			Metadata: map[string]string{"Colour": "red", "age": "3"}, StorageClass: types.StorageClassStandardIa, ChecksumAlgorithm: algorithm,
		})
		if err != nil {
			t.Fatal(algorithm, err)
		}
		out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: new("past"), Key: new("cat.jpg"), VersionId: put.VersionId, ChecksumMode: types.ChecksumModeEnabled})
		if err != nil {
			t.Fatal(algorithm, err)
		}
		data, err := io.ReadAll(out.Body) // the SDK compares the checksum here
		if string(data) != "meow" || err != nil {
			t.Errorf("%s: read %q, %v", algorithm, data, err)
		}
		if *out.ETag != *put.ETag || *out.ContentType != "image/jpeg" || *out.ContentEncoding != "gzip" || *out.CacheControl != "no-cache" ||
			*out.ContentDisposition != "inline" || out.StorageClass != types.StorageClassStandardIa || !maps.Equal(out.Metadata, map[string]string{"colour": "red", "age": "3"}) {
			t.Errorf("%s: read back %+v", algorithm, out)
		}
	}
}

// Of many writers that each want to be the first, one is.
func TestPutIfNoneMatchHasOneWinner(t *testing.T) {
	s := newStore(t)
	client := s.client("owner")
	var winners atomic.Int32
	var writers sync.WaitGroup
	for range 20 {
		writers.Go(func() {
			_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: new("pics"), Key: new("lock"), IfNoneMatch: new("*"), Body: strings.NewReader("mine")})
			if err == nil {
				winners.Add(1)
				return
			}
			if refused, ok := errors.AsType[smithy.APIError](err); !ok || refused.ErrorCode() != "PreconditionFailed" {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	if winners.Load() != 1 {
		t.Errorf("%d writers were the first", winners.Load())
	}
}

// The checksum that a presigned URL carries in its query is compared with the body.
func TestPresignedPut(t *testing.T) {
	s := newStore(t)
	signed, err := s3.NewPresignClient(s.client("owner")).PresignPutObject(t.Context(), &s3.PutObjectInput{
		Bucket: new("pics"), Key: new("new"), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32, ChecksumCRC32: new("DUoRhQ=="), Metadata: map[string]string{"colour": "red"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for body, code := range map[string]string{"hello world": "", "something else": "BadDigest"} {
		r, err := http.NewRequestWithContext(t.Context(), signed.Method, signed.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range signed.SignedHeader {
			if name != "Host" && name != "Content-Length" {
				r.Header[name] = values
			}
		}
		if got := s.answer(t, r); got.code() != code {
			t.Errorf("%q: %d %s, want %q", body, got.StatusCode, got.body, code)
		}
	}
	head, err := s.client("owner").HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: new("pics"), Key: new("new")})
	if err != nil || head.Metadata["colour"] != "red" {
		t.Errorf("stored as %+v, %v", head, err)
	}
}

// A bucket can demand conditional writes; the requests of an upload that create no
// object yet are exempt (Amazon S3 User Guide, "Enforce conditional writes").
func TestConditionalWritesEnforced(t *testing.T) {
	s := newStore(t)
	s.pics.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::pics/*",
		"Condition":{"Null":{"s3:if-none-match":"true"},"Bool":{"s3:ObjectCreationOperation":"true"}}}]}`)
	s.begin(t, "/pics/up", "", "1")
	for _, row := range []writeRow{
		{request: "PUT /pics/new", status: 403, code: "AccessDenied"},
		{request: "PUT /pics/new", headers: "If-None-Match: *", status: 200},
		{request: "PUT /pics/copy", headers: "x-amz-copy-source: /past/k", status: 403, code: "AccessDenied"},
		{request: "POST /pics/up?uploadId={id}", sent: "<CompleteMultipartUpload>{p1}</CompleteMultipartUpload>", status: 403, code: "AccessDenied"},
		{request: "POST /pics/up?uploadId={id}", headers: "If-None-Match: *", sent: "<CompleteMultipartUpload>{p1}</CompleteMultipartUpload>", status: 200},
	} {
		row.run(t, s)
	}
}
