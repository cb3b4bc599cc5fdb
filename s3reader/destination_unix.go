//go:build unix

package s3reader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// openStream opens a named pipe or a character device for writing. It does not wait for
// a pipe's reader, and neither creates nor truncates a file.
func openStream(dir *os.Root, name string) (*os.File, error) {
	f, err := dir.OpenFile(name, os.O_WRONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	if err := blocking(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// blocking makes writes to f block if Go's poller does not support f.
func blocking(f *os.File) error {
	if !errors.Is(f.SetWriteDeadline(time.Time{}), os.ErrNoDeadline) {
		return nil
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := conn.Control(func(fd uintptr) { failed = syscall.SetNonblock(int(fd), false) }); err != nil {
		return err
	}
	return failed
}

// noReader reports whether an open failed because the pipe has no reader.
func noReader(err error) bool { return errors.Is(err, syscall.ENXIO) }

// duplicate returns an open file of this process under another descriptor.
func duplicate(fd int, path string) (*os.File, error) {
	syscall.ForkLock.RLock()
	own, err := syscall.Dup(fd)
	if err == nil {
		syscall.CloseOnExec(own)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(own), path), nil
}

// trusted returns an error for a link or pipe of another user in a directory that
// everyone may write to, as Linux does with fs.protected_symlinks and
// fs.protected_fifos (https://docs.kernel.org/admin-guide/sysctl/fs.html).
func trusted(dir *os.Root, stat os.FileInfo) error {
	of, err := dir.Stat(".")
	if err != nil {
		return err
	}
	const shared = fs.ModeSticky | 0o002
	own, ok := stat.Sys().(*syscall.Stat_t)
	parent, known := of.Sys().(*syscall.Stat_t)
	if of.Mode()&shared != shared || !ok || !known || int(own.Uid) == os.Geteuid() || own.Uid == parent.Uid {
		return nil
	}
	return fmt.Errorf("%s belongs to user %d, in a directory in which everyone may write: give another path", filepath.Join(dir.Name(), stat.Name()), own.Uid)
}

// checkWriterAt fails if f cannot be written at offsets: a pipe, a terminal, a file that
// was opened only for reading. It writes nothing.
func checkWriterAt(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := conn.Control(func(fd uintptr) { _, failed = syscall.Pwrite(int(fd), nil, 0) }); err != nil {
		return err
	}
	return failed
}
