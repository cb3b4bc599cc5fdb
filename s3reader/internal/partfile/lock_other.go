//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package partfile

import (
	"errors"
	"io/fs"
	"os"
)

func lock(*os.File) error { return errors.ErrUnsupported }

func owned(os.FileInfo) bool { return true }

func single(os.FileInfo) bool { return true }

func keepOwner(_ *os.File, old os.FileInfo) (fs.FileMode, error) { return old.Mode().Perm(), nil }

// IsDiskFull reports whether err means that no file can be written any more.
func IsDiskFull(error) bool { return false }
