package awstest_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crossrole/crossrole/awstest"
)

const copyCat = "x-amz-copy-source: /pics/cat"

func TestCopyAnswers(t *testing.T) {
	runWrites(t, []writeRow{
		{request: "PUT /pics/new", headers: copyCat, status: 200, match: `<ETag>&quot;781e5e245d69b566979b86e28d23f2c7&quot;</ETag>`, answer: "x-amz-copy-source-version-id: -\nx-amz-version-id: -"},
		{request: "PUT /pics/new", headers: "x-amz-copy-source: pics/cat", status: 200},
		{request: "PUT /past/new", headers: "x-amz-copy-source: past/k?versionId={v1}", status: 200, answer: "x-amz-copy-source-version-id: {v1}"},
		{request: "PUT /pics/new", headers: "x-amz-copy-source: cat", status: 400, code: "InvalidArgument"},
		{request: "PUT /pics/new", headers: "x-amz-copy-source: /pics/", status: 400, code: "InvalidArgument"},
		{request: "PUT /pics/new", headers: "x-amz-copy-source: /pics/%zz", status: 400, code: "InvalidArgument"},
		{request: "PUT /pics/new", headers: "x-amz-copy-source: /past/k?versionId=x", status: 400, code: "InvalidArgument"},
		{request: "PUT /pics/new", headers: "x-amz-copy-source: arn:aws:s3:us-east-1:444455556666:accesspoint/a/object/cat", status: 501, code: "NotImplemented"},
		{request: "PUT /pics/new", headers: "x-amz-copy-source: /absent/cat", status: 404, code: "NoSuchBucket"},
		{request: "PUT /pics/new", headers: "x-amz-copy-source: /pics/none", status: 404, code: "NoSuchKey"},
		{request: "PUT /pics/new", headers: "x-amz-copy-source: /past/gone", status: 404, code: "NoSuchKey"},
		{request: "PUT /pics/new", headers: "x-amz-copy-source: /past/gone?versionId={marker}", status: 400, code: "InvalidRequest"},
		{request: "PUT /pics/new", headers: "x-amz-copy-source: /pics/frozen", status: 403, code: "InvalidObjectState"},
		{request: "PUT /pics/cat", headers: copyCat, status: 400, code: "InvalidRequest", match: "trying to copy an object to itself"},
		{request: "PUT /pics/cat", headers: copyCat + "\nx-amz-metadata-directive: REPLACE", status: 200},
		{request: "PUT /pics/cat", headers: copyCat + "\nx-amz-storage-class: STANDARD_IA", status: 200},
		{request: "PUT /pics/cat", headers: copyCat + "\nx-amz-server-side-encryption: AES256", status: 200},
		{request: "PUT /past/k", headers: "x-amz-copy-source: past/k?versionId={v1}", status: 200},
		{request: "PUT /pics/new", headers: copyCat + "\nx-amz-metadata-directive: MERGE", status: 400, code: "InvalidArgument"},
		{request: "PUT /pics/new", headers: copyCat + "\nx-amz-tagging-directive: REPLACE", status: 501, code: "NotImplemented"},
		{request: "PUT /pics/new", headers: copyCat + "\nx-amz-tagging-directive: COPY", status: 200},
		{request: "PUT /pics/new", headers: copyCat + "\nx-amz-checksum-algorithm: SHA256", status: 200, match: "<ChecksumSHA256>hNiYd/DUBB77a/kaFvAkjy/Vc+avBcGflr7bn4gveII=</ChecksumSHA256><ChecksumType>FULL_OBJECT</ChecksumType>"},
		{request: "PUT /pics/new", headers: copyCat + "\nx-amz-checksum-algorithm: MD6", status: 400, code: "InvalidRequest"},
		{request: "PUT /pics/new", headers: copyCat + "\nx-amz-acl: public-read", status: 400, code: "AccessControlListNotSupported"},
		{request: "PUT /pics/new", headers: copyCat + "\nx-amz-copy-source-if-match: " + catETag, status: 200},
		{request: "PUT /pics/new", headers: copyCat + "\nx-amz-copy-source-if-match: x", status: 412, code: "PreconditionFailed"},
		{request: "PUT /pics/new", headers: copyCat + "\nx-amz-copy-source-if-none-match: " + catETag, status: 412, code: "PreconditionFailed"},
		{request: "PUT /pics/new", headers: copyCat + "\nx-amz-copy-source-if-none-match: x", status: 200},
		{request: "PUT /pics/new", headers: copyCat + "\nx-amz-copy-source-if-modified-since: " + uploadedAt, status: 412, code: "PreconditionFailed"},
		{request: "PUT /pics/new", headers: copyCat + "\nx-amz-copy-source-if-unmodified-since: " + secondBefore, status: 412, code: "PreconditionFailed"},
		{request: "PUT /pics/new", headers: copyCat + "\nx-amz-copy-source-if-match: " + catETag + "\nx-amz-copy-source-if-unmodified-since: " + secondBefore, status: 200},
		{request: "PUT /pics/empty", headers: copyCat + "\nIf-None-Match: *", status: 412, code: "PreconditionFailed"},
		{request: "PUT /pics/new", headers: copyCat + "\nIf-None-Match: *", status: 200},
		{request: "PUT /pics/empty", headers: copyCat + "\nIf-Match: x", status: 412, code: "PreconditionFailed"},
		{request: "PUT /pics/new", headers: copyCat + "\nx-amz-source-expected-bucket-owner: 444455556666", status: 200},
		{request: "PUT /pics/new", headers: copyCat + "\nx-amz-source-expected-bucket-owner: 111122223333", status: 403, code: "AccessDenied"},
		{request: "GET /pics/cat", headers: copyCat, status: 501, code: "NotImplemented"},
		{request: "DELETE /pics/cat", headers: copyCat, status: 501, code: "NotImplemented"},
		{as: "reader", request: "PUT /pics/new", headers: copyCat, status: 403, code: "AccessDenied"},
		{as: "writer", request: "PUT /pics/new", headers: copyCat, status: 403, code: "AccessDenied", match: "s3:GetObject"},
		{as: "writer", request: "PUT /pics/new", headers: "x-amz-copy-source: /pics/none", status: 403, code: "AccessDenied"},
		{as: "other", request: "PUT /paid/new", headers: "x-amz-copy-source: /paid/k", status: 403, code: "AccessDenied"},
		{as: "other", request: "PUT /paid/new", headers: "x-amz-copy-source: /paid/k\nx-amz-request-payer: requester", status: 200},
		{as: "anonymous", request: "PUT /open/new", headers: "x-amz-copy-source: /open/k", status: 403, code: "AccessDenied"},
	})
}

// A copy between two accounts needs both: the source's bucket policy and the
// caller's own for reading, the same for writing.
func TestCopyAcrossAccounts(t *testing.T) {
	cloud := awstest.New()
	shared, dev := cloud.Account(sharedID), cloud.Account(devID)
	pics := shared.CreateBucket("pics")
	pics.Put("cat", []byte("meow"), func(o *awstest.Object) {
		o.ContentType, o.Metadata, o.Headers = "image/jpeg", map[string]string{"colour": "red"}, map[string]string{"Cache-Control": "no-cache"}
		o.PartSize, o.ChecksumAlgorithm = 3, "CRC32"
	})
	dev.CreateBucket("mirror")
	cfg := cloud.Config()
	cfg.Credentials = provider(dev.UserCredentials("app", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/*"},
		{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::mirror/*"}]}`))
	client := s3.NewFromConfig(cfg)
	in := &s3.CopyObjectInput{Bucket: new("mirror"), Key: new("copy of cat"), CopySource: new("pics/cat")}
	if _, err := client.CopyObject(t.Context(), in); codeOf(err) != "AccessDenied" {
		t.Errorf("without the source's policy: %v", err)
	}
	pics.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + devID + `:user/app"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/*"}]}`)
	out, err := client.CopyObject(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	// The copy is one object, whatever parts its source had.
	if etag := *out.CopyObjectResult.ETag; strings.Contains(etag, "-") || out.CopyObjectResult.ChecksumType != types.ChecksumTypeFullObject || *out.CopyObjectResult.ChecksumCRC32 != "ihBq/g==" {
		t.Errorf("ETag %s, checksum %+v", etag, out.CopyObjectResult)
	}
	head, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: in.Bucket, Key: in.Key})
	if err != nil || *head.ContentType != "image/jpeg" || head.Metadata["colour"] != "red" || *head.CacheControl != "no-cache" {
		t.Errorf("described as %+v, %v", head, err)
	}
	in.MetadataDirective, in.ContentType, in.Metadata = types.MetadataDirectiveReplace, new("image/png"), map[string]string{"size": "small"}
	if _, err := client.CopyObject(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	head, err = client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: in.Bucket, Key: in.Key})
	if err != nil || *head.ContentType != "image/png" || head.Metadata["colour"] != "" || head.Metadata["size"] != "small" || head.CacheControl != nil {
		t.Errorf("replaced: described as %+v, %v", head, err)
	}
	if got := read(t, client, "mirror", "copy of cat", ""); got != "meow" {
		t.Errorf("the copy is %q", got)
	}
}
