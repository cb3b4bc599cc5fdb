package partfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"unsafe"
)

var lockFileEx = syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx")

// lock locks f for this process until f is closed. It returns errLocked if another process
// has the lock; any other error means that the file system has no locks.
//
// On Windows, other processes can neither read nor write locked bytes, so the lock covers a
// single byte far beyond the data.
func lock(f *os.File) error {
	const (
		exclusive = 2 // LOCKFILE_EXCLUSIVE_LOCK
		now       = 1 // LOCKFILE_FAIL_IMMEDIATELY
		violation = syscall.Errno(33)
	)
	at := syscall.Overlapped{OffsetHigh: 1 << 30}
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var locked error
	err = conn.Control(func(fd uintptr) {
		if ok, _, errno := lockFileEx.Call(fd, exclusive|now, 0, 1, 0, uintptr(unsafe.Pointer(&at))); ok == 0 {
			locked = errno
		}
	})
	switch {
	case err != nil:
		return err
	case locked == violation:
		return errLocked
	}
	return locked
}

func owned(os.FileInfo) bool { return true }

func single(os.FileInfo) bool { return true }

func keepOwner(_ *os.File, old os.FileInfo) (fs.FileMode, error) { return old.Mode().Perm(), nil }

// IsDiskFull reports whether err means that no file can be written: the disk is full or
// read-only.
func IsDiskFull(err error) bool {
	const (
		handleDiskFull = syscall.Errno(39)
		diskFull       = syscall.Errno(112)
		writeProtect   = syscall.Errno(19)
	)
	return errors.Is(err, handleDiskFull) || errors.Is(err, diskFull) || errors.Is(err, writeProtect)
}
