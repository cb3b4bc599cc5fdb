package s3reader_test

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/crossrole/crossrole/s3reader"
)

type httpResponse = http.Response

// forRange serves the ten bytes "0123456789" to a plain GET and leaves ranges to
// f.
func forRange(f func(asked string) *http.Response) server {
	return func(r *http.Request) *http.Response {
		if asked := r.Header.Get("Range"); asked != "" {
			return f(asked)
		}
		return answer(200, "0123456789", "Content-Length: 10", `ETag: "e"`)
	}
}

// An answer that is not exactly the range of the version that was asked for is
// an error, whatever its bytes.
func TestRangesAreHeldToTheirWord(t *testing.T) {
	// Asked for are bytes 2-4 of 10.
	for _, c := range []struct {
		name string
		resp *http.Response
		kind s3reader.Kind
	}{
		{"right", answer(206, "234", "Content-Length: 3", `ETag: "e"`, "Content-Range: bytes 2-4/10"), ""},
		{"right, chunked", answer(206, "234", `ETag: "e"`, "Content-Range: bytes 2-4/10"), ""},
		{"whole object", answer(200, "0123456789", "Content-Length: 10", `ETag: "e"`), s3reader.RangeMismatch},
		{"right range with status 200", answer(200, "234", "Content-Length: 3", `ETag: "e"`, "Content-Range: bytes 2-4/10"), s3reader.RangeMismatch},
		{"no Content-Range", answer(206, "234", "Content-Length: 3", `ETag: "e"`), s3reader.RangeMismatch},
		{"another start", answer(206, "345", "Content-Length: 3", `ETag: "e"`, "Content-Range: bytes 3-5/10"), s3reader.RangeMismatch},
		{"longer", answer(206, "2345", "Content-Length: 4", `ETag: "e"`, "Content-Range: bytes 2-5/10"), s3reader.RangeMismatch},
		{"encoded", answer(206, "234", "Content-Length: 3", `ETag: "e"`, "Content-Range: bytes 2-4/10", "Content-Encoding: gzip"), s3reader.RangeMismatch},
		{"another total", answer(206, "234", "Content-Length: 3", `ETag: "e"`, "Content-Range: bytes 2-4/11"), s3reader.ObjectChanged},
		{"unknown total", answer(206, "234", "Content-Length: 3", `ETag: "e"`, "Content-Range: bytes 2-4/*"), s3reader.RangeMismatch},
		{"another unit", answer(206, "234", "Content-Length: 3", `ETag: "e"`, "Content-Range: rows 2-4/10"), s3reader.RangeMismatch},
		{"another length", answer(206, "2345", "Content-Length: 4", `ETag: "e"`, "Content-Range: bytes 2-4/10"), s3reader.RangeMismatch},
		{"another version", answer(206, "234", "Content-Length: 3", `ETag: "f"`, "Content-Range: bytes 2-4/10"), s3reader.ObjectChanged},
		{"no version", answer(206, "234", "Content-Length: 3", "Content-Range: bytes 2-4/10"), s3reader.ObjectChanged},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked string
			cfg := forRange(func(r string) *http.Response { asked = r; return c.resp }).config()
			o := open(t, newReader(t, cfg, "pics"), "k")
			p := make([]byte, 3)
			n, err := o.ReadAt(p, 2)
			switch {
			case asked != "bytes=2-4":
				t.Errorf("asked for %q", asked)
			case c.kind == "" && (n != 3 || err != nil || string(p) != "234"):
				t.Errorf("got %q, %v", p[:n], err)
			case c.kind != "" && (n != 0 || !errors.Is(err, c.kind)):
				t.Errorf("got %d bytes, %v; want %s", n, err, c.kind)
			}
		})
	}
}

func TestFirstAnswerIsHeldToItsWord(t *testing.T) {
	for _, c := range []struct {
		name string
		resp *http.Response
		kind s3reader.Kind
	}{
		{"no length", answer(200, "0123", `ETag: "e"`), s3reader.Truncated},
		{"negative length", answer(200, "0123", `ETag: "e"`, "Content-Length: -4"), s3reader.Truncated},
		{"a part", answer(206, "0123", `ETag: "e"`, "Content-Length: 4", "Content-Range: bytes 0-3/10"), s3reader.RangeMismatch},
		{"a part with status 200", answer(200, "0123", `ETag: "e"`, "Content-Length: 4", "Content-Range: bytes 0-3/10"), s3reader.RangeMismatch},
	} {
		cfg := server(func(*http.Request) *http.Response { return c.resp }).config()
		if got, err := newReader(t, cfg, "pics").Get(t.Context(), "k"); !errors.Is(err, c.kind) {
			t.Errorf("%s: got %q, %v; want %s", c.name, got, err, c.kind)
		}
	}
	cfg := server(func(*http.Request) *http.Response { return answer(200, "", `ETag: "e"`) }).config()
	if got, err := newReader(t, cfg, "pics").Stat(t.Context(), "k"); !errors.Is(err, s3reader.Truncated) {
		t.Errorf("HEAD without length: got %+v, %v", got, err)
	}
}

// What has no ETag can be read to its end, and not be asked for again.
func TestNoETagNoRange(t *testing.T) {
	cfg := server(func(*http.Request) *http.Response { return answer(200, "0123", "Content-Length: 4") }).config()
	r := newReader(t, cfg, "pics")
	if got, err := r.Get(t.Context(), "k"); err != nil || string(got) != "0123" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := open(t, r, "k").ReadAt(make([]byte, 1), 1); !errors.Is(err, s3reader.RangeMismatch) || !strings.Contains(err.Error(), "no ETag") {
		t.Errorf("got %v", err)
	}
}

// idle reads as nothing, for ever.
type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestBodyThatSaysNothingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := server(func(r *http.Request) *http.Response {
			resp := answer(206, "", "Content-Length: 4", `ETag: "e"`, "Content-Range: bytes 0-3/4")
			if r.Header.Get("Range") == "" {
				resp = answer(200, "", "Content-Length: 4", `ETag: "e"`)
			}
			resp.Body = io.NopCloser(idle{})
			return resp
		}).config()
		_, err := newReader(t, cfg, "pics").Get(t.Context(), "k")
		if !errors.Is(err, s3reader.Truncated) || !errors.Is(err, io.ErrNoProgress) {
			t.Errorf("got %v", err)
		}
	})
}

// An error page of something that is not S3 tells nothing about the object.
func TestForeignErrorPages(t *testing.T) {
	for _, page := range []string{"", "<html><body>Login & more</html>", "<html><body>Not here</body></html>", "404 page not found"} {
		cfg := server(func(r *http.Request) *http.Response {
			if r.Method == http.MethodHead {
				return answer(404, "")
			}
			return answer(404, page)
		}).config()
		r := newReader(t, cfg, "pics")
		_, get := r.Get(t.Context(), "k")
		_, stat := r.Stat(t.Context(), "k")
		for _, err := range []error{get, stat} {
			if e, ok := errors.AsType[*s3reader.Error](err); !ok || e.Kind != "" || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%q: got %v", page, err)
			}
		}
	}
}
