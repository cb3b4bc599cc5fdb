//go:build unix

package partfile_test

import (
	"io/fs"
	"syscall"
	"testing"

	"github.com/crossrole/crossrole/s3reader/internal/partfile"
)

func TestIsDiskFull(t *testing.T) {
	for errno, want := range map[syscall.Errno]bool{syscall.ENOSPC: true, syscall.EDQUOT: true, syscall.EROFS: true, syscall.EACCES: false, syscall.EFBIG: false} {
		if got := partfile.IsDiskFull(&fs.PathError{Op: "write", Path: "f", Err: errno}); got != want {
			t.Errorf("%v: %v", errno, got)
		}
	}
}
