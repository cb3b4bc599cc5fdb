// Package partfile writes a file under a temporary name, next to the one that it
// becomes, so that a download that was interrupted can be resumed.
//
// # How it works
//
// The name of the part follows from the target's, so that the next download finds
// it. A lock on the part, which ends with the process, keeps other processes from
// it: a download that does not get the lock, or finds another user's file under
// that name, works under a random name, and leaves nothing that could be resumed.
//
//	.target.crossrole-part:  object's bytes, at their offsets │ journal
//
// The journal (journal.go) begins at the object's size and records which bytes
// have arrived, with their CRCs. Commit cuts it off and renames the part. Only the
// owner can read a part; Commit sets the permissions of the complete file.
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

// ID identifies the version of an object that a part belongs to.
type ID struct {
	Bucket, Key, ETag string
	Size              int64
	Checksum          *crc.Kind // of the parts
}

// File is a partial file. Its methods are not safe for concurrent use, except for
// WriteAt and Add.
type File struct {
	dir          *os.Root
	name, target string
	file         *os.File
	found        bool     // it was there before, and may be of use
	shared       bool     // under the name that the next download looks for
	journal      *journal // nil: none
}

var errLocked = errors.New("the file is locked")

const (
	suffix = ".crossrole-part"
	mode   = 0o600
)

// partName returns a name that is hidden, and short enough for every file system
// that takes the name of the target.
func partName(target, infix string) string {
	if base := "." + target + infix + suffix; len(base) <= 143 { // of eCryptfs
		return base
	}
	sum := sha256.Sum256([]byte(target))
	return "." + hex.EncodeToString(sum[:16]) + infix + suffix
}

// IsName reports whether name, without a directory, is one that this package gives
// to files.
func IsName(name string) bool {
	return strings.HasPrefix(name, ".") && strings.HasSuffix(name, suffix)
}

// ScratchName returns a random name, of which IsName is true, for a file that
// exists for a moment only. The purpose becomes a part of it.
func ScratchName(purpose string) string {
	return "." + purpose + "-" + random() + suffix
}

func random() string { return strings.ToLower(rand.Text()[:8]) }

// Open opens the partial file of target, a slash-separated path in dir. End it with
// Commit, Close or Discard.
func Open(dir *os.Root, target string) (*File, error) {
	at, base := path.Split(target)
	p := &File{dir: dir, target: target, name: at + partName(base, "")}
	for range 10 { // others may come and go meanwhile
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

// try opens and locks the file. It returns nil if that fails, and busy if there is
// no point in trying again.
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
	// The process that had the lock before may have renamed the file, which must
	// then not be written to.
	is, err := f.Stat()
	if err == nil {
		var named os.FileInfo
		if named, err = p.dir.Lstat(p.name); err == nil && os.SameFile(is, named) {
			return f, false, nil
		}
	}
	return nil, false, errors.Join(ignore(err, fs.ErrNotExist), f.Close())
}

// existing opens the file that is there. A link, a file with another name or a
// directory, planted under that name, is removed. It is busy if what is there
// belongs to another user, is a device, or cannot be removed or opened. It
// returns nil if there is nothing any more.
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
	// Should a link have come in between, try sees that it is another file.
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

// Resume returns the parts of the object that the part has, after comparing their
// bytes with their checksums, and goes on with the journal of an earlier download.
// It returns none if there is nothing to resume.
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

// Clear removes what an earlier download has left in the file.
func (p *File) Clear() error {
	if !p.found {
		return nil
	}
	p.found = false
	return p.file.Truncate(0)
}

// Begin makes the file as long as the object and starts a journal, from which a
// later download can resume.
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

// Step returns how many bytes a part should have: for fewer, another line of the
// journal costs more than fetching them again.
func (p *File) Step() int64 { return p.journal.step }

// WriteAt writes bytes of the object.
func (p *File) WriteAt(b []byte, off int64) (int, error) { return p.file.WriteAt(b, off) }

// Found reports whether an earlier download has left the file.
func (p *File) Found() bool { return p.found }

// Shared reports whether the next download to the same target finds this file. If
// not, there is no point in a journal.
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

// KeepOwner gives the file the owner and the group of old, which it replaces, as
// far as the system allows. It returns the permissions for Commit: those of old,
// without those of the group if that could not be kept and others lack them.
func (p *File) KeepOwner(old os.FileInfo) (fs.FileMode, error) { return keepOwner(p.file, old) }

// NewFileMode returns the permissions that the system gives to a new file of dir,
// by umask or by a default ACL.
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

// Commit makes the complete file, of size bytes, the target. It sets the
// permissions and, unless zero, the time of modification. After an error, the file
// is of no use any more: discard it.
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
