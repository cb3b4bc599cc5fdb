// Package partfile writes a file under a temporary name next to its final one, so that an
// interrupted download can be resumed.
//
// # How it works
//
// The name of the part file is derived from the target's, so that the next download finds
// it. A lock on the part file, which ends with the process, keeps other processes out: a
// download that does not get the lock, or finds another user's file under that name, uses
// a random name and cannot be resumed.
//
//	.target.crossrole-part:  object's bytes, at their offsets │ journal
//
// s3reader's download.go opens a part file, resumes it (download.resume) and commits
// it. The journal
// (journal.go) starts at the object's size and records which parts of the object have
// arrived, with their CRCs. Commit truncates it and renames the file. Only the owner can
// read a part file; Commit sets the permissions of the complete file.
package partfile

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/crossrole/crossrole/s3reader/internal/crc"
	"github.com/crossrole/crossrole/s3reader/internal/transfer"
)

// ID identifies the version of an object that a part file belongs to.
type ID struct {
	Bucket, Key, ETag string
	Size              int64
	Checksum          *crc.Kind // of the parts
}

// File is a part file. Its methods are not safe for concurrent use, except for WriteAt and
// Add.
type File struct {
	dir          *os.Root
	name, target string
	file         *os.File
	found        bool     // it existed before, and may be of use
	shared       bool     // it has the name that the next download looks for
	journal      *journal // nil: none
}

var errLocked = errors.New("the file is locked")

const (
	suffix = ".crossrole-part"
	mode   = 0o600
)

// partName returns a hidden name that is short enough for every file system that allows
// the name of the target.
func partName(target, infix string) string {
	if base := "." + target + infix + suffix; len(base) <= 143 { // of eCryptfs
		return base
	}
	sum := sha256.Sum256([]byte(target))
	return "." + hex.EncodeToString(sum[:16]) + infix + suffix
}

// IsName reports whether name, without a directory, is one that this package uses.
func IsName(name string) bool {
	return strings.HasPrefix(name, ".") && strings.HasSuffix(name, suffix)
}

// ScratchName returns a random name for a file that exists only for a moment. The name
// contains purpose, and IsName is true for it.
func ScratchName(purpose string) string {
	return "." + purpose + "-" + random() + suffix
}

func random() string { return strings.ToLower(rand.Text()[:8]) }

// Open opens the part file of target, a slash-separated path in dir. End it with Commit,
// Close or Discard.
func Open(dir *os.Root, target string) (*File, error) {
	at, base := path.Split(target)
	p := &File{dir: dir, target: target, name: at + partName(base, "")}
	for range 10 { // other processes may create and remove the file
		f, busy, err := p.try()
		if err != nil {
			return nil, err
		}
		if f != nil {
			p.file, p.shared = f, true
			return p, nil
		}
		if busy {
			break
		}
	}
	p.name = at + partName(base, "."+random())
	f, err := dir.OpenFile(p.name, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	p.file, p.found = f, false
	return p, nil
}

// try opens and locks the file. It returns nil if that fails; busy reports that another
// attempt would fail too.
func (p *File) try() (_ *os.File, busy bool, _ error) {
	f, err := p.dir.OpenFile(p.name, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	p.found = errors.Is(err, fs.ErrExist)
	if p.found {
		f, busy, err = p.existing()
	}
	if err != nil || f == nil {
		return nil, busy, err
	}
	if err := lock(f); err != nil {
		if !errors.Is(err, errLocked) && !p.found {
			err = p.dir.Remove(p.name) // there are no locks here
		} else {
			err = nil
		}
		return nil, true, errors.Join(err, f.Close())
	}
	// The previous owner of the lock may have renamed the file. Then it must not be written
	// to.
	is, err := f.Stat()
	if err == nil {
		var named os.FileInfo
		if named, err = p.dir.Lstat(p.name); err == nil && os.SameFile(is, named) {
			return f, false, nil
		}
	}
	return nil, false, errors.Join(ignore(err, fs.ErrNotExist), f.Close())
}

// existing opens a file that exists already. It removes a link, a file that has another
// name too, and a directory. busy reports that the file belongs to another user, is a
// device, or cannot be removed or opened. It returns nil if the file is gone.
func (p *File) existing() (_ *os.File, busy bool, _ error) {
	stat, err := p.dir.Lstat(p.name)
	if err != nil {
		return nil, false, ignore(err, fs.ErrNotExist)
	}
	switch stat.Mode().Type() {
	case 0:
		if !owned(stat) {
			return nil, true, nil
		}
		if single(stat) {
			break
		}
		fallthrough
	case fs.ModeSymlink, fs.ModeDir:
		err := ignore(p.dir.Remove(p.name), fs.ErrNotExist)
		return nil, err != nil, nil
	default:
		return nil, true, nil
	}
	// If a link was created in the meantime, try detects that it is another file.
	f, err := p.dir.OpenFile(p.name, os.O_RDWR, 0)
	if err != nil {
		busy = errors.Is(err, fs.ErrPermission)
		if busy {
			err = nil
		}
		return nil, busy, ignore(err, fs.ErrNotExist)
	}
	if stat.Mode().Perm() != mode { // of an earlier version of this package
		if err := f.Chmod(mode); err != nil {
			return nil, false, errors.Join(err, f.Close())
		}
	}
	return f, false, nil
}

// Resume returns the parts of the object that the file has, after comparing their bytes
// with their checksums, and continues the journal of an earlier download. It returns none
// if there is nothing to resume.
func (p *File) Resume(id ID) ([]transfer.Part, error) {
	j, err := newJournal(p.file, id)
	if err != nil {
		return nil, err
	}
	parts, err := j.load()
	if err == nil && len(parts) > 0 {
		p.journal = j
	}
	return parts, err
}

// Clear removes the contents that an earlier download has left.
func (p *File) Clear() error {
	if !p.found {
		return nil
	}
	p.found = false
	return p.file.Truncate(0)
}

// Begin gives the file the object's length and starts a journal, so that a later download
// can resume.
func (p *File) Begin(id ID) error {
	if err := p.file.Truncate(id.Size); err != nil {
		return err
	}
	j, err := newJournal(p.file, id)
	if err != nil {
		return err
	}
	p.journal = j
	j.begin()
	return nil
}

// Add records a part that has been written. Call it after Begin or Resume. Errors
// are ignored: without a journal the download still succeeds.
func (p *File) Add(part transfer.Part) { p.journal.add(part) }

// Step returns how many bytes a part should have at least: for fewer, a line of the journal
// costs more than fetching them again.
func (p *File) Step() int64 { return p.journal.step }

// WriteAt writes bytes of the object.
func (p *File) WriteAt(b []byte, off int64) (int, error) { return p.file.WriteAt(b, off) }

// ReadAt reads bytes of the object that were written before.
func (p *File) ReadAt(b []byte, off int64) (int, error) { return p.file.ReadAt(b, off) }

// Found reports whether an earlier download has left the file.
func (p *File) Found() bool { return p.found }

// Shared reports whether the next download to the same target finds this file. If not, a
// journal is useless.
func (p *File) Shared() bool { return p.shared }

// Useful reports whether the next download may find something to resume.
func (p *File) Useful() bool { return p.shared && (p.found || p.journal.holdsSome()) }

// Size returns how long the file is, in bytes, with the journal.
func (p *File) Size() (int64, error) {
	stat, err := p.file.Stat()
	if err != nil {
		return 0, err
	}
	return stat.Size(), nil
}

// KeepOwner gives the file the owner and the group of old, which it replaces, as far as the
// system allows. It returns the permissions for Commit: those of old. If the group could
// not be kept, it gets no permissions that others lack.
func (p *File) KeepOwner(old os.FileInfo) (fs.FileMode, error) { return keepOwner(p.file, old) }

// NewFileMode returns the permissions of new files in dir, according to the umask or a
// default ACL.
func NewFileMode(dir *os.Root) (fs.FileMode, error) {
	name := ScratchName("mode")
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return 0, err
	}
	stat, err := f.Stat()
	if err = errors.Join(err, f.Close(), dir.Remove(name)); err != nil {
		return 0, err
	}
	return stat.Mode().Perm(), nil
}

// setMode gives a complete file its permissions.
func (p *File) setMode(perm fs.FileMode) error {
	stat, err := p.file.Stat()
	if err != nil || stat.Mode().Perm() == perm { // some file systems have only one mode
		return err
	}
	return p.file.Chmod(perm)
}

func ignore(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}

// Path returns where the file is.
func (p *File) Path() string { return filepath.Join(p.dir.Name(), filepath.FromSlash(p.name)) }

// Commit renames the complete file, of size bytes, to the target. It sets the permissions
// and, unless zero, the modification time. After an error, the file is of no use: call
// Discard.
func (p *File) Commit(size int64, perm fs.FileMode, modified time.Time) error {
	if p.journal != nil {
		if err := p.file.Truncate(size); err != nil {
			return err
		}
	}
	if err := p.setMode(perm); err != nil {
		return err
	}
	if !modified.IsZero() {
		if err := p.dir.Chtimes(p.name, time.Time{}, modified); err != nil {
			return err
		}
	}
	// Before Close, which releases the lock.
	if err := p.dir.Rename(p.name, p.target); err != nil {
		return err
	}
	return p.file.Close()
}

// Close closes the file and keeps it for the next download.
func (p *File) Close() error { return p.file.Close() }

// Discard removes the file.
func (p *File) Discard() error {
	err := ignore(p.dir.Remove(p.name), fs.ErrNotExist)
	return errors.Join(err, p.file.Close())
}
