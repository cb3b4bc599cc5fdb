package s3reader_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// files are the paths of what is below dir, with its bytes. It fails on anything
// but directories and regular files.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			t.Errorf("%s is %v", path, d.Type())
			return nil
		}
		name, err := filepath.Rel(dir, path)
		found[filepath.ToSlash(name)] = string(onDisk(t, path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func sameFiles(t testing.TB, dir string, want map[string]string) {
	t.Helper()
	got := files(t, dir)
	if !maps.Equal(got, want) {
		t.Errorf("%s has %q, want %q", dir, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

func (s *shelf) putAll(keys ...string) {
	for _, k := range keys {
		s.Put(k, []byte("of "+k))
	}
}

// A tree may have more directories than a call remembers.
func TestManyDirectories(t *testing.T) {
	s := newShelf()
	all := map[string]string{}
	for i := range 1200 { // more than s3reader remembers
		for _, name := range []string{"a", "below/b"} {
			name := fmt.Sprintf("%04d/%s", i, name)
			s.putAll("d/" + name)
			all[name] = "of d/" + name
		}
	}
	dir := t.TempDir()
	for _, unchanged := range []int{0, len(all)} {
		sum, err := s.reader(t, mayList).DownloadDir(t.Context(), "d", dir)
		if err != nil || sum.Files != len(all) || sum.Unchanged != unchanged {
			t.Fatalf("%v, %+v", err, sum)
		}
	}
	sameFiles(t, dir, all)
}

func TestDirectory(t *testing.T) {
	s := newShelf()
	s.putAll("a/b", "a/c/d", "a/c/e", "ab/f", "a", "b", "a-b", "a/file..txt", "a/100%.csv", "a/q?x#y", "a/a b+c", "a/é", "a/e\u0301")
	big := noise(30 * partSize)
	s.Put("a/big", big)
	all := map[string]string{"b": "of a/b", "c/d": "of a/c/d", "c/e": "of a/c/e", "file..txt": "of a/file..txt", "100%.csv": "of a/100%.csv", "q?x#y": "of a/q?x#y", "a b+c": "of a/a b+c", "é": "of a/é", "e\u0301": "of a/e\u0301", "big": string(big)}
	for _, prefix := range []string{"a", "a/"} {
		dir := filepath.Join(t.TempDir(), "new", "dir")
		sum, err := s.reader(t, mayList, parts).DownloadDir(t.Context(), prefix, dir)
		if err != nil {
			t.Fatal(err)
		}
		sameFiles(t, dir, all)
		n := 0
		for _, data := range all {
			n += len(data)
		}
		if sum.Files != len(all) || sum.Bytes != int64(n) || sum.Unchanged != 0 || len(sum.Skipped) != 0 {
			t.Errorf("got %+v", sum)
		}
	}
}

func TestInclude(t *testing.T) {
	s := newShelf()
	s.putAll("a", "b", "c")
	dir := t.TempDir()
	var asked []string
	var told []s3reader.Outcome
	sum, err := s.reader(t, mayList).DownloadDir(t.Context(), "", dir, func(o *s3reader.DirOptions) {
		o.Include = func(i *s3reader.Info) bool { asked = append(asked, i.Key); return i.Key != "b" }
		o.Each = func(o s3reader.Outcome) { told = append(told, o) }
	})
	if err != nil || sum.Files != 2 || !slices.Equal(asked, []string{"a", "b", "c"}) {
		t.Errorf("got %+v, %v, asked %q", sum, err, asked)
	}
	sameFiles(t, dir, map[string]string{"a": "of a", "c": "of c"})
	slices.SortFunc(told, func(a, b s3reader.Outcome) int { return strings.Compare(a.Path, b.Path) })
	if len(told) != 2 || told[0].Path != filepath.Join(dir, "a") || told[0].Info.Key != "a" || !told[0].Info.Verified {
		t.Errorf("told %+v", told)
	}
}

// A key that cannot be the name of a file is reported, never bent to fit.
func TestKeysThatAreNoPath(t *testing.T) {
	long := strings.Repeat("x", 300)
	bad := []string{"../up", "a/../../up", "a/..", "..", ".", "./x", "a/./x", "/abs", "//abs", "a//b", "dir/", "dir/sub/", "/", "back\\slash", "..\\up", "nul\x00", long, "a/" + long + "/x", ".f.crossrole-part"}
	s := newShelf()
	s.putAll(bad...)
	s.putAll("ok", strings.Repeat("y", 255), "dir/ok")
	outside := t.TempDir()
	dir := filepath.Join(outside, "dest")
	sum, err := s.reader(t, mayList).DownloadDir(t.Context(), "", dir)
	if err != nil {
		t.Fatal(err)
	}
	sameFiles(t, outside, map[string]string{"dest/ok": "of ok", "dest/" + strings.Repeat("y", 255): "of " + strings.Repeat("y", 255), "dest/dir/ok": "of dir/ok"})
	var skipped []string
	for _, s := range sum.Skipped {
		skipped = append(skipped, s.Key)
		if s.Reason == "" {
			t.Errorf("%q without a reason", s.Key)
		}
	}
	if !slices.Equal(skipped, slices.Sorted(slices.Values(bad))) {
		t.Errorf("skipped %q", skipped)
	}
}

// One name cannot be a file and a directory.
func TestFileAndDirectoryOfOneName(t *testing.T) {
	s := newShelf()
	// "a-x" and "a." come between "a" and "a/b".
	s.putAll("a", "a-x", "a.", "a/b", "a0", "c", "c/", "d/e", "d/e/f", "d/e/f/g", "z", "z-/1", "z/2")
	dir := t.TempDir()
	sum, err := s.reader(t, mayList).DownloadDir(t.Context(), "", dir)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, k := range []string{"a-x", "a.", "a/b", "a0", "c", "d/e/f/g", "z-/1", "z/2"} {
		want[k] = "of " + k
	}
	sameFiles(t, dir, want)
	var skipped []string
	for _, s := range sum.Skipped {
		skipped = append(skipped, s.Key)
	}
	slices.Sort(skipped)
	if !slices.Equal(skipped, []string{"a", "c/", "d/e", "d/e/f", "z"}) {
		t.Errorf("skipped %q", sum.Skipped)
	}
}

// Links that somebody has put into the destination lead nowhere.
func TestLinksInTheDestination(t *testing.T) {
	s := newShelf()
	s.putAll("dir/f", "file", "inside/f", "part", "up/f", "other")
	outside := t.TempDir()
	dir := filepath.Join(outside, "dest")
	if err := os.MkdirAll(filepath.Join(dir, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(outside, "victim"), []byte("safe"))
	for name, target := range map[string]string{
		"dir":                   outside,
		"file":                  filepath.Join(outside, "victim"),
		"inside":                "real",
		".part.crossrole-part":  filepath.Join(outside, "victim"),
		".other.crossrole-part": "file",
		"up":                    "..",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := s.reader(t, mayList).DownloadDir(t.Context(), "", dir)
	for _, key := range []string{"dir/f", "file", "inside/f", "up/f"} {
		if !strings.Contains(fmt.Sprint(err), fmt.Sprintf("download %q in bucket", key)) {
			t.Errorf("%s is not complained of: %v", key, err)
		}
	}
	if !strings.Contains(fmt.Sprint(err), "a link, which is not followed") || sum.Files != 2 {
		t.Errorf("got %+v, %v", sum, err)
	}
	for _, name := range []string{"dir", "file", "inside", "up"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	sameFiles(t, outside, map[string]string{"victim": "safe", "dest/part": "of part", "dest/other": "of other"})
}

// An interrupted call goes on, a repeated one fetches what has changed.
func TestDirectoryAgain(t *testing.T) {
	s := newShelf()
	s.putAll("a", "b", "c/d", "e")
	s.Put("big", noise(30*partSize))
	dir := t.TempDir()
	r := s.reader(t, mayList, parts)
	again := func(unchanged int) {
		t.Helper()
		sum, err := r.DownloadDir(t.Context(), "", dir)
		if err != nil || sum.Files != 5 || sum.Unchanged != unchanged {
			t.Errorf("got %+v, %v, want %d unchanged", sum, err, unchanged)
		}
	}
	again(0)
	again(5)
	cut := filepath.Join(dir, "c", "d")
	stat, err := os.Stat(cut)
	if err := errors.Join(err, os.Truncate(cut, 1), os.Chtimes(cut, time.Time{}, stat.ModTime())); err != nil {
		t.Fatal(err)
	}
	again(4)
	s.Put("a", []byte("OF a")) // in the same second, of the same length
	again(4)
	if got := string(onDisk(t, filepath.Join(dir, "a"))); got != "OF a" {
		t.Errorf("a is %q", got)
	}
	write(t, filepath.Join(dir, "b"), []byte("mine"))
	write(t, filepath.Join(dir, "e"), []byte("longer"))
	write(t, filepath.Join(dir, "own"), []byte("mine"))
	again(3)
	if got := files(t, dir); got["b"] != "of b" || got["e"] != "of e" || got["own"] != "mine" || len(got) != 6 {
		t.Errorf("got %q", got)
	}
	if stat, err := os.Stat(filepath.Join(dir, "b")); err != nil || time.Since(stat.ModTime()) > time.Minute {
		t.Errorf("%v, %v", stat.ModTime(), err)
	}
	again(5)
}

func TestOneFailureDoesNotKeepTheOthers(t *testing.T) {
	s := newShelf()
	s.putAll("a", "b", "c", "d")
	s.Put("cold", []byte("x"), func(o *awstest.Object) { o.StorageClass = "GLACIER" })
	s.cloud.Fault(awstest.Fault{Operation: "GetObject", Key: "b", Status: 403, Code: "AccessDenied"})
	dir := t.TempDir()
	sum, err := s.reader(t, mayList).DownloadDir(t.Context(), "", dir)
	sameFiles(t, dir, map[string]string{"a": "of a", "c": "of c", "d": "of d"})
	if sum.Files != 3 || !errors.Is(err, fs.ErrPermission) || !errors.Is(err, s3reader.Archived) {
		t.Errorf("got %+v, %v", sum, err)
	}
	if text := fmt.Sprint(err); strings.Index(text, `"b"`) > strings.Index(text, `"cold"`) || strings.Count(text, "\n") != 1 {
		t.Errorf("got %v", err)
	}
}

// What fails for each object alike fails for the rest of them too. In a synctest
// bubble, as it is tried again.
func TestHopelessCallsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		for i := range 1000 {
			s.putAll(fmt.Sprintf("%04d", i))
		}
		remove := s.cloud.Fault(awstest.Fault{Operation: "GetObject", Skip: 300, Drop: true})
		dir := t.TempDir()
		r := s.reader(t, mayList)
		sum, err := r.DownloadDir(t.Context(), "", dir)
		if !errors.Is(err, syscall.ECONNRESET) || sum.Files < 200 || sum.Files > 300 {
			t.Errorf("got %+v, %v", sum, err)
		}
		if n := len(s.requests()); n > 1300 { // each of them up to six times
			t.Errorf("%d requests", n)
		}
		remove()
		// Reasons of their own are not counted.
		s.cloud.Fault(awstest.Fault{Operation: "GetObject", Times: 500, Status: 403, Code: "AccessDenied"})
		sum, err = r.DownloadDir(t.Context(), "", dir)
		if sum.Files < 500 || !strings.Contains(fmt.Sprint(err), "and 400 more objects") {
			t.Errorf("got %+v, %v", sum, err)
		}
	})
}

// An object overwritten after it was listed is judged anew.
func TestObjectsThatChangeMeanwhile(t *testing.T) {
	s := newShelf()
	s.putAll("a", "b", "c")
	dir := t.TempDir()
	sum, err := s.reader(t, mayList).DownloadDir(t.Context(), "", dir, func(o *s3reader.DirOptions) {
		o.Concurrency = 1
		o.Include = func(i *s3reader.Info) bool {
			if i.Key == "c" && i.Size == 4 {
				s.Put("a", []byte("another"))
				s.Put("b", []byte("too large now"))
				s.Put("c", []byte("new"))
			}
			return i.Size < 10
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	got := files(t, dir)
	if got["c"] != "new" || got["b"] == "too large now" || sum.Files != len(got) {
		t.Errorf("got %q, %+v", got, sum)
	}
}

func TestDirectoryThatIsNone(t *testing.T) {
	s := newShelf()
	s.putAll("a/b")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "f"), nil)
	write(t, filepath.Join(dir, "a"), nil)
	r := s.reader(t, mayList)
	for path, want := range map[string]string{"": "directory is empty", filepath.Join(dir, "f"): "f", dir: "is a file: remove it"} {
		sum, err := r.DownloadDir(t.Context(), "", path)
		if err == nil || !strings.Contains(err.Error(), want) || sum == nil || sum.Files != 0 {
			t.Errorf("%q: got %+v, %v", path, sum, err)
		}
	}
	if _, err := r.DownloadDir(t.Context(), "", dir, func(o *s3reader.DirOptions) { o.Concurrency = -1 }); err == nil {
		t.Error("Concurrency -1 is taken")
	}
}

func TestManySmallObjects(t *testing.T) {
	t.Parallel()
	s := newShelf()
	want := map[string]string{}
	for i := range 1500 {
		k := fmt.Sprintf("%02d/%04d", i%50, i)
		s.putAll(k)
		want[k] = "of " + k
	}
	dir := t.TempDir()
	sum, err := s.reader(t, mayList).DownloadDir(t.Context(), "", dir)
	if err != nil || sum.Files != 1500 {
		t.Errorf("got %+v, %v", sum, err)
	}
	sameFiles(t, dir, want)
	if n := len(s.requests()); n != 1502 {
		t.Errorf("%d requests", n)
	}
}

// errClient is an HTTP client with a cache on disk: its requests for objects fail
// as writing a file would.
type errClient struct {
	aws.HTTPClient
	err     error
	objects atomic.Int64 // requests
}

func (c *errClient) Do(r *http.Request) (*http.Response, error) {
	if r.URL.Query().Has("list-type") {
		return c.HTTPClient.Do(r)
	}
	c.objects.Add(1)
	return nil, &fs.PathError{Op: "write", Path: "cache", Err: c.err}
}

// When nothing can be written any more, the other objects are not tried.
func TestFullDiskStopsADirectory(t *testing.T) {
	full := syscall.ENOSPC
	if runtime.GOOS == "windows" {
		full = 112 // ERROR_DISK_FULL
	}
	s := newShelf()
	for i := range 90 { // fewer than may fail in a row
		s.putAll(fmt.Sprintf("dir/%d", i))
	}
	for _, test := range []struct {
		err         error
		least, most int64
	}{{full, 1, 3}, {syscall.EACCES, 90, 90}} {
		cfg := s.config(mayList)
		client := &errClient{HTTPClient: cfg.HTTPClient, err: test.err}
		cfg.HTTPClient, cfg.RetryMaxAttempts = client, 1
		_, err := newReader(t, cfg, "pics").DownloadDir(t.Context(), "dir", t.TempDir(), func(o *s3reader.DirOptions) { o.Concurrency = 2 })
		if !errors.Is(err, test.err) {
			t.Errorf("%v: error %v", test.err, err)
		}
		if n := client.objects.Load(); n < test.least || n > test.most {
			t.Errorf("%v: %d objects were tried, want %d to %d", test.err, n, test.least, test.most)
		}
	}
}
