package s3reader

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"unsafe"
)

var lockFileEx = syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx")

// lock takes f for this process, until f is closed. errLocked means that another
// one has it; any other error that there are no locks.
//
// Locks bind readers and writers on Windows, so it is a byte far behind any data.
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

// diskFull reports whether nothing more can be written, whatever the name.
func diskFull(err error) bool {
	const (
		handleDiskFull = syscall.Errno(39)
		diskFull       = syscall.Errno(112)
		writeProtect   = syscall.Errno(19)
	)
	return errors.Is(err, handleDiskFull) || errors.Is(err, diskFull) || errors.Is(err, writeProtect)
}
