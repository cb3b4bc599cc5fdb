package s3reader_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// oddKeys are those of cases B40 and B41: markers, names that are a file and a
// directory, and keys that are no names.
var oddKeys = []string{
	"dir/", "dir/x", "empty/", "a", "a-b", "a/b", "a/c/d", "a-/e", "a.txt", "big/",
	"/lead", "x//y", "x/../z", "./w", "x/./v",
	"a b", "a+b", "é", "e\u0301", "100%.csv", "q?x#y", "file..txt", "back\\slash", "..more", "deep/1/2/3/4",
}

func oddShelf() *shelf {
	s := newShelf()
	for _, key := range oddKeys {
		s.Put(key, []byte("this is "+key))
	}
	s.Put("dir/", nil)
	s.Put("empty/", nil)
	return s
}

func (s *shelf) fs(t testing.TB) fs.FS { return s.reader(t, mayList).FS(t.Context()) }

func TestFSIsAFileSystem(t *testing.T) {
	expected := []string{
		"dir/x", "empty", "a", "a-b", "a-/e", "a.txt", "big", "x", "a b", "a+b", "é", "e\u0301",
		"100%.csv", "q?x#y", "file..txt", "..more", "deep/1/2/3/4",
	}
	s := oddShelf()
	if err := fstest.TestFS(s.fs(t), expected...); err != nil {
		t.Error(err)
	}
	if err := fstest.TestFS(newShelf().fs(t)); err != nil {
		t.Errorf("an empty bucket: %v", err)
	}
}

// Each file is met once, as what it always is.
func TestFSWalk(t *testing.T) {
	s := oddShelf()
	var met []string
	err := fs.WalkDir(s.fs(t), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			path += "/"
		}
		met = append(met, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"./", "..more", "100%.csv", "a", "a b", "a+b", "a-/", "a-/e", "a-b", "a.txt", "big/",
		"deep/", "deep/1/", "deep/1/2/", "deep/1/2/3/", "deep/1/2/3/4", "dir/", "dir/x", "empty/",
		"e\u0301", "file..txt", "q?x#y", "x/", "é",
	}
	slices.Sort(want)
	if slices.Sort(met); !slices.Equal(met, want) {
		t.Errorf("met %q\nwant %q", met, want)
	}
}

// What has no name in a directory is told, and read by its key.
func TestFSTellsWhatItHides(t *testing.T) {
	s := oddShelf()
	var log bytes.Buffer
	r := s.reader(t, mayList, func(o *s3reader.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for dir, hidden := range map[string]string{".": "keys=3", "x": "keys=3"} {
		log.Reset()
		if _, err := fs.ReadDir(r.FS(t.Context()), dir); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(log.String(), hidden) || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("%s: logged %q, want %s", dir, &log, hidden)
		}
	}
	for _, key := range oddKeys {
		got, err := r.Get(t.Context(), key)
		if want := "this is " + key; err != nil || string(got) != want && len(got) > 0 {
			t.Errorf("Get(%q) = %q, %v", key, got, err)
		}
	}
}

func TestFSNamesAndKinds(t *testing.T) {
	s := oddShelf()
	fsys := s.fs(t)
	for _, c := range []struct {
		op, name string
		want     error
	}{
		{"open", "nothing", fs.ErrNotExist},
		{"stat", "nothing", fs.ErrNotExist},
		{"readdir", "nothing", fs.ErrNotExist},
		{"read", "nothing", fs.ErrNotExist},
		{"open", "di", fs.ErrNotExist},
		{"open", "x/../z", fs.ErrInvalid},
		{"stat", "/lead", fs.ErrInvalid},
		{"readdir", "dir/", fs.ErrInvalid},
		{"read", "", fs.ErrInvalid},
		{"sub", "../b", fs.ErrInvalid},
		{"open", strings.Repeat("k", 1025), s3reader.BadKey},
		{"stat", strings.Repeat("k", 1025), s3reader.BadKey},
		{"readdir", strings.Repeat("k", 1025), s3reader.BadKey},
	} {
		err := do(fsys, c.op, c.name)
		path, ok := errors.AsType[*fs.PathError](err)
		if !errors.Is(err, c.want) || !ok || path.Op != c.op || path.Path != c.name {
			t.Errorf("%s %.20q: got %v, want %v", c.op, c.name, err, c.want)
		}
	}
	for _, c := range []struct{ op, name string }{{"readdir", "a.txt"}, {"read", "dir"}, {"read", "."}} {
		if err := do(fsys, c.op, c.name); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s %s: got %v", c.op, c.name, err)
		}
	}
}

func do(fsys fs.FS, op, name string) error {
	var err error
	switch op {
	case "open":
		var f fs.File
		if f, err = fsys.Open(name); err == nil {
			err = f.Close()
		}
	case "stat":
		_, err = fs.Stat(fsys, name)
	case "readdir":
		_, err = fs.ReadDir(fsys, name)
	case "read":
		_, err = fs.ReadFile(fsys, name)
	case "sub":
		_, err = fs.Sub(fsys, name)
	}
	return err
}

// What each operation costs.
func TestFSRequests(t *testing.T) {
	for _, c := range []struct {
		op, name string
		want     []string
	}{
		{"open", "a", []string{"HeadObject"}},
		{"open", "a/b", []string{"HeadObject"}},
		{"open", "dir", []string{"HeadObject", "ListObjectsV2"}},
		{"open", "nothing", []string{"HeadObject", "ListObjectsV2"}},
		{"open", ".", nil},
		{"stat", "a", []string{"HeadObject"}},
		{"stat", "dir", []string{"HeadObject", "ListObjectsV2"}},
		{"stat", "empty", []string{"HeadObject", "ListObjectsV2"}},
		{"stat", "nothing", []string{"HeadObject", "ListObjectsV2"}},
		{"readdir", "dir", []string{"ListObjectsV2"}},
		{"readdir", "empty", []string{"ListObjectsV2"}},
		{"readdir", "nothing", []string{"ListObjectsV2", "ListObjectsV2"}},
		{"read", "a", []string{"GetObject"}},
		{"sub", "dir", nil},
	} {
		s := oddShelf()
		_ = do(s.fs(t), c.op, c.name) // some are meant to fail
		if got := s.requests(); !slices.Equal(got, c.want) {
			t.Errorf("%s %s asks for %q, want %q", c.op, c.name, got, c.want)
		}
	}
}

// Case B36: without s3:ListBucket files can be opened, and the rest says why not.
func TestFSWithoutListing(t *testing.T) {
	s := oddShelf()
	fsys := s.reader(t, mayRead).FS(t.Context())
	if data, err := fs.ReadFile(fsys, "a/b"); err != nil || string(data) != "this is a/b" {
		t.Errorf("got %q, %v", data, err)
	}
	for op, name := range map[string]string{"open": "nothing", "stat": "dir", "readdir": "dir"} {
		err := do(fsys, op, name)
		if !errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "s3:ListBucket") {
			t.Errorf("%s: got %v", op, err)
		}
	}
}

// A directory is read page by page, and a name that is a file and a directory
// comes once wherever a page ends.
func TestFSDirectoryInPages(t *testing.T) {
	s := newShelf()
	const n = 1001 // "a/" comes first on the second page
	s.Put("a", nil)
	for i := range n - 2 {
		s.Put("a-"+string([]byte{byte('a' + i/676%26), byte('a' + i/26%26), byte('a' + i%26)}), nil)
	}
	s.Put("a/below", nil)
	s.Put("z", nil)
	f, err := s.fs(t).Open(".")
	if err != nil {
		t.Fatal(err)
	}
	dir := f.(fs.ReadDirFile)
	seen := map[string]int{}
	for {
		entries, err := dir.ReadDir(7)
		if err == io.EOF && len(entries) == 0 {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(seen) == 0 {
			if got := s.requests(); !slices.Equal(got, []string{"ListObjectsV2"}) {
				t.Errorf("the first entries took %q", got)
			}
		}
		for _, e := range entries {
			seen[e.Name()]++
		}
	}
	if len(seen) != n || seen["a"] != 1 || seen["z"] != 1 {
		t.Errorf("%d names, a %d times", len(seen), seen["a"])
	}
	if err := dir.Close(); err != nil {
		t.Error(err)
	}
	if _, err := dir.ReadDir(1); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// Case B47: an archived object is listed and described, and its reading fails.
func TestFSArchived(t *testing.T) {
	s := newShelf()
	s.Put("cold", []byte("ice"), func(o *awstest.Object) { o.StorageClass = "GLACIER" })
	fsys := s.fs(t)
	if entries, err := fs.ReadDir(fsys, "."); err != nil || len(entries) != 1 {
		t.Errorf("ReadDir: %v, %v", entries, err)
	}
	if info, err := fs.Stat(fsys, "cold"); err != nil || info.Size() != 3 || info.Sys().(*s3reader.Info).StorageClass != "GLACIER" {
		t.Errorf("Stat: %v, %v", info, err)
	}
	if _, err := fsys.Open("cold"); !errors.Is(err, s3reader.Archived) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		t.Errorf("Open: %v", err)
	}
}

// net/http serves it, with ranges.
func TestFSOverHTTP(t *testing.T) {
	s := newShelf()
	data := noise(100_000)
	s.Put("pages/picture.bin", data)
	h := http.FileServerFS(s.fs(t))
	for header, want := range map[string][]byte{"": data, "bytes=50000-59999": data[50_000:60_000], "bytes=-10": data[99_990:]} {
		req := httptest.NewRequest(http.MethodGet, "/pages/picture.bin", nil)
		if header != "" {
			req.Header.Set("Range", header)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		same(t, w.Body.Bytes(), want)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/pages/", nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "picture.bin") {
		t.Errorf("got %d, %s", w.Code, w.Body)
	}
}
