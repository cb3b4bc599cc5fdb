package s3reader

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
)

// partial is a file on its way to become another one in the same directory. Its
// bytes are the object's, at the same offsets; behind them, from the object's
// size on, may stand a journal. Only its owner can read it until it is whole.
//
// Its name follows from the other's, so that the next download finds it. Only
// the holder of the lock uses it. A download that does not get the lock, or finds
// another user's file under that name, works under a random name, and leaves
// nothing behind that could be resumed.
type partial struct {
	dir          *os.Root
	name, target string
	file         *os.File
	found        bool // it was there before, and may be of use
	shared       bool // under the name that the next download looks for
}

var errLocked = errors.New("s3reader: the file is locked")

const (
	partialSuffix = ".crossrole-part"
	partialMode   = 0o600
)

// partialName is hidden, and short enough for every file system that takes the
// name of the target.
func partialName(target, infix string) string {
	if base := "." + target + infix + partialSuffix; len(base) <= 143 { // of eCryptfs
		return base
	}
	sum := sha256.Sum256([]byte(target))
	return "." + hex.EncodeToString(sum[:16]) + infix + partialSuffix
}

func isPartialName(name string) bool {
	return strings.HasPrefix(name, ".") && strings.HasSuffix(name, partialSuffix)
}

// openPartial opens the partial file of target, a slash-separated path in dir.
func openPartial(dir *os.Root, target string) (*partial, error) {
	at, base := path.Split(target)
	p := &partial{dir: dir, target: target, name: at + partialName(base, "")}
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
	p.name = at + partialName(base, "."+strings.ToLower(rand.Text()[:8]))
	f, err := dir.OpenFile(p.name, os.O_RDWR|os.O_CREATE|os.O_EXCL, partialMode)
	if err != nil {
		return nil, err
	}
	p.file, p.found = f, false
	return p, nil
}

// try opens and locks the file. It is busy if there is no point in trying again.
func (p *partial) try() (_ *os.File, busy bool, _ error) {
	f, err := p.dir.OpenFile(p.name, os.O_RDWR|os.O_CREATE|os.O_EXCL, partialMode)
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
	// Whoever had the lock before may have renamed the file, which must then not
	// be written to.
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
func (p *partial) existing() (_ *os.File, busy bool, _ error) {
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
	if stat.Mode().Perm() != partialMode { // of an earlier version of this package
		if err := f.Chmod(partialMode); err != nil {
			return nil, false, errors.Join(err, f.Close())
		}
	}
	return f, false, nil
}

// newFileMode is the permissions that the system gives to a new file of dir, by
// umask or by a default ACL.
func newFileMode(dir *os.Root) (fs.FileMode, error) {
	name := ".mode-" + strings.ToLower(rand.Text()[:8]) + partialSuffix
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
func (p *partial) setMode(mode fs.FileMode) error {
	stat, err := p.file.Stat()
	if err != nil || stat.Mode().Perm() == mode { // all that some file systems have
		return err
	}
	return p.file.Chmod(mode)
}

func ignore(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}

func (p *partial) path() string { return filepath.Join(p.dir.Name(), filepath.FromSlash(p.name)) }

// commit makes the file the target, with that time of modification unless zero.
func (p *partial) commit(modified time.Time) error {
	if !modified.IsZero() {
		if err := p.dir.Chtimes(p.name, time.Time{}, modified); err != nil {
			return err
		}
	}
	// Renamed before it is closed, and the lock lost.
	if err := p.dir.Rename(p.name, p.target); err != nil {
		return err
	}
	return p.file.Close()
}

// discard removes the file.
func (p *partial) discard() error {
	err := ignore(p.dir.Remove(p.name), fs.ErrNotExist)
	return errors.Join(err, p.file.Close())
}
