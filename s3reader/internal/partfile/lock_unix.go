//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package partfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// lock locks f for this process until f is closed. It returns errLocked if another process
// has the lock; any other error means that the file system has no locks.
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

// owned reports whether a file belongs to this user.
func owned(stat os.FileInfo) bool {
	sys, ok := stat.Sys().(*syscall.Stat_t)
	return !ok || int(sys.Uid) == os.Geteuid()
}

// single reports whether a file has only one name (hard link).
func single(stat os.FileInfo) bool {
	sys, ok := stat.Sys().(*syscall.Stat_t)
	return !ok || sys.Nlink == 1
}

// keepOwner gives f the owner and the group of old, as far as this user may, and returns the
// permissions to set: those of old. If the group cannot be kept, it gets no more than
// everyone does.
func keepOwner(f *os.File, old os.FileInfo) (fs.FileMode, error) {
	mode := old.Mode().Perm()
	stat, err := f.Stat()
	if err != nil {
		return 0, err
	}
	is, ok := stat.Sys().(*syscall.Stat_t)
	was, known := old.Sys().(*syscall.Stat_t)
	switch {
	case !ok || !known || is.Uid == was.Uid && is.Gid == was.Gid:
	case f.Chown(int(was.Uid), int(was.Gid)) == nil:
	case is.Gid == was.Gid || f.Chown(-1, int(was.Gid)) == nil:
	default:
		mode &^= 0o070 &^ (mode << 3)
	}
	return mode, nil
}

// IsDiskFull reports whether err means that no file can be written: the disk or a quota is
// full, or the disk is read-only.
func IsDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}
