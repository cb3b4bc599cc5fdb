package partfile_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossrole/crossrole/s3reader/internal/crc"
	"github.com/crossrole/crossrole/s3reader/internal/partfile"
	"github.com/crossrole/crossrole/s3reader/internal/transfer"
)

func openRoot(t *testing.T) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func open(t *testing.T, root *os.Root, target string) *partfile.File {
	t.Helper()
	f, err := partfile.Open(root, target)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Every target has a name of its own, which every file system takes, and a second
// download of the same one has another.
func TestNames(t *testing.T) {
	root := openRoot(t)
	seen := map[string]string{}
	for _, target := range []string{"a", "b", strings.Repeat("x", 126), strings.Repeat("x", 127), strings.Repeat("x", 200), strings.Repeat("x", 254) + "y", strings.Repeat("x", 255)} {
		first := open(t, root, target)
		second := open(t, root, target)
		if !first.Shared() || second.Shared() || first.Found() || second.Found() {
			t.Errorf("%q: shared %v and %v, found %v and %v", target, first.Shared(), second.Shared(), first.Found(), second.Found())
		}
		for _, f := range []*partfile.File{first, second} {
			name := filepath.Base(f.Path())
			if len(name) > 143 || !partfile.IsName(name) || seen[name] != "" {
				t.Errorf("%q of %q and %q", name, target, seen[name])
			}
			seen[name] = target
		}
		must(t, second.Discard())
		must(t, first.Discard())
	}
	if name := partfile.ScratchName("case"); !partfile.IsName(name) || !strings.HasPrefix(name, ".case-") {
		t.Errorf("got %q", name)
	}
	if partfile.IsName("f.crossrole-part") || partfile.IsName(".f") {
		t.Error("other names are taken for those of parts")
	}
	if left, err := fs.ReadDir(root.FS(), "."); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

const size = 4 << 20

var id = partfile.ID{Bucket: "pics", Key: "k\n\"", ETag: `"e"`, Size: size, Checksum: crc.CRC64NVME}

func object() []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}

func part(data []byte, start, end int64) transfer.Part {
	return transfer.Part{Range: transfer.Range{Start: start, End: end}, CRC: crc.CRC64NVME.Update(0, data[start:end])}
}

// begun leaves a part file with two parts, as a killed process does.
func begun(t *testing.T, root *os.Root, data []byte) {
	t.Helper()
	f := open(t, root, "f")
	must(t, f.Begin(id))
	if f.Useful() {
		t.Error("useful without a part")
	}
	for _, p := range []transfer.Part{part(data, 1<<20, 2<<20), part(data, 0, 1<<20)} {
		if _, err := f.WriteAt(data[p.Start:p.End], p.Start); err != nil {
			t.Fatal(err)
		}
		f.Add(p)
	}
	if !f.Useful() {
		t.Error("not useful with two parts")
	}
	must(t, f.Close())
}

// What has arrived is found again, unless the object is another one or the bytes
// have changed.
func TestResume(t *testing.T) {
	data := object()
	for name, tt := range map[string]struct {
		change func(*partfile.ID)
		spoil  func(t *testing.T, part string)
		want   string
	}{
		"same":              {want: "[{0 1048576} {1048576 2097152}]"},
		"other bucket":      {change: func(id *partfile.ID) { id.Bucket = "other" }, want: "[]"},
		"other key":         {change: func(id *partfile.ID) { id.Key = "other" }, want: "[]"},
		"other version":     {change: func(id *partfile.ID) { id.ETag = `"other"` }, want: "[]"},
		"other size":        {change: func(id *partfile.ID) { id.Size-- }, want: "[]"},
		"other checksum":    {change: func(id *partfile.ID) { id.Checksum = crc.CRC32C }, want: "[]"},
		"changed byte":      {spoil: edit(5, "!"), want: "[{1048576 2097152}]"},
		"no journal":        {spoil: cut(size), want: "[]"},
		"half a first line": {spoil: cut(size + 10), want: "[]"},
		"torn last line":    {spoil: func(t *testing.T, part string) { cut(-1)(t, part) }, want: "[{1048576 2097152}]"},
		"rubbish after it":  {spoil: add("rubbish\n0 1 0\n"), want: "[{0 1048576} {1048576 2097152}]"},
		"beyond the object": {spoil: add("4194303 4194305 0\n-1 1 0\n5 5 0\n"), want: "[{0 1048576} {1048576 2097152}]"},
	} {
		t.Run(name, func(t *testing.T) {
			root := openRoot(t)
			begun(t, root, data)
			id := id
			if tt.change != nil {
				tt.change(&id)
			}
			if tt.spoil != nil {
				tt.spoil(t, filepath.Join(root.Name(), ".f.crossrole-part"))
			}
			f := open(t, root, "f")
			parts, err := f.Resume(id)
			must(t, err)
			ranges := []transfer.Range{}
			for _, p := range parts {
				ranges = append(ranges, p.Range)
			}
			if got := fmt.Sprint(ranges); got != tt.want || !f.Found() {
				t.Errorf("got %v, found %v", got, f.Found())
			}
			must(t, f.Discard())
		})
	}
}

func edit(off int64, s string) func(*testing.T, string) {
	return func(t *testing.T, part string) {
		t.Helper()
		f, err := os.OpenFile(part, os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteAt([]byte(s), off)
		must(t, err)
		must(t, f.Close())
	}
}

func add(s string) func(*testing.T, string) {
	return func(t *testing.T, part string) {
		t.Helper()
		stat, err := os.Stat(part)
		must(t, err)
		edit(stat.Size(), s)(t, part)
	}
}

// cut shortens the part to n bytes, or by -n.
func cut(n int64) func(*testing.T, string) {
	return func(t *testing.T, part string) {
		t.Helper()
		if n < 0 {
			stat, err := os.Stat(part)
			must(t, err)
			n += stat.Size()
		}
		must(t, os.Truncate(part, n))
	}
}

// A resumed part becomes the file, without the journal.
func TestCommit(t *testing.T) {
	root, data := openRoot(t), object()
	begun(t, root, data)
	f := open(t, root, "f")
	parts, err := f.Resume(id)
	must(t, err)
	for _, r := range transfer.Missing(parts, size) {
		_, err := f.WriteAt(data[r.Start:r.End], r.Start)
		must(t, err)
		f.Add(part(data, r.Start, r.End))
	}
	modified := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	must(t, f.Commit(size, 0o444, modified))
	got, err := root.ReadFile("f")
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("the file has %d bytes, %v", len(got), err)
	}
	stat, err := root.Stat("f")
	must(t, err)
	if !stat.ModTime().Equal(modified) || stat.Mode().Perm() != 0o444 {
		t.Errorf("has %v, modified %v", stat.Mode(), stat.ModTime())
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	must(t, err)
	if !slices.EqualFunc(entries, []string{"f"}, func(e fs.DirEntry, n string) bool { return e.Name() == n }) {
		t.Errorf("left %v", entries)
	}
}

// What is of no use any more is removed, for an object that is written anew.
func TestClear(t *testing.T) {
	root := openRoot(t)
	begun(t, root, object())
	f := open(t, root, "f")
	must(t, f.Clear())
	if n, err := f.Size(); err != nil || n != 0 || f.Found() || f.Useful() {
		t.Errorf("%d bytes, %v, found %v, useful %v", n, err, f.Found(), f.Useful())
	}
	must(t, f.Discard())
}
