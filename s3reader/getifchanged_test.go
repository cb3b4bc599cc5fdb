package s3reader_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

func TestGetIfChanged(t *testing.T) {
	s := newShelf()
	data := noise(100_000)
	s.Put("k", data)
	r := s.reader(t, mayRead)
	got, info, err := r.GetIfChanged(t.Context(), "k", "")
	if err != nil || info.Key != "k" || info.Size != 100_000 || !info.Verified {
		t.Fatalf("got %+v, %v", info, err)
	}
	same(t, got, data)
	bare := strings.Trim(info.ETag, `"`)
	for _, etag := range []string{info.ETag, bare, "W/" + info.ETag, "W/" + bare, " " + info.ETag + " "} {
		got, again, err := r.GetIfChanged(t.Context(), "k", etag)
		if !errors.Is(err, s3reader.ErrNotModified) || got != nil || again != nil {
			t.Errorf("%q: got %d bytes, %+v, %v", etag, len(got), again, err)
		}
	}
	for _, etag := range []string{`"other"`, "*", `""`, `"a,b"`} {
		if got, _, err := r.GetIfChanged(t.Context(), "k", etag); err != nil || len(got) != len(data) {
			t.Errorf("%q: got %d bytes, %v", etag, len(got), err)
		}
	}
	before := len(s.requests())
	for _, etag := range []string{`"other", ` + info.ETag, "a\nb"} {
		if _, _, err := r.GetIfChanged(t.Context(), "k", etag); err == nil || !strings.Contains(err.Error(), "is not an ETag") {
			t.Errorf("%q: got %v", etag, err)
		}
	}
	if n := len(s.requests()); n != before {
		t.Errorf("requests for invalid ETags: %q", s.requests()[before:])
	}

	s.Put("k", nil)
	got, empty, err := r.GetIfChanged(t.Context(), "k", info.ETag)
	if err != nil || got == nil || len(got) != 0 || !empty.Verified {
		t.Errorf("got %v, %+v, %v", got, empty, err)
	}
	s.Delete("k")
	if _, _, err := s.reader(t, mayList).GetIfChanged(t.Context(), "k", info.ETag); !errors.Is(err, s3reader.NotFound) || errors.Is(err, s3reader.ErrNotModified) {
		t.Errorf("got %v", err)
	}
}

// Every kind of object has an ETag to poll with, whichever call it is from.
func TestGetIfChangedOfAllKinds(t *testing.T) {
	s := newShelf()
	s.SetVersioning()
	key := s.account.CreateKMSKey("")
	policy := strings.Replace(mayEverything, `"s3:GetObject"`, `"s3:GetObject","kms:Decrypt"`, 1)
	for name, c := range map[string]struct {
		stored func(*awstest.Object)
		option func(*s3reader.Options)
	}{
		"plain":             {func(*awstest.Object) {}, func(*s3reader.Options) {}},
		"in parts":          {func(o *awstest.Object) { o.PartSize = 30 }, func(*s3reader.Options) {}},
		"composite":         {uploadedIn(30, "SHA256"), func(*s3reader.Options) {}},
		"KMS":               {func(o *awstest.Object) { o.KMSKey = key }, func(*s3reader.Options) {}},
		"KMS in parts":      {func(o *awstest.Object) { o.KMSKey, o.PartSize = key, 30 }, func(*s3reader.Options) {}},
		"customer's key":    {func(o *awstest.Object) { o.CustomerKey = rawKey }, withKey(customerKey(t, rawKey))},
		"stored as gzip":    {func(o *awstest.Object) { o.ContentEncoding = "gzip" }, func(*s3reader.Options) {}},
		"without verifying": {func(*awstest.Object) {}, func(o *s3reader.Options) { o.Verify = s3reader.VerifyOff }},
	} {
		r := s.reader(t, policy, c.option)
		s.Put("d/k", noise(100), c.stored)
		_, got, err := r.GetIfChanged(t.Context(), "d/k", "")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		stat, err := r.Stat(t.Context(), "d/k")
		if err != nil {
			t.Fatal(err)
		}
		etags := []string{got.ETag, stat.ETag, open(t, r, "d/k").Info().ETag}
		for info, err := range r.List(t.Context(), "d/") {
			if err != nil {
				t.Fatal(err)
			}
			etags = append(etags, info.ETag)
		}
		before := len(s.requests())
		for _, etag := range etags {
			if _, _, err := r.GetIfChanged(t.Context(), "d/k", etag); err != s3reader.ErrNotModified {
				t.Errorf("%s: got %v", name, err)
			}
		}
		if n := len(s.requests()) - before; n != len(etags) {
			t.Errorf("%s: %d requests for %d calls", name, n, len(etags))
		}
		s.Put("d/k", noise(101), c.stored)
		if data, info, err := r.GetIfChanged(t.Context(), "d/k", got.ETag); err != nil || len(data) != 101 || info.VersionID == got.VersionID {
			t.Errorf("%s: got %d bytes, %+v, %v", name, len(data), info, err)
		}
		s.Delete("d/k")
		if _, _, err := r.GetIfChanged(t.Context(), "d/k", got.ETag); !errors.Is(err, s3reader.NotFound) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A changed object is read as Get reads it: resumed, compared, and all of one version.
func TestGetIfChangedIsAGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		data := noise(5000)
		s.Put("k", data)
		r := s.reader(t, mayRead)
		s.cloud.Fault(awstest.Fault{Operation: "GetObject", Status: 503, Code: "SlowDown", Times: 2})
		s.cloud.Fault(awstest.Fault{Operation: "GetObject", ResetAfter: new(int64(1000)), Times: 3})
		got, info, err := r.GetIfChanged(t.Context(), "k", `"old"`)
		if err != nil || !info.Verified {
			t.Fatalf("got %+v, %v", info, err)
		}
		same(t, got, data)
		s.cloud.Fault(awstest.Fault{Edit: spoil})
		if got, info, err := r.GetIfChanged(t.Context(), "k", `"old"`); got != nil || info != nil || !errors.Is(err, s3reader.ChecksumMismatch) {
			t.Errorf("got %d bytes, %+v, %v", len(got), info, err)
		}
	})
}

// What stores and caches respond to If-None-Match.
func TestGetIfChangedOnOtherStores(t *testing.T) {
	for name, c := range map[string]struct {
		response func() *http.Response
		want     error // nil: the bytes
	}{
		"ignores the condition": {func() *http.Response {
			return answer(200, "abc", "Content-Length: 3", `ETag: "v1"`)
		}, s3reader.ErrNotModified},
		"ignores it, bare ETag": {func() *http.Response {
			return answer(200, "abc", "Content-Length: 3", "ETag: v1")
		}, s3reader.ErrNotModified},
		"ignores it, another version": {func() *http.Response {
			return answer(200, "abc", "Content-Length: 3", `ETag: "v2"`)
		}, nil},
		"304":                    {func() *http.Response { return answer(304, "", `ETag: "v1"`) }, s3reader.ErrNotModified},
		"304, weak ETag":         {func() *http.Response { return answer(304, "", `ETag: W/"v1"`) }, s3reader.ErrNotModified},
		"304 without an ETag":    {func() *http.Response { return answer(304, "") }, s3reader.ErrNotModified},
		"304 of another version": {func() *http.Response { return answer(304, "", `ETag: "v2"`) }, s3reader.RangeMismatch},
	} {
		asked := ""
		r := newReader(t, server(func(req *http.Request) *http.Response {
			asked = req.Header.Get("If-None-Match")
			return c.response()
		}).config(), "pics")
		got, _, err := r.GetIfChanged(t.Context(), "k", "v1")
		if !errors.Is(err, c.want) || err == nil && string(got) != "abc" {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		if asked != `"v1"` {
			t.Errorf("%s: asked with If-None-Match %s", name, asked)
		}
	}

	// Without a condition, a 304 is an error like any other.
	r := newReader(t, server(func(*http.Request) *http.Response { return answer(304, "") }).config(), "pics")
	_, _, err := r.GetIfChanged(t.Context(), "k", "")
	if _, ok := errors.AsType[*s3reader.Error](err); !ok || errors.Is(err, s3reader.ErrNotModified) {
		t.Errorf("got %v", err)
	}
}
