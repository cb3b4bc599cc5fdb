package s3reader_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func onDisk(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// names are what there is in a directory.
func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestFileOfEverySize(t *testing.T) {
	for _, size := range []int{0, 1, partSize - 1, partSize, partSize + 1, 33*partSize + 7} {
		for _, old := range []bool{false, true} {
			s := newShelf()
			data := noise(size)
			s.Put("k", data)
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			if old {
				write(t, path, noise(70_000))
			}
			info, err := s.reader(t, mayRead, parts).DownloadFile(t.Context(), "k", path)
			if err != nil {
				t.Fatal(err)
			}
			same(t, onDisk(t, path), data)
			if !info.Verified || info.Size != int64(size) {
				t.Errorf("got %+v", info)
			}
			if got := names(t, dir); !slices.Equal(got, []string{"f"}) {
				t.Errorf("left %q", got)
			}
			if stat, err := os.Stat(path); err != nil || old && stat.Mode() != 0o600 {
				t.Errorf("mode %v, %v", stat.Mode(), err)
			}
		}
	}
}

// mishaps are what may befall a download of 20 parts, and whether it should
// arrive all the same.
var mishaps = map[string]struct {
	fault   awstest.Fault
	arrives bool
}{
	"broken":         {awstest.Fault{ResetAfter: new(int64(3000)), Times: 3}, true},
	"broken always":  {awstest.Fault{ResetAfter: new(int64(0)), Skip: 5}, false},
	"stalled":        {awstest.Fault{StallAfter: new(int64(3000)), Times: 3}, true},
	"stalled always": {awstest.Fault{StallAfter: new(int64(0)), Skip: 5}, false},
	"wrong range":    {awstest.Fault{WrongRange: true, Skip: 5}, false},
	"no range":       {awstest.Fault{IgnoreRange: true, Skip: 5}, false},
	"refused":        {awstest.Fault{Status: 403, Code: "AccessDenied", Skip: 5}, false},
	"refused first":  {awstest.Fault{Status: 403, Code: "AccessDenied"}, false},
	"overloaded":     {awstest.Fault{Status: 503, Code: "SlowDown", Skip: 2, Times: 9}, true},
	"overloaded on":  {awstest.Fault{Status: 503, Code: "SlowDown", Skip: 5}, false},
	"failing":        {awstest.Fault{Status: 500, Code: "InternalError", Skip: 2, Times: 9}, true},
	"hung":           {awstest.Fault{Hang: true, Skip: 2, Times: 9}, true},
	"dropped":        {awstest.Fault{Drop: true, Skip: 2, Times: 9}, true},
	"dropped always": {awstest.Fault{Drop: true, Skip: 5}, false},
	"spoilt":         {awstest.Fault{Edit: spoil, Skip: 5, Times: 1}, false},
	"cut short":      {awstest.Fault{Edit: func(b []byte) []byte { return b[:len(b)/2] }, Skip: 5}, false},
	"overwritten":    {awstest.Fault{Status: 412, Code: "PreconditionFailed", Skip: 5}, false},
	"deleted":        {awstest.Fault{Status: 404, Code: "NoSuchKey", Skip: 5}, false},
	"expired":        {awstest.Fault{Status: 400, Code: "ExpiredToken", Skip: 5}, false},
}

// After every fault the path names the old file or the complete new one, and what
// else is left serves the next download, which needs no byte twice.
func TestOldFileOrNew(t *testing.T) {
	for name, m := range mishaps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShelf()
				data, before := noise(20*partSize), noise(70_000)
				s.Put("k", data)
				dir := t.TempDir()
				path := filepath.Join(dir, "f")
				write(t, path, before)
				r := s.reader(t, mayRead, parts)
				m.fault.Operation = "GetObject"
				remove := s.cloud.Fault(m.fault)
				_, err := r.DownloadFile(t.Context(), "k", path)
				remove()
				if (err == nil) != m.arrives {
					t.Fatalf("got %v", err)
				}
				if m.arrives {
					same(t, onDisk(t, path), data)
				} else {
					same(t, onDisk(t, path), before)
				}
				kept := slices.ContainsFunc(names(t, dir), func(n string) bool { return n != "f" })
				if says := err != nil && strings.Contains(err.Error(), "the next download to this file resumes from there"); kept != says {
					t.Errorf("left %q, and says %v", names(t, dir), err)
				}
				if e, ok := errors.AsType[*s3reader.Error](err); err != nil && (!ok || e.Op != "download" || e.Key != "k") {
					t.Errorf("got %#v", err)
				}

				had := len(s.requests())
				if _, err := r.DownloadFile(t.Context(), "k", path); err != nil {
					t.Fatal(err)
				}
				same(t, onDisk(t, path), data)
				if got := names(t, dir); !slices.Equal(got, []string{"f"}) {
					t.Errorf("left %q", got)
				}
				if n := len(s.requests()) - had; kept && n > 18 {
					t.Errorf("%d requests to go on: %q", n, s.requests()[had:])
				}
			})
		})
	}
}

// interrupted leaves a part of the object k in dir, where it is to become "f".
func interrupted(t *testing.T, s *shelf, dir string) string {
	t.Helper()
	remove := s.cloud.Fault(awstest.Fault{Status: 403, Code: "AccessDenied", Skip: 10})
	_, err := s.reader(t, mayRead, parts).DownloadFile(t.Context(), "k", filepath.Join(dir, "f"))
	remove()
	if err == nil {
		t.Fatal("it was to be refused")
	}
	left := slices.DeleteFunc(names(t, dir), func(n string) bool { return n == "f" })
	if len(left) != 1 {
		t.Fatalf("left %q", left)
	}
	return filepath.Join(dir, left[0])
}

func TestPartIsResumed(t *testing.T) {
	data := noise(20 * partSize)
	for name, c := range map[string]struct {
		spoil    func(t *testing.T, path string)
		from, to int // requests
	}{
		"intact":           {func(*testing.T, string) {}, 8, 15},
		"one byte changed": {func(t *testing.T, path string) { edit(t, path, func(b []byte) []byte { b[5] ^= 1; return b }) }, 9, 16},
		"bytes gone":       {func(t *testing.T, path string) { edit(t, path, func(b []byte) []byte { return b[:5*partSize] }) }, 21, 21},
		"journal gone":     {func(t *testing.T, path string) { edit(t, path, func(b []byte) []byte { return b[:len(data)] }) }, 21, 21},
		"half a line":      {func(t *testing.T, path string) { edit(t, path, func(b []byte) []byte { return b[:len(b)-3] }) }, 8, 16},
		"more behind": {func(t *testing.T, path string) {
			edit(t, path, func(b []byte) []byte { return append(b, "rubbish\n"...) })
		}, 8, 15},
		"lies": {func(t *testing.T, path string) {
			edit(t, path, func(b []byte) []byte {
				return append(b, "-5 10 0\n5 3 0\n0 9223372036854775807 0\n"...)
			})
		}, 8, 15},
		"another object": {func(t *testing.T, path string) {
			edit(t, path, func(b []byte) []byte {
				return append(b[:len(data)], strings.Replace(string(b[len(data):]), `"k"`, `"j"`, 1)...)
			})
		}, 21, 21},
		"empty":         {func(t *testing.T, path string) { edit(t, path, func([]byte) []byte { return nil }) }, 20, 20},
		"half the file": {func(t *testing.T, path string) { edit(t, path, func(b []byte) []byte { return b[:len(b)/2] }) }, 20, 21},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf()
			s.Put("k", data)
			dir := t.TempDir()
			c.spoil(t, interrupted(t, s, dir))
			had := len(s.requests())
			info, err := s.reader(t, mayRead, parts).DownloadFile(t.Context(), "k", filepath.Join(dir, "f"))
			if err != nil {
				t.Fatal(err)
			}
			same(t, onDisk(t, filepath.Join(dir, "f")), data)
			if got := names(t, dir); !info.Verified || !slices.Equal(got, []string{"f"}) {
				t.Errorf("left %q, %+v", got, info)
			}
			if n := len(s.requests()) - had; n < c.from || n > c.to {
				t.Errorf("%d requests, want %d to %d: %q", n, c.from, c.to, s.requests()[had:])
			}
		})
	}
}

func edit(t *testing.T, path string, f func([]byte) []byte) {
	t.Helper()
	write(t, path, f(onDisk(t, path)))
}

// A part of a version that is gone is of no use.
func TestPartOfAnotherVersionIsDropped(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(20*partSize))
	dir := t.TempDir()
	interrupted(t, s, dir)
	data := slices.Concat(noise(10*partSize), noise(10*partSize)) // of the same length
	s.Put("k", data)
	if _, err := s.reader(t, mayRead, parts).DownloadFile(t.Context(), "k", filepath.Join(dir, "f")); err != nil {
		t.Fatal(err)
	}
	same(t, onDisk(t, filepath.Join(dir, "f")), data)
	if got := names(t, dir); !slices.Equal(got, []string{"f"}) {
		t.Errorf("left %q", got)
	}
}

// Cancelling leaves a part and returns at once.
func TestCancelKeepsThePart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		data := noise(20 * partSize)
		s.Put("k", data)
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		remove := s.cloud.Fault(awstest.Fault{StallAfter: new(int64(4000)), Skip: 10})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { synctest.Wait(); cancel() }()
		_, err := s.reader(t, mayRead, parts).DownloadFile(ctx, "k", path)
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "resumes from there") {
			t.Errorf("got %v", err)
		}
		remove()
		had := len(s.requests())
		if _, err := s.reader(t, mayRead, parts).DownloadFile(t.Context(), "k", path); err != nil {
			t.Fatal(err)
		}
		same(t, onDisk(t, path), data)
		// Not even the bytes of parts that were under way come again.
		for _, asked := range s.requests()[had+1:] {
			var first, last int64
			if _, err := fmt.Sscanf(asked, "GetObject bytes=%d-%d", &first, &last); err != nil || first >= 10*partSize && first < 14*partSize && first%partSize != 4000 {
				t.Errorf("asked for %q", asked)
			}
		}
	})
}

func TestPathsThatAreNoFile(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(10))
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"":                                "names no file",
		dir + "/":                         "names no file",
		filepath.Join(dir, "d") + "/.":    "names no file",
		filepath.Join(dir, "d"):           "is a directory",
		filepath.Join(dir, "absent", "f"): "no such file",
	} {
		_, err := s.reader(t, mayRead).DownloadFile(t.Context(), "k", path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", path, err)
		}
		if strings.HasPrefix(want, "no such") && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: the cause is lost: %v", path, err)
		}
	}
	if got := s.requests(); len(got) != 0 {
		t.Errorf("asked for %q", got)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"d"}) {
		t.Errorf("left %q", got)
	}
}
