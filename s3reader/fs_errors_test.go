package s3reader_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// Every failure is a PathError of the name that was given, with an Error of the
// key in it; errors.Is works with both.
func TestFSErrorsOfS3(t *testing.T) {
	s := oddShelf()
	noBucket := newReader(t, s.config(mayList), "no-such-bucket").FS(t.Context())
	nobody := newReader(t, s.cloud.Config(), "pics").FS(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	gone := s.reader(t, mayList).FS(ctx)
	for _, c := range []struct {
		name string
		fsys fs.FS
		want []error
	}{
		{"no bucket", noBucket, []error{s3reader.NoSuchBucket, fs.ErrNotExist}},
		{"nobody", nobody, []error{s3reader.AccessDenied, fs.ErrPermission}},
		{"cancelled", gone, []error{context.Canceled}},
	} {
		for _, op := range []string{"open", "stat", "readdir", "read"} {
			for _, name := range []string{"a", "dir", "none/at/all"} {
				err := do(c.fsys, op, name)
				p, isPath := errors.AsType[*fs.PathError](err)
				e, isError := errors.AsType[*s3reader.Error](err)
				if !isPath || p.Op != op || p.Path != name || !isError || e.Bucket == "" {
					t.Errorf("%s, %s %s: got %#v", c.name, op, name, err)
					continue
				}
				for _, want := range c.want {
					if !errors.Is(err, want) {
						t.Errorf("%s, %s %s: %v is not %v", c.name, op, name, err, want)
					}
				}
				if c.name != "no bucket" && errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s, %s %s: %v is fs.ErrNotExist", c.name, op, name, err)
				}
			}
		}
	}
	if err := do(noBucket, "stat", "."); !errors.Is(err, s3reader.NoSuchBucket) {
		t.Errorf("Stat of a bucket that is not there: %v", err)
	}
	if err := do(noBucket, "readdir", "."); !errors.Is(err, s3reader.NoSuchBucket) {
		t.Errorf("ReadDir of a bucket that is not there: %v", err)
	}
	if err := do(nobody, "stat", "."); err != nil { // it is there, and not to be listed
		t.Errorf("Stat of a bucket that may not be listed: %v", err)
	}
}

// Whose permissions begin further down sees the directories above as such.
func TestFSOfAPrefix(t *testing.T) {
	s := newShelf()
	s.Put("shared/sub/file", []byte("text"))
	s.Put("private/file", nil)
	fsys := s.reader(t, `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/shared/*"},
		{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::pics","Condition":{"StringLike":{"s3:prefix":"shared/*"}}}]}`).FS(t.Context())
	for _, op := range []string{"open", "stat", "readdir"} {
		if err := do(fsys, op, "shared"); err != nil {
			t.Errorf("%s: %v", op, err)
		}
		if err := do(fsys, op, "private"); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s of another: %v", op, err)
		}
	}
	sub, err := fs.Sub(fsys, "shared")
	if err != nil {
		t.Fatal(err)
	}
	found, err := fs.Glob(sub, "*/*")
	if err != nil || !slices.Equal(found, []string{"sub/file"}) {
		t.Errorf("got %q, %v", found, err)
	}
	if text, err := fs.ReadFile(sub, "sub/file"); err != nil || string(text) != "text" {
		t.Errorf("got %q, %v", text, err)
	}
	// S3 says 404 to nobody whose s3:ListBucket has conditions.
	if err := do(sub, "stat", "none"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v", err)
	}
	none, err := fs.Sub(fsys, "shared/none")
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range []string{"open", "stat"} {
		err := do(none, op, ".")
		if p, ok := errors.AsType[*fs.PathError](err); !ok || p.Path != "." || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s of a directory that is not there: %v", op, err)
		}
	}
}

// Case B41: whatever is asked of a name that is an object and a directory, the
// answers agree.
func TestFSObjectAndDirectory(t *testing.T) {
	s := oddShelf()
	fsys := s.fs(t)
	if info, err := fs.Stat(fsys, "a"); err != nil || info.IsDir() || info.Size() != int64(len("this is a")) {
		t.Errorf("Stat: %v, %v", info, err)
	}
	f, err := fsys.Open("a")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.IsDir() {
		t.Errorf("Open: %v, %v", info, err)
	}
	if text, err := fs.ReadFile(fsys, "a/b"); err != nil || string(text) != "this is a/b" {
		t.Errorf("a/b: %q, %v", text, err)
	}
	below, err := fs.ReadDir(fsys, "a")
	if err != nil || !slices.Equal(namesOf(below), []string{"b", "c/"}) {
		t.Errorf("ReadDir: %q, %v", namesOf(below), err)
	}
}

// Case B43: what a file has are the stored bytes, and their number.
func TestFSFilesAreObjects(t *testing.T) {
	s := newShelf()
	data := noise(5000)
	stored := s.Put("dir/k.gz", data, func(o *awstest.Object) { o.ContentEncoding, o.ContentType = "gzip", "text/plain" })
	f, err := s.fs(t).Open("dir/k.gz")
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil || info.Name() != "k.gz" || info.Size() != 5000 || info.Mode() != 0o444 || !info.ModTime().Equal(stored.LastModified) {
		t.Errorf("Stat: %v, %v", info, err)
	}
	if sys := info.Sys().(*s3reader.Info); sys.Key != "dir/k.gz" || sys.ContentEncoding != "gzip" || sys.ContentType != "text/plain" || sys.ETag != stored.ETag {
		t.Errorf("Sys: %+v", sys)
	}
	got, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, data)
	part := make([]byte, 100)
	if _, err := f.(io.ReaderAt).ReadAt(part, 4000); err != nil {
		t.Fatal(err)
	}
	same(t, part, data[4000:4100])
	if _, err := f.(io.Seeker).Seek(-1, io.SeekStart); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("Seek: %v", err)
	}
	if n, err := f.(io.WriterTo).WriteTo(&fullDisk{}); n != 0 || err != nil {
		t.Errorf("WriteTo at the end: %d, %v", n, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	for op, err := range map[string]error{
		"read": second(f.Read(part)), "seek": second(f.(io.Seeker).Seek(0, io.SeekStart)),
		"readat": second(f.(io.ReaderAt).ReadAt(part, 0)),
	} {
		if p, ok := errors.AsType[*fs.PathError](err); !ok || p.Path != "dir/k.gz" || !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s after Close: %#v", op, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestFSDirectoryIsNoFile(t *testing.T) {
	s := oddShelf()
	f, err := s.fs(t).Open("dir")
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil || info.Mode() != fs.ModeDir|0o555 || info.Size() != 0 || !info.ModTime().IsZero() || info.Sys() != nil || fmt.Sprint(info) != "dr-xr-xr-x 0 0001-01-01 00:00:00 dir/" {
		t.Errorf("Stat: %v, %v", info, err)
	}
	if _, err := f.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("Read: %v", err)
	}
}

// One FS serves many at a time.
func TestFSConcurrently(t *testing.T) {
	s := newShelf()
	for i := range 1500 {
		s.Put(fmt.Sprintf("d/%04d", i), fmt.Append(nil, i))
	}
	fsys := s.fs(t)
	d, err := fsys.Open("d")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				some, err := d.(fs.ReadDirFile).ReadDir(10)
				if err == io.EOF {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				for _, e := range some {
					if _, err := fs.ReadFile(fsys, "d/"+e.Name()); err != nil {
						t.Error(err)
					}
					mu.Lock()
					seen[e.Name()] = true
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if len(seen) != 1500 {
		t.Errorf("%d names", len(seen))
	}
}
