package awstest_test

import (
	"bytes"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crossrole/crossrole/awstest"
)

func TestFaultsOfObjects(t *testing.T) {
	for _, row := range []struct {
		name, byteRange string
		fault           awstest.Fault
		status          int
		label, body     string
	}{
		{"range ignored", "bytes=2-5", awstest.Fault{IgnoreRange: true}, 200, "", "0123456789"},
		{"range too late", "bytes=2-5", awstest.Fault{WrongRange: true}, 206, "bytes 3-6/10", "3456"},
		{"range too early", "bytes=6-9", awstest.Fault{WrongRange: true}, 206, "bytes 5-8/10", "5678"},
		{"range too short", "bytes=0-9", awstest.Fault{WrongRange: true}, 206, "bytes 0-8/10", "012345678"},
		{"no range to get wrong", "", awstest.Fault{WrongRange: true, IgnoreRange: true}, 200, "", "0123456789"},
		{"edited", "", awstest.Fault{Edit: func(b []byte) []byte { b[0] = 'X'; return b[:4] }}, 200, "", "X123"},
		{"another operation", "", awstest.Fault{Operation: "PutObject", Edit: bytes.ToUpper}, 200, "", "0123456789"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStore(t)
			row.fault.Times = 1
			s.cloud.Fault(row.fault)
			headers := ""
			if row.byteRange != "" {
				headers = "Range: " + row.byteRange
			}
			got := s.do(t, "owner", "GET", "/pics/cat", headers, "")
			if got.StatusCode != row.status || got.Header.Get("Content-Range") != row.label || got.body != row.body || got.ContentLength != int64(len(row.body)) {
				t.Errorf("%d, %q, %d bytes: %q; want %d, %q, %q", got.StatusCode, got.Header.Get("Content-Range"), got.ContentLength, got.body, row.status, row.label, row.body)
			}
			if again := s.do(t, "owner", "GET", "/pics/cat", "", ""); again.body != "0123456789" {
				t.Errorf("afterwards the object holds %q", again.body)
			}
		})
	}
}

// What Calls records of requests to S3, for tests of clients.
func TestS3Calls(t *testing.T) {
	s := newStore(t)
	asked := len(s.cloud.Calls())
	s.do(t, "owner", "GET", "/pics/cat?versionId=null&response-content-type=a", "Range: bytes=0-1\nIf-Match: "+catETag, "")
	s.do(t, "owner", "GET", "/pics?list-type=2&prefix=c&delimiter=%2F&max-keys=3&start-after=a", "", "")
	s.do(t, "reader", "HEAD", "pics.s3.us-east-1.amazonaws.com/none", "x-amz-request-payer: requester", "")
	var got []string
	for _, call := range s.cloud.Calls()[asked:] {
		got = append(got, call.String())
	}
	for i, want := range []string{
		`GetObject Bucket=pics IfMatch="\"781e5e245d69b566979b86e28d23f2c7\"" Key=cat Range=bytes=0-1 ResponseContentType=a VersionId=null by arn:aws:iam::444455556666:user/owner → 206`,
		`ListObjectsV2 Bucket=pics Delimiter=/ MaxKeys=3 Prefix=c StartAfter=a by arn:aws:iam::444455556666:user/owner → 200`,
		`HeadObject Bucket=pics Key=none RequestPayer=requester by arn:aws:iam::444455556666:user/reader → 403 AccessDenied`,
	} {
		if !strings.HasPrefix(got[i], want) {
			t.Errorf("call %d: %s, want %s", i, got[i], want)
		}
	}
}

// A presigned URL carries in its query what a request has as headers.
func TestPresignedOptions(t *testing.T) {
	s := newStore(t)
	presign := func(owner string) *http.Request {
		signed, err := s3.NewPresignClient(s.client("other")).PresignGetObject(t.Context(), &s3.GetObjectInput{
			Bucket: new("paid"), Key: new("k"), RequestPayer: "requester", ExpectedBucketOwner: &owner, ChecksumMode: "ENABLED",
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), signed.Method, signed.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	got := s.answer(t, presign("444455556666"))
	if h := got.Header; got.body != "not for free" || h.Get("x-amz-request-charged") != "requester" || h.Get("x-amz-checksum-type") != "FULL_OBJECT" {
		t.Errorf("%d %s, headers %v", got.StatusCode, got.body, h)
	}
	if got := s.answer(t, presign("111122223333")); got.code() != "AccessDenied" {
		t.Errorf("wrong owner: %d %s", got.StatusCode, got.body)
	}
	calls := s.cloud.Calls()
	if params := calls[len(calls)-1].Params; params["RequestPayer"] != "requester" || params["ExpectedBucketOwner"] != "111122223333" {
		t.Errorf("recorded %v", params)
	}
}

// S3 says what is missing to a caller of the bucket's own account, and to no
// other.
func TestDeniedMessages(t *testing.T) {
	s := newStore(t)
	const owner, reader = "User: arn:aws:iam::444455556666:user/owner", "User: arn:aws:iam::444455556666:user/reader"
	for _, row := range []struct{ as, request, message string }{
		{"lister", "GET /pics/cat", `User: arn:aws:iam::444455556666:user/lister is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::pics/cat" because no identity-based policy allows the s3:GetObject action`},
		{"reader", "GET /pics/none", reader + ` is not authorized to perform: s3:ListBucket on resource: "arn:aws:s3:::pics" because no identity-based policy allows the s3:ListBucket action`},
		{"owner", "GET /open/secret", owner + ` is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::open/secret" with an explicit deny in a resource-based policy`},
		{"other", "GET /pics/cat", "Access Denied"},
		{"", "GET /pics/cat", "Access Denied"},
	} {
		method, target, _ := strings.Cut(row.request, " ")
		got := s.do(t, row.as, method, target, "", "")
		message := strings.ReplaceAll(got.body, "&#34;", `"`)
		if !strings.Contains(message, "<Message>"+row.message+"</Message>") {
			t.Errorf("%s %s: %s, want %s", row.as, row.request, got.body, row.message)
		}
		calls := s.cloud.Calls()
		if calls[len(calls)-1].Explain == "" {
			t.Errorf("%s %s: the call does not explain the refusal", row.as, row.request)
		}
	}
}

// Many readers of a large object cost no copies of it.
func TestObjectsAreNotCopied(t *testing.T) {
	s := newStore(t)
	const size = 64 << 20
	s.pics.Put("large", make([]byte, size))
	client := s.client("owner")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for _, part := range []string{"", "bytes=1-", "bytes=0-33554431"} {
				in := &s3.GetObjectInput{Bucket: new("pics"), Key: new("large")}
				if part != "" {
					in.Range = &part
				}
				out, err := client.GetObject(t.Context(), in)
				if err != nil {
					t.Error(err)
					return
				}
				if n, err := io.Copy(io.Discard, out.Body); n != *out.ContentLength || err != nil {
					t.Errorf("%d bytes, %v; want %d", n, err, *out.ContentLength)
				}
			}
		})
	}
	readers.Wait()
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > size/2 {
		t.Errorf("%d bytes allocated for twelve reads of %d bytes", allocated, size)
	}
}

// A reader never sees half of a write: body, ETag and length belong together.
func TestReadersAndWriters(t *testing.T) {
	s := newStore(t)
	etags := map[string]string{}
	for _, data := range []string{"short", strings.Repeat("long", 1000)} {
		etags[s.pics.Put("k", []byte(data)).ETag] = data
	}
	client := s.client("owner")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for _, data := range etags {
				s.pics.Put("k", []byte(data))
				s.pics.Put("other", nil)
				s.pics.Delete("other")
				if _, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: new("pics")}); err != nil {
					t.Error(err)
				}
				out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: new("pics"), Key: new("k")})
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := io.ReadAll(out.Body); etags[*out.ETag] != string(got) || err != nil {
					t.Errorf("ETag %s with %d bytes, %v", *out.ETag, len(got), err)
				}
			}
		})
	}
	all.Wait()
}

// Faults strike the operations that write as they strike reads: the SDK repeats the
// request, and nothing is written twice or half.
func TestFaultsOfWrites(t *testing.T) {
	s := newStore(t)
	s.pics.SetMinPartSize(0)
	client := s.client("owner", func(o *s3.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		})
	})
	for _, operation := range []string{"CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "CopyObject", "DeleteObjects"} {
		s.cloud.Fault(awstest.Fault{Operation: operation, Times: 1, Status: 503, Code: "SlowDown"})
	}
	s.cloud.Fault(awstest.Fault{Operation: "UploadPart", Skip: 1, Times: 1, Drop: true})
	if out, err := (uploader{client: client, bucket: "pics", key: "up"}).upload(t, []byte("one"), []byte("two")); err != nil || *out.Key != "up" {
		t.Fatalf("upload: %+v, %v", out, err)
	}
	if _, err := client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: new("pics"), Key: new("copy"), CopySource: new("pics/up")}); err != nil {
		t.Error(err)
	}
	if got := read(t, client, "pics", "copy", ""); got != "onetwo" {
		t.Errorf("copied %s", got)
	}
	if _, err := client.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: new("pics"), Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: new("up")}}}}); err != nil {
		t.Error(err)
	}
	struck := map[string]int{}
	for _, call := range s.cloud.Calls() {
		if call.Status == 503 || call.Status == 0 {
			struck[call.Operation]++
		}
	}
	for operation, want := range map[string]int{"CreateMultipartUpload": 1, "UploadPart": 2, "CompleteMultipartUpload": 1, "CopyObject": 1, "DeleteObjects": 1} {
		if struck[operation] != want {
			t.Errorf("%s was struck %d times, want %d", operation, struck[operation], want)
		}
	}
}
