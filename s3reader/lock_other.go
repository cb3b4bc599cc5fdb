//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package s3reader

import (
	"errors"
	"io/fs"
	"os"
)

func lock(*os.File) error { return errors.ErrUnsupported }

func owned(os.FileInfo) bool { return true }

func single(os.FileInfo) bool { return true }

func keepOwner(_ *os.File, old os.FileInfo) (fs.FileMode, error) { return old.Mode().Perm(), nil }

func diskFull(error) bool { return false }
