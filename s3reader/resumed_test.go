package s3reader_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// A part survives a call that does not get as far as to look at it.
func TestPartOutlastsOutages(t *testing.T) {
	s := newShelf()
	data := noise(20 * partSize)
	s.Put("k", data)
	dir := t.TempDir()
	part := interrupted(t, s, dir)
	before := onDisk(t, part)
	r := s.reader(t, mayRead, parts)
	for _, f := range []awstest.Fault{{Status: 403, Code: "AccessDenied"}, {Status: 400, Code: "ExpiredToken"}} {
		remove := s.cloud.Fault(f)
		_, err := r.DownloadFile(t.Context(), "k", filepath.Join(dir, "f"))
		remove()
		if err == nil || !strings.Contains(err.Error(), "resumes from there") {
			t.Errorf("got %v", err)
		}
		same(t, onDisk(t, part), before)
	}
	had := len(s.requests())
	if _, err := r.DownloadFile(t.Context(), "k", filepath.Join(dir, "f")); err != nil {
		t.Fatal(err)
	}
	same(t, onDisk(t, filepath.Join(dir, "f")), data)
	if n := len(s.requests()) - had; n > 15 {
		t.Errorf("%d requests to go on", n)
	}
}

// An object that is gone takes its part with it.
func TestPartOfDeletedObject(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(20*partSize))
	dir := t.TempDir()
	interrupted(t, s, dir)
	s.Delete("k")
	if _, err := s.reader(t, mayList, parts).DownloadFile(t.Context(), "k", filepath.Join(dir, "f")); !errors.Is(err, s3reader.NotFound) {
		t.Errorf("got %v", err)
	}
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}

// The longest key there is, of characters that are escaped.
func TestPartOfLongKey(t *testing.T) {
	key := strings.Repeat("\x01", 1024)
	s := newShelf()
	data := noise(20 * partSize)
	s.Put(key, data)
	path := filepath.Join(t.TempDir(), strings.Repeat("n", 255))
	r := s.reader(t, mayRead, parts)
	remove := s.cloud.Fault(awstest.Fault{Status: 403, Code: "AccessDenied", Skip: 10})
	if _, err := r.DownloadFile(t.Context(), key, path); err == nil {
		t.Fatal("it was to be refused")
	}
	remove()
	had := len(s.requests())
	if _, err := r.DownloadFile(t.Context(), key, path); err != nil {
		t.Fatal(err)
	}
	same(t, onDisk(t, path), data)
	if n := len(s.requests()) - had; n > 15 {
		t.Errorf("%d requests to go on", n)
	}
}

// What cannot take the file's place is removed.
func TestNameTakenMeanwhile(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(20*partSize))
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	cfg := s.config(mayRead)
	cfg.HTTPClient = &onNth{inner: cfg.HTTPClient, n: 10, do: func() {
		if err := os.MkdirAll(filepath.Join(path, "d"), 0o700); err != nil {
			t.Error(err)
		}
	}}
	if _, err := newReader(t, cfg, "pics", parts).DownloadFile(t.Context(), "k", path); err == nil {
		t.Error("it replaced a directory")
	}
	if left := names(t, dir); !slices.Equal(left, []string{"f"}) {
		t.Errorf("left %q", left)
	}
}

// A store that gives no ETags is read over one connection.
func TestObjectWithoutETag(t *testing.T) {
	data := noise(20 * partSize)
	asked := 0
	cfg := server(func(*http.Request) *http.Response {
		asked++
		return answer(200, string(data), "Content-Length: 200000")
	}).config()
	r := newReader(t, cfg, "pics", parts)
	var w memory
	path := filepath.Join(t.TempDir(), "f")
	_, err1 := r.Download(t.Context(), "k", &w)
	_, err2 := r.DownloadFile(t.Context(), "k", path)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	same(t, w.data, data)
	same(t, onDisk(t, path), data)
	if asked != 2 {
		t.Errorf("%d requests", asked)
	}
}
