package s3reader_test

import (
	"compress/gzip"
	"errors"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// all makes one request of every kind and returns the errors by name.
func all(t *testing.T, r *s3reader.Reader, key string) map[string]error {
	t.Helper()
	errs := map[string]error{}
	_, errs["stat"] = r.Stat(t.Context(), key)
	_, errs["get"] = r.Get(t.Context(), key)
	o, err := r.Open(t.Context(), key)
	errs["open"] = err
	if err == nil {
		_, errs["readat"] = o.ReadAt(make([]byte, 1), 1)
		_ = o.Close()
	}
	errs["list"] = nil
	for _, err := range r.List(t.Context(), "") {
		errs["list"] = err
	}
	fsys := r.FS(t.Context())
	for _, op := range []string{"open", "stat", "read"} {
		errs["fs "+op] = do(fsys, op, key)
	}
	errs["fs list"] = do(fsys, "readdir", ".")
	_, errs["download"] = r.Download(t.Context(), key, &memory{})
	return errs
}

const othersMayRead = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::pics","arn:aws:s3:::pics/*"]}]}`

// Case B37.
func TestRequesterPays(t *testing.T) {
	s := newShelf()
	s.SetRequesterPays()
	s.Put("k", []byte("value"))
	s.SetPolicy(othersMayRead)
	other := &shelf{cloud: s.cloud, account: s.cloud.Account("111122223333")}
	for op, err := range all(t, other.reader(t, mayList), "k") {
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "Options.RequestPayer") {
			t.Errorf("%s without the option: %v", op, err)
		}
	}
	asked := len(s.cloud.Calls())
	for op, err := range all(t, other.reader(t, mayList, func(o *s3reader.Options) { o.RequestPayer = true }), "k") {
		if err != nil {
			t.Errorf("%s with the option: %v", op, err)
		}
	}
	for _, c := range s.cloud.Calls()[asked:] {
		if c.Params["RequestPayer"] != "requester" {
			t.Errorf("asked without: %v", c)
		}
	}
}

// A link has to agree to pay as well, and so has the question for the region.
func TestRequesterPaysForLinks(t *testing.T) {
	s := newShelf()
	s.SetRequesterPays()
	s.Put("k", []byte("value"))
	s.SetPolicy(othersMayRead)
	other := &shelf{cloud: s.cloud, account: s.cloud.Account("111122223333")}
	for _, pays := range []bool{false, true} {
		r := other.reader(t, mayList, func(o *s3reader.Options) { o.RequestPayer = pays })
		for range 2 {
			link, err := r.Presign(t.Context(), "k", time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			want := map[bool]int{false: 403, true: 200}[pays]
			if status, _ := visit(t, s.cloud, link); status != want {
				t.Errorf("pays %v: %d, want %d", pays, status, want)
			}
		}
	}
	// Of each reader the first link asks, be it refused or not.
	if got := s.requests(); !slices.Equal(got, []string{"HeadBucket", "GetObject", "GetObject", "HeadBucket", "GetObject", "GetObject"}) {
		t.Errorf("asked for %q", got)
	}
	for _, c := range s.cloud.Calls()[3:] {
		if c.Params["RequestPayer"] != "requester" {
			t.Errorf("asked without: %v", c)
		}
	}
}

func TestExpectedOwner(t *testing.T) {
	s := newShelf()
	s.Put("k", []byte("value"))
	owner := func(id string) func(*s3reader.Options) {
		return func(o *s3reader.Options) { o.ExpectedBucketOwner = id }
	}
	for op, err := range all(t, s.reader(t, mayList, owner("444455556666")), "k") {
		if err != nil {
			t.Errorf("%s: %v", op, err)
		}
	}
	for op, err := range all(t, s.reader(t, mayList, owner("777788889999")), "k") {
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "not owned by 777788889999") {
			t.Errorf("%s of another owner: %v", op, err)
		}
	}
}

// Case B43: what is delivered are the stored bytes.
func TestStoredBytesOfGzip(t *testing.T) {
	var b strings.Builder
	zip := gzip.NewWriter(&b)
	_, _ = zip.Write([]byte(strings.Repeat("text ", 100)))
	_ = zip.Close()
	stored := []byte(b.String())

	s := newShelf()
	s.Put("k.gz", stored, func(o *awstest.Object) { o.ContentEncoding = "gzip" })
	cfg := s.config(mayRead)
	overHTTP := cfg.Copy()
	overHTTP.HTTPClient = &http.Client{} // whose transport asks for gzip unless told otherwise
	endpoint := s.cloud.Serve(t)
	overHTTP.BaseEndpoint = &endpoint
	for _, cfg := range []struct {
		name string
		*s3reader.Reader
	}{{"memory", newReader(t, cfg, "pics")}, {"net/http", newReader(t, overHTTP, "pics")}} {
		got, err := cfg.Get(t.Context(), "k.gz")
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, stored)
		o, err := cfg.Open(t.Context(), "k.gz")
		if err != nil {
			t.Fatal(err)
		}
		part := make([]byte, 10)
		if _, err := o.ReadAt(part, 5); err != nil || o.Info().Size != int64(len(stored)) || o.Info().ContentEncoding != "gzip" {
			t.Errorf("%s: %+v, %v", cfg.name, o.Info(), err)
		}
		same(t, part, stored[5:15])
		_ = o.Close()
	}
}

// Something between here and S3 that compresses on the fly drops the length; an
// HTTP client that decompresses says so.
func TestCompressionInTransitIsRefused(t *testing.T) {
	for name, srv := range map[string]server{
		"proxy": func(*http.Request) *http.Response {
			return answer(200, "\x1f\x8b…", "Content-Encoding: gzip", `ETag: "e"`)
		},
		"client": func(*http.Request) *http.Response {
			resp := answer(200, "text", `ETag: "e"`, "Content-Length: 4")
			resp.Uncompressed = true
			return resp
		},
	} {
		r := newReader(t, srv.config(), "pics")
		_, err := r.Get(t.Context(), "k")
		if !errors.Is(err, s3reader.Truncated) && !errors.Is(err, s3reader.RangeMismatch) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestIdentityIsAskedForEverywhere(t *testing.T) {
	var got []string
	cfg := server(func(r *http.Request) *http.Response {
		got = append(got, r.Method+" "+r.Header.Get("Accept-Encoding")+r.Header.Get("X-Amz-Checksum-Mode"))
		return answer(404, "")
	}).config()
	all(t, newReader(t, cfg, "pics", func(o *s3reader.Options) { o.Verify = s3reader.VerifyOff }), "k")
	if len(got) == 0 {
		t.Fatal("nothing was asked")
	}
	for _, g := range got {
		if !strings.HasSuffix(g, " identity") {
			t.Errorf("asked with %q", g)
		}
	}
}
