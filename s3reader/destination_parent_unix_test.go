//go:build unix

package s3reader_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A named pipe, or what is no directory either, in the place of the destination's
// directory is refused before any request. To open a pipe like a directory would
// wait for a writer.
func TestParentThatIsNoDirectory(t *testing.T) {
	for name, put := range map[string]place{
		"named pipe": fifo, "link to a named pipe": linkTo(fifo), "file": regular, "link to a file": linkTo(regular), "socket": socket,
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf()
			s.Put("k", []byte("new"))
			r := s.reader(t, mayList)
			dir := t.TempDir()
			path, link := filepath.Join(dir, "p"), filepath.Join(dir, "link")
			put(t, path)
			must(t, os.Symlink("p/f", link))
			for what, download := range map[string]func() error{
				"DownloadFile":              func() error { _, err := r.DownloadFile(t.Context(), "k", path+"/f"); return err },
				"DownloadFile below":        func() error { _, err := r.DownloadFile(t.Context(), "k", path+"/d/f"); return err },
				"DownloadFile at a link":    func() error { _, err := r.DownloadFile(t.Context(), "k", link); return err },
				"DownloadDir":               func() error { _, err := r.DownloadDir(t.Context(), "", path); return err },
				"DownloadDir, with a slash": func() error { _, err := r.DownloadDir(t.Context(), "", path+"/"); return err },
				"DownloadDir below":         func() error { _, err := r.DownloadDir(t.Context(), "", path+"/d"); return err },
			} {
				done := make(chan error, 1)
				go func() { done <- download() }()
				select {
				case err := <-done:
					if !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, fs.ErrExist) || len(s.requests()) != 0 {
						t.Errorf("%s: got %v after %q", what, err, s.requests())
					}
				case <-time.After(10 * time.Second):
					t.Errorf("%s waits for a writer", what)
				}
			}
		})
	}
}
