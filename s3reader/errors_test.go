package s3reader_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

func TestKindsOfAnswers(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		kind   s3reader.Kind
	}{
		{403, "AccessDenied", s3reader.AccessDenied},
		{403, "AllAccessDisabled", s3reader.AccessDenied},
		{403, "InvalidObjectState", s3reader.Archived},
		{404, "NoSuchKey", s3reader.NotFound},
		{404, "NoSuchVersion", s3reader.NotFound},
		{404, "NoSuchBucket", s3reader.NoSuchBucket},
		{404, "NoSuchAccessPoint", s3reader.NoSuchBucket},
		{416, "InvalidRange", s3reader.RangeMismatch},
		{400, "KeyTooLongError", s3reader.BadKey},
		{301, "PermanentRedirect", s3reader.WrongRegion},
		{400, "ExpiredToken", ""},
		{403, "InvalidAccessKeyId", ""},
		{403, "SignatureDoesNotMatch", ""},
		{403, "RequestTimeTooSkewed", ""},
		{400, "SomethingNew", ""},
	} {
		t.Run(c.code, func(t *testing.T) {
			s := newShelf()
			s.Put("k", []byte("v"))
			r := s.reader(t, mayRead)
			s.cloud.Fault(awstest.Fault{Status: c.status, Code: c.code, Message: "Told you."})
			_, err := r.Get(t.Context(), "k")
			e, ok := errors.AsType[*s3reader.Error](err)
			if !ok || e.Kind != c.kind || e.Code != c.code {
				t.Fatalf("got %#v", err)
			}
			if !strings.Contains(err.Error(), "Told you.") || !strings.Contains(err.Error(), c.code) {
				t.Errorf("got %q", err)
			}
		})
	}
}

func TestErrorIsOneReadableLine(t *testing.T) {
	s := newShelf()
	r := s.reader(t, mayList)
	s.cloud.Fault(awstest.Fault{Status: 404, Code: "NoSuchKey", Message: "No\r\nsuch\x1b[31mkey.", Header: map[string]string{"X-Amz-Request-Id": "4442587FB7D0A2F9"}, Body: "<Error><Code>NoSuchKey</Code><Message>No\n such key.</Message></Error>"})
	_, err := r.Get(t.Context(), "a b\n\"")
	const want = `s3reader: get "a b\n\"" in bucket "pics": NotFound: No  such key. (code NoSuchKey, request id 4442587FB7D0A2F9)`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestArchivedSaysWhere(t *testing.T) {
	s := newShelf()
	s.Put("old", []byte("v"), func(o *awstest.Object) { o.StorageClass = "DEEP_ARCHIVE" })
	r := s.reader(t, mayRead)
	_, err := r.Open(t.Context(), "old")
	if !errors.Is(err, s3reader.Archived) || errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "it is in DEEP_ARCHIVE, restore state none: restore it first") {
		t.Errorf("got %v", err)
	}
	info, err := r.Stat(t.Context(), "old")
	if err != nil || info.StorageClass != "DEEP_ARCHIVE" {
		t.Errorf("got %+v, %v", info, err)
	}
}

type ofRole struct{ aws.CredentialsProvider }

func (ofRole) RoleARN() string { return "arn:aws:iam::444455556666:role/S3_Pics" }

func TestErrorNamesTheRole(t *testing.T) {
	s := newShelf()
	cfg := s.config("")
	cfg.Credentials = ofRole{cfg.Credentials}
	_, err := newReader(t, cfg, "pics").Get(t.Context(), "k")
	e, ok := errors.AsType[*s3reader.Error](err)
	if !ok || e.RoleARN != "arn:aws:iam::444455556666:role/S3_Pics" || !strings.Contains(err.Error(), "as "+e.RoleARN) {
		t.Errorf("got %#v", err)
	}
}

// What the transport says quotes the URL; a query can be as good as a password.
func TestErrorHidesQueries(t *testing.T) {
	failing := roundTripper(func(*http.Request) (*http.Response, error) {
		return nil, &url.Error{Op: "Get", URL: "https://pics.s3.amazonaws.com/k?X-Amz-Signature=5ec4e7&X-Amz-Security-Token=5ec4e7", Err: fmt.Errorf("dial http://proxy/?token=5ec4e7: no route")}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newReader(t, aws.Config{Region: "us-east-1", Credentials: aws.AnonymousCredentials{}, HTTPClient: failing}, "pics")
		_, err := r.Get(t.Context(), "k")
		if err == nil || strings.Contains(err.Error(), "5ec4e7") || !strings.Contains(err.Error(), "https://pics.s3.amazonaws.com/k") {
			t.Errorf("got %v", err)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestContextErrorsStayThemselves(t *testing.T) {
	s := newShelf()
	s.Put("k", []byte("v"))
	r := s.reader(t, mayList)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, stat := r.Stat(ctx, "k")
	_, get := r.Get(ctx, "k")
	var list error
	for _, err := range r.List(ctx, "") {
		list = err
	}
	for op, err := range map[string]error{"stat": stat, "get": get, "list": list} {
		if e, ok := errors.AsType[*s3reader.Error](err); !ok || e.Kind != "" || e.Op != op || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %#v", op, err)
		}
	}
}
