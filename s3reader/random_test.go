package s3reader_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// wire counts the bytes of bodies that were asked for: what a GET was answered
// with, whether or not it was read.
type wire struct {
	aws.HTTPClient
	asked atomic.Int64
}

func (w *wire) Do(req *http.Request) (*http.Response, error) {
	resp, err := w.HTTPClient.Do(req)
	if err == nil && req.Method == http.MethodGet && resp.StatusCode < 300 {
		w.asked.Add(resp.ContentLength)
	}
	return resp, err
}

// measured is a reader of an object k of 4 MiB, and what its requests ask for.
func measured(t *testing.T) (*s3reader.Reader, *wire, []byte) {
	s := newShelf()
	data := noise(4 << 20)
	s.Put("k", data)
	s.Put("page.html", data[:3<<20])
	s.Put("picture", data) // whose type is to be sniffed
	cfg := s.config(mayList)
	w := &wire{HTTPClient: cfg.HTTPClient}
	cfg.HTTPClient = w
	return newReader(t, cfg, "pics"), w, data
}

func randomly(o *s3reader.OpenOptions) { o.Random = true }

// Nothing is asked for but what is read.
func TestRandomAccessAsksForWhatIsRead(t *testing.T) {
	readAt := func(o *s3reader.Object, p []byte, off int64) error { _, err := o.ReadAt(p, off); return err }
	seekAndRead := func(o *s3reader.Object, p []byte, off int64) error {
		if _, err := o.Seek(off, io.SeekStart); err != nil {
			return err
		}
		_, err := io.ReadFull(o, p)
		return err
	}
	for name, c := range map[string]struct {
		read  func(o *s3reader.Object, p []byte, off int64) error
		reads int
		at    func(i int) int64
		most  int64
	}{
		"ReadAt":              {readAt, 20, func(i int) int64 { return int64(i) * 200_003 }, 2000},
		"ReadAt, near":        {readAt, 20, func(i int) int64 { return int64(i) * 1000 }, 2000},
		"ReadAt, in order":    {readAt, 20, func(i int) int64 { return int64(i) * 100 }, 4000},
		"ReadAt, backwards":   {readAt, 20, func(i int) int64 { return int64(20-i) * 5000 }, 2000},
		"ReadAt, at the end":  {readAt, 1, func(int) int64 { return 4<<20 - 100 }, 100},
		"ReadAt, again":       {readAt, 20, func(int) int64 { return 5000 }, 100},
		"Read":                {seekAndRead, 20, func(i int) int64 { return int64(i) * 200_003 }, 2000},
		"Read, near":          {seekAndRead, 20, func(i int) int64 { return int64(i) * 1000 }, 2000},
		"Read, in order":      {seekAndRead, 20, func(i int) int64 { return int64(i) * 100 }, 4000},
		"Read, all, in order": {seekAndRead, 4 << 20 / 100, func(i int) int64 { return int64(i) * 100 }, 4 << 20},
		"nothing":             {readAt, 0, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r, w, data := measured(t)
			o, err := r.Open(t.Context(), "k", randomly)
			if err != nil {
				t.Fatal(err)
			}
			for i := range c.reads {
				p := make([]byte, 100)
				off := c.at(i)
				if err := c.read(o, p, off); err != nil {
					t.Fatal(err)
				}
				same(t, p, data[off:off+100])
			}
			if err := o.Close(); err != nil {
				t.Fatal(err)
			}
			if got := w.asked.Load(); got > c.most {
				t.Errorf("asked for %d bytes, want at most %d", got, c.most)
			}
		})
	}
}

// Each of 20 handles, opened for one read of 100 bytes.
func TestRandomAccessByManyHandles(t *testing.T) {
	r, w, data := measured(t)
	for i := range 20 {
		o, err := r.Open(t.Context(), "k", randomly)
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 100)
		off := int64(i) * 200_003
		if _, err := o.ReadAt(p, off); err != nil {
			t.Fatal(err)
		}
		same(t, p, data[off:off+100])
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.asked.Load(); got != 2000 {
		t.Errorf("asked for %d bytes, want 2000", got)
	}
}

// A random handle that is read in order after all verifies the object too.
func TestRandomAccessInOrder(t *testing.T) {
	for name, read := range map[string]func(o *s3reader.Object) ([]byte, error){
		"Read":    func(o *s3reader.Object) ([]byte, error) { return io.ReadAll(struct{ io.Reader }{o}) },
		"WriteTo": func(o *s3reader.Object) ([]byte, error) { return io.ReadAll(o) },
		"to a writer": func(o *s3reader.Object) ([]byte, error) {
			var b bytes.Buffer
			_, err := io.Copy(&b, o)
			return b.Bytes(), err
		},
	} {
		r, w, data := measured(t)
		o, err := r.Open(t.Context(), "k", randomly)
		if err != nil {
			t.Fatal(err)
		}
		got, err := read(o)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, data)
		if !o.Info().Verified || w.asked.Load() != int64(len(data)) {
			t.Errorf("%s: %+v, asked for %d bytes", name, o.Info(), w.asked.Load())
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestRandomAccessErrors(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(100))
	s.Put("cold", noise(100), func(o *awstest.Object) { o.StorageClass = "GLACIER" })
	s.Put("empty", nil)
	r := s.reader(t, mayList)
	for key, want := range map[string]error{"absent": s3reader.NotFound, "cold": s3reader.Archived, "": s3reader.BadKey} {
		_, err := r.Open(t.Context(), key, randomly)
		if e, ok := errors.AsType[*s3reader.Error](err); !ok || !errors.Is(err, want) || e.Op != "open" {
			t.Errorf("%q: got %v", key, err)
		}
	}
	if _, err := s.reader(t, "").Open(t.Context(), "k", randomly); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "s3:GetObject") {
		t.Errorf("got %v", err)
	}
	if _, err := r.Open(t.Context(), "k", nil); err == nil || !strings.Contains(err.Error(), "optFns[0] is nil") {
		t.Errorf("got %v", err)
	}
	o, err := r.Open(t.Context(), "empty", randomly)
	if err != nil || !o.Info().Verified {
		t.Fatalf("got %v", err)
	}
	if n, err := o.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("got %d, %v", n, err)
	}
	o, err = r.Open(t.Context(), "k", randomly)
	if err != nil {
		t.Fatal(err)
	}
	s.Put("k", noise(101))
	if _, err := o.ReadAt(make([]byte, 1), 0); !errors.Is(err, s3reader.ObjectChanged) {
		t.Errorf("got %v", err)
	}
}

// net/http's file server moves what its clients get.
func TestFileServerCosts(t *testing.T) {
	for name, c := range map[string]struct {
		method, path string
		header       []string
		status       int
		body         int64
		most         int64
	}{
		"HEAD":              {"HEAD", "/page.html", nil, 200, 0, 0},
		"HEAD, sniffed":     {"HEAD", "/picture", nil, 200, 0, 512},
		"GET":               {"GET", "/page.html", nil, 200, 3 << 20, 3 << 20},
		"GET, sniffed":      {"GET", "/picture", nil, 200, 4 << 20, 4<<20 + 512},
		"range":             {"GET", "/page.html", []string{"Range", "bytes=1000000-1000099"}, 206, 100, 64 << 10},
		"large range":       {"GET", "/page.html", []string{"Range", "bytes=1000000-1999999"}, 206, 1_000_000, 1_300_000},
		"last bytes":        {"GET", "/page.html", []string{"Range", "bytes=-10"}, 206, 10, 10},
		"not modified":      {"GET", "/page.html", []string{"If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"}, 304, 0, 0},
		"changed meanwhile": {"GET", "/page.html", []string{"If-Unmodified-Since", "Mon, 01 Jan 2001 00:00:00 GMT"}, 412, 0, 0},
		"no such page":      {"GET", "/absent", nil, 404, -1, 300}, // a listing
	} {
		t.Run(name, func(t *testing.T) {
			r, w, _ := measured(t)
			for i, h := range []http.Handler{http.FileServerFS(r.FS(t.Context())), http.FileServer(http.FS(r.FS(t.Context())))} {
				had := w.asked.Load()
				req := httptest.NewRequest(c.method, c.path, nil)
				if c.header != nil {
					req.Header.Set(c.header[0], c.header[1])
				}
				resp := httptest.NewRecorder()
				h.ServeHTTP(resp, req)
				if resp.Code != c.status || c.body >= 0 && int64(resp.Body.Len()) != c.body {
					t.Errorf("got %d with %d bytes", resp.Code, resp.Body.Len())
				}
				if got := w.asked.Load() - had; got > c.most {
					t.Errorf("handler %d asked for %d bytes, want at most %d", i, got, c.most)
				}
			}
		})
	}
}

// http.ServeContent knows ETags, which FS has no place for.
func TestServeContentOfARandomHandle(t *testing.T) {
	r, w, _ := measured(t)
	h := http.HandlerFunc(func(resp http.ResponseWriter, req *http.Request) {
		o, err := r.Open(req.Context(), "page.html", randomly)
		if err != nil {
			t.Error(err)
			return
		}
		defer o.Close()
		resp.Header().Set("ETag", o.Info().ETag)
		http.ServeContent(resp, req, "page.html", o.Info().LastModified, o)
	})
	first := httptest.NewRecorder()
	h.ServeHTTP(first, httptest.NewRequest(http.MethodHead, "/", nil))
	again := httptest.NewRequest(http.MethodGet, "/", nil)
	again.Header.Set("If-None-Match", first.Header().Get("ETag"))
	second := httptest.NewRecorder()
	h.ServeHTTP(second, again)
	if first.Code != 200 || second.Code != 304 || w.asked.Load() != 0 {
		t.Errorf("got %d and %d, asked for %d bytes", first.Code, second.Code, w.asked.Load())
	}
}

// A member of an archive costs its own bytes and the directory's.
func TestZipMemberOverFS(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range 50 {
		m, err := z.CreateHeader(&zip.FileHeader{Name: fmt.Sprint(i), Method: zip.Store})
		if err == nil {
			_, err = m.Write(noise(100_000))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	s := newShelf()
	s.Put("a.zip", b.Bytes())
	cfg := s.config(mayList)
	w := &wire{HTTPClient: cfg.HTTPClient}
	cfg.HTTPClient = w
	f, err := newReader(t, cfg, "pics").FS(t.Context()).Open("a.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	archive, err := zip.NewReader(f.(io.ReaderAt), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	got, err := fs.ReadFile(archive, "7")
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, noise(100_000))
	if n := len(s.requests()); w.asked.Load() > 300_000 || n > 12 {
		t.Errorf("asked for %d bytes in %d requests: %q", w.asked.Load(), n, slices.Clip(s.requests()))
	}
}
