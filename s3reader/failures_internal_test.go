//go:build unix

package s3reader

import (
	"io/fs"
	"syscall"
	"testing"
)

// Nothing can be written any more, whatever the object.
func TestFullDiskStops(t *testing.T) {
	for errno, want := range map[syscall.Errno]bool{syscall.ENOSPC: true, syscall.EDQUOT: true, syscall.EROFS: true, syscall.EACCES: false, syscall.EFBIG: false} {
		var f failures
		if got := f.add(&Error{Op: "download", Key: "k", Err: &fs.PathError{Op: "write", Path: "f", Err: errno}}); got != want {
			t.Errorf("%v: stops %v", errno, got)
		}
	}
}
