package s3reader_test

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// A file server sends these headers on.
func TestInfoHasTheHeaders(t *testing.T) {
	s := newShelf()
	s.Put("k", []byte("purr"), func(o *awstest.Object) {
		o.Headers = map[string]string{"Content-Disposition": `attachment; filename="cat"`, "Cache-Control": "max-age=60"}
	})
	r := s.reader(t, mayRead)
	stat, err := r.Stat(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	for how, info := range map[string]s3reader.Info{"Stat": *stat, "Open": open(t, r, "k").Info()} {
		if info.ContentDisposition != `attachment; filename="cat"` || info.CacheControl != "max-age=60" {
			t.Errorf("%s: got %+v", how, info)
		}
	}
}

func TestStatDescribes(t *testing.T) {
	s := newShelf()
	s.SetVersioning()
	stored := s.Put("cat.jpg", noise(5556), func(o *awstest.Object) {
		o.ContentType, o.ContentEncoding, o.StorageClass = "image/jpeg", "gzip", "STANDARD_IA"
		o.LastModified = time.Date(2026, 11, 25, 4, 30, 0, 0, time.UTC)
	})
	s.Put("plain", nil)
	r := s.reader(t, mayRead)
	got, err := r.Stat(t.Context(), "cat.jpg")
	if err != nil {
		t.Fatal(err)
	}
	want := s3reader.Info{
		Key: "cat.jpg", ETag: stored.ETag, VersionID: stored.VersionID, ContentType: "image/jpeg", ContentEncoding: "gzip",
		StorageClass: "STANDARD_IA", Size: 5556, LastModified: stored.LastModified,
		Checksum: s3reader.Checksum{Algorithm: "CRC64NVME", Value: "gGTnbfFok+k="},
	}
	if *got != want {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
	plain, err := r.Stat(t.Context(), "plain")
	if err != nil || plain.Size != 0 || plain.StorageClass != "STANDARD" {
		t.Errorf("got %+v, %v", plain, err)
	}
	if got := s.requests(); !slices.Equal(got, []string{"HeadObject", "HeadObject"}) {
		t.Errorf("asked for %q", got)
	}
}

// Case B36: missing and forbidden are kept apart, and what S3 leaves open is
// said.
func TestMissingAndForbidden(t *testing.T) {
	s := newShelf()
	s.Put("k", []byte("v"))
	lister, reader := s.reader(t, mayList), s.reader(t, mayRead)
	nobody := newReader(t, s.cloud.Config(), "pics")
	noBucket := newReader(t, s.config(mayList), "no-such-bucket")
	const note = "the key does not exist, which S3 hides from a role without s3:ListBucket"
	for _, c := range []struct {
		name   string
		r      *s3reader.Reader
		kind   s3reader.Kind
		code   string
		is     error
		noted  bool
		bucket string
	}{
		{"missing, may list", lister, s3reader.NotFound, "NoSuchKey", fs.ErrNotExist, false, "pics"},
		{"missing, may not list", reader, s3reader.AccessDenied, "AccessDenied", fs.ErrPermission, true, "pics"},
		{"not allowed", nobody, s3reader.AccessDenied, "AccessDenied", fs.ErrPermission, true, "pics"},
		{"no bucket", noBucket, s3reader.NoSuchBucket, "NoSuchBucket", fs.ErrNotExist, false, "no-such-bucket"},
	} {
		for op, do := range map[string]func() error{
			"stat": func() error { _, err := c.r.Stat(t.Context(), "absent"); return err },
			"get":  func() error { _, err := c.r.Get(t.Context(), "absent"); return err },
			"open": func() error { _, err := c.r.Open(t.Context(), "absent"); return err },
		} {
			t.Run(c.name+" "+op, func(t *testing.T) {
				err := do()
				e, ok := errors.AsType[*s3reader.Error](err)
				if !ok || e.Op != op || e.Bucket != c.bucket || e.Key != "absent" || e.Kind != c.kind {
					t.Fatalf("got %#v", err)
				}
				// A HEAD is answered without a code; what stands in for it may remain
				// where it suffices.
				if e.Code != c.code && (op != "stat" || e.Code != "NotFound") {
					t.Errorf("code %q, want %q", e.Code, c.code)
				}
				if !errors.Is(err, c.is) || !errors.Is(err, c.kind) {
					t.Errorf("%v is neither %v nor %v", err, c.is, c.kind)
				}
				for _, other := range []error{fs.ErrNotExist, fs.ErrPermission, fs.ErrClosed, s3reader.NotFound, s3reader.NoSuchBucket, s3reader.AccessDenied, s3reader.Kind("")} {
					if other != c.is && other != c.kind && errors.Is(err, other) {
						t.Errorf("%v is also %q", err, other)
					}
				}
				if got := strings.Contains(err.Error(), note); got != c.noted {
					t.Errorf("note is %v in %q", got, err)
				}
				if _, ok := errors.AsType[smithy.APIError](err); !ok {
					t.Errorf("no smithy.APIError in %#v", err)
				}
				if e.RequestID == "" || !strings.Contains(err.Error(), e.RequestID) {
					t.Errorf("request id %q is not in %q", e.RequestID, err)
				}
			})
		}
	}
}

// A missing object costs one request once the bucket is known to exist; a HEAD
// alone cannot tell a missing bucket.
func TestStatAsksWhyOnce(t *testing.T) {
	s := newShelf()
	r := s.reader(t, mayList)
	for range 3 {
		if _, err := r.Stat(t.Context(), "absent"); !errors.Is(err, s3reader.NotFound) {
			t.Fatal(err)
		}
	}
	want := []string{"HeadObject", "GetObject bytes=0-0", "HeadObject", "HeadObject"}
	if got := s.requests(); !slices.Equal(got, want) {
		t.Errorf("asked for %q, want %q", got, want)
	}
}

// An expired session makes HEAD answer 400 and nothing else.
func TestStatLearnsTheCodeBehindABareStatus(t *testing.T) {
	s := newShelf()
	s.Put("k", []byte("v"))
	r := s.reader(t, mayRead)
	remove := s.cloud.Fault(awstest.Fault{Status: 400, Code: "ExpiredToken", Message: "The provided token has expired."})
	_, err := r.Stat(t.Context(), "k")
	if e, ok := errors.AsType[*s3reader.Error](err); !ok || e.Code != "ExpiredToken" || e.Kind != "" {
		t.Errorf("got %#v", err)
	}
	if err != nil && !strings.Contains(err.Error(), "The provided token has expired. (code ExpiredToken, request id ") {
		t.Errorf("got %q", err)
	}
	remove()

	// The GET may get through, because the credentials were renewed for it.
	s.cloud.Fault(awstest.Fault{Operation: "HeadObject", Status: 400, Code: "ExpiredToken", Times: 1})
	info, err := r.Stat(t.Context(), "k")
	if err != nil || info.Size != 1 {
		t.Errorf("got %+v, %v", info, err)
	}
}

func TestStatOfAnEmptyObjectBehindABareStatus(t *testing.T) {
	s := newShelf()
	s.Put("empty", nil)
	r := s.reader(t, mayRead)
	s.cloud.Fault(awstest.Fault{Operation: "HeadObject", Status: 400, Code: "ExpiredToken", Times: 1})
	if info, err := r.Stat(t.Context(), "empty"); err != nil || info.Size != 0 {
		t.Errorf("got %+v, %v", info, err)
	}
}
