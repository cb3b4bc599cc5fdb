//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package s3reader

import (
	"errors"
	"os"
)

func lock(*os.File) error { return errors.ErrUnsupported }

func ours(os.FileInfo) bool { return true }

func diskFull(error) bool { return false }
