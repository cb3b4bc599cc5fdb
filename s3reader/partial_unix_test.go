//go:build unix

package s3reader_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/crossrole/crossrole/awstest"
)

// While its bytes arrive nobody but the owner can read the part, whatever the
// file's permissions are before and after.
func TestPartsArePrivate(t *testing.T) {
	for name, c := range map[string]struct {
		size int
		old  fs.FileMode // 0: there is no file
		part fs.FileMode // 0: there is no part
	}{
		"new": {10 * partSize, 0, 0}, "small": {10, 0, 0}, "resumed": {10 * partSize, 0, 0o644},
		"private": {10 * partSize, 0o600, 0}, "group's": {10, 0o640, 0}, "all's": {10 * partSize, 0o666, 0o666},
		"read only": {10, 0o444, 0}, "program": {10, 0o755, 0}, "set user id": {10, 0o755 | fs.ModeSetuid, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf()
			s.Put("f", noise(c.size))
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			want := c.old.Perm()
			if c.old != 0 {
				regular(t, path)
				must(t, os.Chmod(path, c.old))
			} else {
				reference := filepath.Join(t.TempDir(), "reference")
				must(t, os.WriteFile(reference, nil, 0o666)) //nolint:gosec // what a program's new files have
				stat, err := os.Stat(reference)
				must(t, err)
				want = stat.Mode()
			}
			if c.part != 0 {
				part := filepath.Join(dir, ".f.crossrole-part")
				regular(t, part)
				must(t, os.Chmod(part, c.part))
			}
			var seen atomic.Int64
			s.cloud.Fault(awstest.Fault{Operation: "GetObject", Edit: func(b []byte) []byte {
				entries, err := os.ReadDir(dir)
				must(t, err)
				for _, e := range entries {
					info, err := e.Info()
					if err == nil && strings.HasSuffix(e.Name(), ".crossrole-part") {
						if seen.Add(1); info.Mode() != 0o600 {
							t.Errorf("%s has %v", e.Name(), info.Mode())
						}
					}
				}
				return b
			}})
			for _, download := range []func() error{
				func() error { _, err := s.reader(t, mayRead, parts).DownloadFile(t.Context(), "f", path); return err },
				func() error { _, err := s.reader(t, mayList, parts).DownloadDir(t.Context(), "", dir); return err },
			} {
				must(t, download())
				stat, err := os.Stat(path)
				if err != nil || stat.Mode() != want {
					t.Errorf("has %v, %v; want %v", stat.Mode(), err, want)
				}
			}
			if seen.Load() == 0 {
				t.Error("saw no part")
			}
			if got := names(t, dir); !slices.Equal(got, []string{"f"}) {
				t.Errorf("left %q", got)
			}
		})
	}
}

// What has the part's name and is not ours to use keeps no object from coming.
func TestForeignParts(t *testing.T) {
	foreign := func(t *testing.T, part string) {
		write(t, part, []byte("theirs"))
		err := os.Chown(part, 65534, 65534)
		if errors.Is(err, fs.ErrPermission) {
			t.Skip("only root can play another user")
		}
		must(t, err)
	}
	for name, put := range map[string]place{
		"another user's": foreign, "pipe": fifo, "socket": socket, "device": node(syscall.S_IFCHR, 1, 3),
		"full directory": func(t *testing.T, part string) { directory(t, part); regular(t, filepath.Join(part, "x")) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf()
			data := noise(10 * partSize)
			s.Put("k", data)
			dir := t.TempDir()
			part := filepath.Join(dir, ".f.crossrole-part")
			put(t, part)
			before, err := os.Lstat(part)
			must(t, err)
			_, err = s.reader(t, mayRead, parts).DownloadFile(t.Context(), "k", filepath.Join(dir, "f"))
			must(t, err)
			same(t, onDisk(t, filepath.Join(dir, "f")), data)
			if after, err := os.Lstat(part); err != nil || !os.SameFile(before, after) || before.Mode() != after.Mode() {
				t.Errorf("was %v, is %v, %v", before.Mode(), after.Mode(), err)
			}
			if got := names(t, dir); len(got) != 2 {
				t.Errorf("left %q", got)
			}
		})
	}
}

// In a directory like /tmp another user's part cannot be removed.
func TestForeignPartInStickyDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can play another user")
	}
	s := newShelf()
	data := noise(10 * partSize)
	s.Put("k", data)
	endpoint := s.cloud.Serve(t)
	dir, err := os.MkdirTemp("", "sticky") //nolint:usetesting // t.TempDir is not for other users
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o777|fs.ModeSticky))
	write(t, filepath.Join(dir, ".f.crossrole-part"), []byte("root's"))
	out, err := childOf(t, s, "CHILD_ENDPOINT="+endpoint, "CHILD_WITHOUT=root", "CHILD_FILE="+filepath.Join(dir, "f")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	same(t, onDisk(t, filepath.Join(dir, "f")), data)
	same(t, onDisk(t, filepath.Join(dir, ".f.crossrole-part")), []byte("root's"))
}

// A file that root replaces stays its owner's.
func TestOwnerStays(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	s := newShelf()
	s.Put("k", noise(10))
	path := filepath.Join(t.TempDir(), "f")
	regular(t, path)
	must(t, errors.Join(os.Chown(path, 65534, 65533), os.Chmod(path, 0o640)))
	_, err := s.reader(t, mayRead).DownloadFile(t.Context(), "k", path)
	must(t, err)
	stat, err := os.Stat(path)
	must(t, err)
	if sys := stat.Sys().(*syscall.Stat_t); sys.Uid != 65534 || sys.Gid != 65533 || stat.Mode() != 0o640 {
		t.Errorf("has %d:%d %v", sys.Uid, sys.Gid, stat.Mode())
	}
}

// A group that cannot be kept gives the new one nothing that others don't have.
func TestGroupThatCannotBeKept(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can play another user")
	}
	s := newShelf()
	s.Put("k", noise(10))
	endpoint := s.cloud.Serve(t)
	dir, err := os.MkdirTemp("", "group") //nolint:usetesting // t.TempDir is not for other users
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	path := filepath.Join(dir, "f")
	regular(t, path)
	must(t, errors.Join(os.Chmod(dir, 0o777), os.Chmod(path, 0o664), os.Chown(path, 0, 65533)))
	out, err := childOf(t, s, "CHILD_ENDPOINT="+endpoint, "CHILD_WITHOUT=root", "CHILD_FILE="+path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	stat, err := os.Stat(path)
	must(t, err)
	if stat.Mode() != 0o644 {
		t.Errorf("has %v", stat.Mode())
	}
}
