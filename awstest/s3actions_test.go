package awstest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/awstest"
)

// Each operation needs the actions that AWS names for it, and no other (Amazon S3
// User Guide, "Required permissions for Amazon S3 API operations"): with exactly
// these it succeeds, and without any one of them it is refused.
func TestS3Actions(t *testing.T) {
	const complete = "<CompleteMultipartUpload>{p1}</CompleteMultipartUpload>"
	const kms = "x-amz-server-side-encryption: aws:kms\nx-amz-server-side-encryption-aws-kms-key-id: {key}"
	for _, test := range []struct {
		actions string
		row     writeRow
	}{
		{"s3:GetObject", writeRow{request: "GET /pics/cat"}},
		{"s3:GetObject", writeRow{request: "HEAD /pics/cat"}},
		{"s3:GetObjectVersion", writeRow{request: "GET /past/k?versionId={v1}"}},
		{"s3:GetObject s3:GetObjectAttributes", writeRow{request: "GET /pics/cat?attributes", headers: "x-amz-object-attributes: ETag"}},
		{"s3:GetObjectVersion s3:GetObjectVersionAttributes", writeRow{request: "GET /past/k?attributes&versionId={v1}", headers: "x-amz-object-attributes: ETag"}},
		{"s3:GetObjectTagging", writeRow{request: "GET /pics/cat?tagging"}},
		{"s3:GetObjectVersionTagging", writeRow{request: "GET /past/k?tagging&versionId={v1}"}},
		{"s3:ListBucket", writeRow{request: "GET /pics?list-type=2"}},
		{"s3:ListBucket", writeRow{request: "GET /pics"}},
		{"s3:ListBucket", writeRow{request: "HEAD /pics"}},
		{"s3:ListBucketVersions", writeRow{request: "GET /past?versions"}},
		{"s3:ListBucketMultipartUploads", writeRow{request: "GET /pics?uploads"}},
		{"s3:ListMultipartUploadParts", writeRow{request: "GET /pics/up?uploadId={id}"}},
		{"s3:ListAllMyBuckets", writeRow{request: "GET /"}},
		{"s3:PutObject", writeRow{request: "PUT /pics/new"}},
		{"s3:PutObject s3:GetObject", writeRow{request: "PUT /pics/cat", headers: "If-Match: " + catETag}},
		{"s3:PutObject", writeRow{request: "PUT /pics/new", headers: "If-None-Match: *"}},
		{"s3:PutObject s3:GetObject", writeRow{request: "PUT /pics/new", headers: copyCat}},
		{"s3:PutObject s3:GetObjectVersion", writeRow{request: "PUT /pics/new", headers: "x-amz-copy-source: past/k?versionId={v1}"}},
		{"s3:PutObject", writeRow{request: "POST /pics/new?uploads"}},
		{"s3:PutObject", writeRow{request: "PUT /pics/up?partNumber=2&uploadId={id}", sent: "2"}},
		{"s3:PutObject s3:GetObject", writeRow{request: "PUT /pics/up?partNumber=2&uploadId={id}", headers: copyCat}},
		{"s3:PutObject", writeRow{request: "POST /pics/up?uploadId={id}", sent: complete}},
		{"s3:AbortMultipartUpload", writeRow{request: "DELETE /pics/up?uploadId={id}"}},
		{"s3:DeleteObject", writeRow{request: "DELETE /pics/cat"}},
		{"s3:DeleteObject s3:GetObject", writeRow{request: "DELETE /pics/cat", headers: "If-Match: " + catETag}},
		{"s3:DeleteObjectVersion", writeRow{request: "DELETE /past/k?versionId={v1}"}},
		{"s3:GetBucketLocation", writeRow{request: "GET /pics?location"}},
		{"s3:GetBucketAcl", writeRow{request: "GET /pics?acl"}},
		{"s3:GetBucketVersioning", writeRow{request: "GET /pics?versioning"}},
		{"s3:PutBucketVersioning", writeRow{request: "PUT /pics?versioning", sent: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"}},
		{"s3:GetBucketPolicy", writeRow{request: "GET /open?policy"}},
		{"s3:PutBucketPolicy", writeRow{request: "PUT /pics?policy", sent: policyOn(`{"AWS":"111122223333"}`, "s3:GetObject", "")}},
		{"s3:DeleteBucketPolicy", writeRow{request: "DELETE /open?policy"}},
		{"s3:CreateBucket", writeRow{request: "PUT /fresh"}},
		{"s3:CreateBucket s3:PutBucketOwnershipControls", writeRow{request: "PUT /fresh", headers: "x-amz-object-ownership: BucketOwnerEnforced"}},
		{"s3:DeleteBucket", writeRow{request: "DELETE /hollow"}},
		{"s3:GetObject kms:Decrypt", writeRow{request: "GET /pics/locked"}},
		{"s3:GetObject", writeRow{request: "HEAD /pics/locked"}},
		{"s3:PutObject kms:GenerateDataKey", writeRow{request: "PUT /pics/new", headers: kms}},
		{"s3:PutObject kms:GenerateDataKey", writeRow{request: "POST /pics/new?uploads", headers: kms}},
		{"s3:PutObject s3:GetObject kms:Decrypt", writeRow{request: "PUT /pics/new", headers: "x-amz-copy-source: pics/locked"}},
	} {
		t.Run(test.actions+" "+test.row.request+" "+test.row.headers, func(t *testing.T) {
			actions := strings.Fields(test.actions)
			for left := -1; left < len(actions); left++ {
				s := newStore(t)
				key := s.owner.CreateKMSKey("")
				s.owner.CreateBucket("hollow")
				s.pics.Put("locked", []byte("x"), func(o *awstest.Object) { o.KMSKey = key })
				v1 := s.names.Replace("{v1}")
				s.begin(t, "/pics/up", "", "1")
				s.names = strings.NewReplacer("{v1}", v1, "{key}", key.ARN(), "{id}", s.names.Replace("{id}"), "{p1}", s.names.Replace("{p1}"))
				allowed := slices.Clone(actions)
				if left >= 0 {
					allowed = append(slices.Delete(allowed, left, left+1), "s3:RestoreObject")
				}
				s.as["exact"] = s.owner.UserCredentials("exact", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["`+strings.Join(allowed, `","`)+`"],"Resource":"*"}]}`)
				method, target, _ := strings.Cut(s.names.Replace(test.row.request), " ")
				got := s.do(t, "exact", method, target, s.names.Replace(test.row.headers), s.names.Replace(test.row.sent))
				switch {
				case left < 0 && got.StatusCode >= 300:
					t.Errorf("with %v: %d %s", allowed, got.StatusCode, got.body)
				case left >= 0 && got.StatusCode != 403:
					t.Errorf("without %s: %d %s", actions[left], got.StatusCode, got.body)
				case left >= 0 && method != "HEAD" && !strings.Contains(got.body, actions[left]+" "):
					t.Errorf("without %s: the message does not name it: %s", actions[left], got.body)
				}
			}
		})
	}
}
