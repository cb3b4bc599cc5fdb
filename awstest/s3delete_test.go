package awstest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crossrole/crossrole/awstest"
)

// deletion is a document of DeleteObjects.
func deletion(entries ...string) string {
	return `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` + strings.Join(entries, "") + "</Delete>"
}

func keyEntry(key string) string { return "<Object><Key>" + key + "</Key></Object>" }

func TestDeleteAnswers(t *testing.T) {
	runWrites(t, []writeRow{
		{request: "DELETE /pics/cat", status: 204, answer: "x-amz-delete-marker: -\nx-amz-version-id: -"},
		{request: "DELETE /pics/none", status: 204},
		{request: "DELETE /pics/cat?versionId=null", status: 204, answer: "x-amz-version-id: null"},
		{request: "DELETE /past/k", status: 204, answer: "x-amz-delete-marker: true"},
		{request: "DELETE /past/none", status: 204, answer: "x-amz-delete-marker: true"},
		{request: "DELETE /past/k?versionId={v1}", status: 204, answer: "x-amz-version-id: {v1}\nx-amz-delete-marker: -"},
		{request: "DELETE /past/gone?versionId={marker}", status: 204, answer: "x-amz-version-id: {marker}\nx-amz-delete-marker: true"},
		{request: "DELETE /past/k?versionId=nonsense", status: 400, code: "InvalidArgument"},
		{request: "DELETE /past/k?versionId=", status: 400, code: "InvalidArgument"},
		{request: "DELETE /pics/cat", headers: "If-Match: " + catETag, status: 204},
		{request: "DELETE /pics/cat", headers: "If-Match: *", status: 204},
		{request: "DELETE /pics/cat", headers: `If-Match: "x"`, status: 412, code: "PreconditionFailed"},
		{request: "DELETE /pics/none", headers: "If-Match: *", status: 404, code: "NoSuchKey"},
		{request: "DELETE /past/gone", headers: "If-Match: *", status: 412, code: "PreconditionFailed"},
		{request: "DELETE /pics/cat", headers: "x-amz-if-match-size: 10", status: 501, code: "NotImplemented"},
		{request: "DELETE /pics/cat", headers: "x-amz-mfa: 1 2", status: 501, code: "NotImplemented"},
		{as: "reader", request: "DELETE /pics/cat", status: 403, code: "AccessDenied"},
		{as: "deleter", request: "DELETE /pics/cat", status: 204},
		{as: "deleter", request: "DELETE /past/k?versionId={v1}", status: 403, code: "AccessDenied"}, // needs s3:DeleteObjectVersion
		{as: "deleter", request: "DELETE /pics/cat", headers: "If-Match: *", status: 204},
		{as: "deleter", request: "DELETE /pics/cat", headers: "If-Match: " + catETag, status: 403, code: "AccessDenied"}, // needs s3:GetObject
		{as: "other", request: "DELETE /pics/cat", status: 403, code: "AccessDenied"},
		{as: "other", request: "DELETE /paid/k", status: 403, code: "AccessDenied"},
		{as: "other", request: "DELETE /paid/k", headers: "x-amz-request-payer: requester", status: 204, answer: "x-amz-request-charged: requester"},
		{as: "anonymous", request: "DELETE /open/k", status: 403, code: "AccessDenied"},
		{request: "DELETE /absent/k", status: 404, code: "NoSuchBucket"},
		{request: "DELETE /far/k", status: 301, code: "PermanentRedirect"},
		{request: "DELETE /pics/" + strings.Repeat("k", 1025), status: 400, code: "KeyTooLongError"},

		{request: "POST /pics?delete", sent: deletion(keyEntry("cat")), status: 400, code: "InvalidRequest", match: "Missing required header for this request: Content-MD5"},
		{request: "POST /pics?delete", headers: "Content-MD5: XrY7u+Ae7tCTyyK7j1rNww==", sent: deletion(keyEntry("cat")), status: 400, code: "BadDigest"},
		{request: "POST /pics?delete", headers: "x-amz-checksum-crc32: AAAAAA==", sent: deletion(keyEntry("cat")), status: 400, code: "BadDigest"},
		{request: "POST /pics?delete", headers: "{md5}", sent: "<Delete>", status: 400, code: "MalformedXML"},
		{request: "POST /pics?delete", headers: "{md5}", sent: "<Remove/>", status: 400, code: "MalformedXML"},
		{request: "POST /pics?delete", headers: "{md5}", sent: deletion(keyEntry("cat")) + "<more/>", status: 400, code: "MalformedXML"},
		{request: "POST /pics?delete", headers: "{md5}", status: 400, code: "MissingRequestBodyError"},
		{request: "POST /pics?delete", headers: "{md5}", sent: deletion(), status: 400, code: "MalformedXML"},
		{request: "POST /pics?delete", headers: "{md5}", sent: deletion("<Object/>"), status: 400, code: "MalformedXML"},
		{request: "POST /pics?delete", headers: "{md5}", sent: deletion(strings.Repeat(keyEntry("cat"), 1001)), status: 400, code: "MalformedXML"},
		{request: "POST /pics?delete", headers: "{md5}", sent: deletion(strings.Repeat(keyEntry("cat"), 1000)), status: 200},
		{request: "POST /pics?delete", headers: "{md5}", sent: deletion("<Quiet>maybe</Quiet>", keyEntry("cat")), status: 400, code: "MalformedXML"},
		{request: "POST /pics?delete", headers: "{md5}", sent: deletion(keyEntry("cat"), keyEntry("none")), status: 200, match: "<Deleted><Key>cat</Key></Deleted><Deleted><Key>none</Key></Deleted>"},
		{request: "POST /pics?delete", headers: "{md5}", sent: deletion("<Quiet>true</Quiet>", keyEntry("cat")), status: 200, match: "2006-03-01/\"></DeleteResult>"},
		{request: "POST /past?delete", headers: "{md5}", sent: deletion("<Object><Key>k</Key><VersionId>null</VersionId></Object>"), status: 200, match: "<Deleted><Key>k</Key><VersionId>null</VersionId></Deleted>"},
		{request: "POST /past?delete", headers: "{md5}", sent: deletion("<Object><Key>k</Key><VersionId>x</VersionId></Object>"), status: 200, match: "<Code>InvalidArgument</Code>"},
		{request: "POST /past?delete", headers: "{md5}", sent: deletion(keyEntry("k")), status: 200, match: "<Deleted><Key>k</Key><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>"},
		{request: "POST /pics?delete", headers: "{md5}", sent: deletion("<Object><Key>cat</Key><ETag>x</ETag></Object>"), status: 200, match: "<Code>PreconditionFailed</Code>"},
		{request: "POST /pics?delete", headers: "{md5}", sent: deletion("<Object><Key>cat</Key><Size>1</Size></Object>"), status: 501, code: "NotImplemented"},
		{request: "POST /pics?delete", headers: "{md5}", sent: deletion(keyEntry(strings.Repeat("k", 1025))), status: 200, match: "<Code>KeyTooLongError</Code>"},
		{as: "reader", request: "POST /pics?delete", headers: "{md5}", sent: deletion("<Quiet>true</Quiet>", keyEntry("cat")), status: 200, match: "<Error><Key>cat</Key><Code>AccessDenied</Code>"},
		{as: "deleter", request: "POST /past?delete", headers: "{md5}", sent: deletion("<Object><Key>k</Key><VersionId>{v1}</VersionId></Object>"), status: 200, match: "<Code>AccessDenied</Code>"},
	})
}

// A deletion leaves a marker; deleting the marker brings the object back.
func TestDeleteMarkers(t *testing.T) {
	s := newStore(t)
	client, pics := s.client("owner"), new("pics")
	versioning := func(status types.BucketVersioningStatus) {
		t.Helper()
		if _, err := client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
			Bucket: pics, VersioningConfiguration: &types.VersioningConfiguration{Status: status},
		}); err != nil {
			t.Fatal(err)
		}
		got, err := client.GetBucketVersioning(t.Context(), &s3.GetBucketVersioningInput{Bucket: pics})
		if err != nil || got.Status != status {
			t.Fatalf("versioning is %v, %v; want %s", got, err, status)
		}
	}
	if got, err := client.GetBucketVersioning(t.Context(), &s3.GetBucketVersioningInput{Bucket: pics}); err != nil || got.Status != "" {
		t.Errorf("a new bucket has versioning %q, %v", got.Status, err)
	}
	versioning("Enabled")
	second := putText(t, client, "pics", "cat", "second")
	gone, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: pics, Key: new("cat")})
	if err != nil || !*gone.DeleteMarker || len(*gone.VersionId) != 32 {
		t.Fatalf("delete: %+v, %v", gone, err)
	}
	for id, want := range map[string]string{"": "NoSuchKey", "null": "0123456789", *second.VersionId: "second", *gone.VersionId: "MethodNotAllowed"} {
		if got := read(t, client, "pics", "cat", id); got != want {
			t.Errorf("version %q: %s, want %s", id, got, want)
		}
	}
	back, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: pics, Key: new("cat"), VersionId: gone.VersionId})
	if err != nil || !*back.DeleteMarker || *back.VersionId != *gone.VersionId {
		t.Errorf("delete of the marker: %+v, %v", back, err)
	}
	if got := read(t, client, "pics", "cat", ""); got != "second" {
		t.Errorf("without the marker: %s", got)
	}

	// While versioning is suspended, the null version is the one that is replaced.
	versioning("Suspended")
	if put := putText(t, client, "pics", "cat", "third"); *put.VersionId != "null" {
		t.Errorf("put has version %s", *put.VersionId)
	}
	if got := read(t, client, "pics", "cat", "null"); got != "third" {
		t.Errorf("null version: %s", got)
	}
	if gone, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: pics, Key: new("cat")}); err != nil || *gone.VersionId != "null" || !*gone.DeleteMarker {
		t.Errorf("delete: %+v, %v", gone, err)
	}
	for id, want := range map[string]string{"": "NoSuchKey", "null": "MethodNotAllowed", *second.VersionId: "second"} {
		if got := read(t, client, "pics", "cat", id); got != want {
			t.Errorf("suspended, version %q: %s, want %s", id, got, want)
		}
	}
}

// Keys that may be deleted are deleted, the others are named with the reason.
func TestDeleteSomeObjects(t *testing.T) {
	cloud := awstest.New()
	account := cloud.Account("444455556666")
	bucket := account.CreateBucket("logs")
	keys := []string{"keep/a", "tmp/a", "tmp/<b>&", "tmp/none"}
	for _, key := range keys[:3] {
		bucket.Put(key, nil)
	}
	cfg := cloud.Config()
	cfg.Credentials = provider(account.UserCredentials("janitor", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::logs/tmp/*"},
		{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::logs"}]}`))
	client := s3.NewFromConfig(cfg)
	in := &s3.DeleteObjectsInput{Bucket: new("logs"), Delete: &types.Delete{}}
	for _, key := range keys {
		in.Delete.Objects = append(in.Delete.Objects, types.ObjectIdentifier{Key: &key})
	}
	out, err := client.DeleteObjects(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	var deleted, refused []string
	for _, d := range out.Deleted {
		deleted = append(deleted, *d.Key)
	}
	for _, e := range out.Errors {
		refused = append(refused, fmt.Sprintf("%s: %s: %s", *e.Key, *e.Code, *e.Message))
	}
	if !slices.Equal(deleted, keys[1:]) {
		t.Errorf("deleted %q", deleted)
	}
	want := `keep/a: AccessDenied: User: arn:aws:iam::444455556666:user/janitor is not authorized to perform: s3:DeleteObject on resource: "arn:aws:s3:::logs/keep/a" because no identity-based policy allows the s3:DeleteObject action`
	if !slices.Equal(refused, []string{want}) {
		t.Errorf("refused %q", refused)
	}
	list, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: new("logs")})
	if err != nil || len(list.Contents) != 1 || *list.Contents[0].Key != "keep/a" {
		t.Errorf("left are %v, %v", list.Contents, err)
	}
}

func TestVersioningRefusals(t *testing.T) {
	document := func(inner string) string {
		return "<VersioningConfiguration>" + inner + "</VersioningConfiguration>"
	}
	runWrites(t, []writeRow{
		{request: "PUT /pics?versioning", sent: document("<Status>Enabled</Status>"), status: 200},
		{request: "PUT /pics?versioning", sent: document("<Status>Off</Status>"), status: 400, code: "MalformedXML"},
		{request: "PUT /pics?versioning", sent: document(""), status: 400, code: "IllegalVersioningConfigurationException"},
		{request: "PUT /pics?versioning", sent: "", status: 400, code: "MissingRequestBodyError"},
		{request: "PUT /pics?versioning", sent: document("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>"), status: 501, code: "NotImplemented"},
		{request: "PUT /pics?versioning", headers: "Content-MD5: XrY7u+Ae7tCTyyK7j1rNww==", sent: document("<Status>Enabled</Status>"), status: 400, code: "BadDigest"},
		{as: "reader", request: "PUT /pics?versioning", sent: document("<Status>Enabled</Status>"), status: 403, code: "AccessDenied"},
		{as: "reader", request: "GET /pics?versioning", status: 403, code: "AccessDenied"},
		{as: "other", request: "GET /pics?versioning", status: 403, code: "AccessDenied"},
		{request: "GET /past?versioning", status: 200, match: "<Status>Enabled</Status>"},
	})
}
