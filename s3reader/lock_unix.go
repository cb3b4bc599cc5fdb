//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package s3reader

import (
	"errors"
	"os"
	"syscall"
)

// lock takes f for this process, until f is closed. errLocked means that another
// one has it; any other error that there are no locks.
func lock(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var locked error
	err = conn.Control(func(fd uintptr) {
		for {
			locked = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB)
			if locked != syscall.EINTR {
				return
			}
		}
	})
	switch {
	case err != nil:
		return err
	case locked == syscall.EWOULDBLOCK:
		return errLocked
	}
	return locked
}

// ours reports whether a file belongs to this user and has no second name.
func ours(stat os.FileInfo) bool {
	sys, ok := stat.Sys().(*syscall.Stat_t)
	return !ok || int(sys.Uid) == os.Geteuid() && sys.Nlink == 1
}

// diskFull reports whether nothing more can be written, whatever the name.
func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}
