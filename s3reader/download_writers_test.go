package s3reader_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/crossrole/crossrole/s3reader"
)

// A writer that fails ends the download with its own error.
func TestWriterThatFails(t *testing.T) {
	for _, size := range []int{partSize, 20 * partSize} {
		s := newShelf()
		s.Put("k", noise(size))
		broken := errors.New("broken")
		_, err := s.reader(t, mayRead, parts).Download(t.Context(), "k", writerAtFunc(func(p []byte, off int64) (int, error) {
			if off == 0 {
				return 0, broken
			}
			return len(p), nil
		}))
		if e, ok := errors.AsType[*s3reader.Error](err); !ok || e.Op != "download" || !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	}
}

type writerAtFunc func(p []byte, off int64) (int, error)

func (f writerAtFunc) WriteAt(p []byte, off int64) (int, error) { return f(p, off) }

func TestFullDevice(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if runtime.GOOS != "linux" && errors.Is(err, os.ErrNotExist) {
		return // only Linux has one
	}
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	s := newShelf()
	s.Put("k", noise(20*partSize))
	if _, err := s.reader(t, mayRead, parts).Download(t.Context(), "k", full); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
}

// A file that the caller has opened becomes the object, no longer and no shorter.
func TestDownloadIntoOpenFile(t *testing.T) {
	for _, size := range []int{0, 100, 20 * partSize} {
		s := newShelf()
		data := noise(size)
		s.Put("k", data)
		path := filepath.Join(t.TempDir(), "f")
		write(t, path, noise(partSize))
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.reader(t, mayRead, parts).Download(t.Context(), "k", f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		same(t, onDisk(t, path), data)
	}
}
