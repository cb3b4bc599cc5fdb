package s3reader

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/crossrole/crossrole/s3reader/internal/partfile"
)

// target is an object that is to become a file.
type target struct {
	info *Info
	path string // below the directory, with slashes
}

// pathConflicts finds objects whose path is also that of a directory. Targets come in the
// order of their paths: "a" before "a/b", but perhaps with others ("a-b") in between.
type pathConflicts struct {
	held []target // each is a prefix of the next, and may still be a directory
}

// add adds a target. It returns the targets that are now known to be files, and those
// that share their path with a directory.
func (s *pathConflicts) add(e target) (files, directories []target) {
	for len(s.held) > 0 {
		last := s.held[len(s.held)-1]
		below := last.path + "/"
		switch {
		case strings.HasPrefix(e.path, below):
			directories = append(directories, last)
		case e.path > below:
			files = append(files, last)
		default:
			s.held = append(s.held, e)
			return files, directories
		}
		s.held = s.held[:len(s.held)-1]
	}
	s.held = append(s.held, e)
	return files, directories
}

// end returns the remaining targets, which are files.
func (s *pathConflicts) end() []target {
	files := s.held
	s.held = nil
	return files
}

// mtimeFor returns the modification time that marks a file as the version of an object
// that info describes: the second in which that was stored, with a hash of the ETag as
// sub-second digits, which distinguish two versions of the same second and size. The unit
// of the digits is one that all file systems with sub-second times keep. It returns zero
// if the object has no time or no ETag.
func mtimeFor(info *Info) time.Time {
	if info.LastModified.IsZero() || info.ETag == "" {
		return time.Time{}
	}
	const unit = 100 * time.Nanosecond // of NTFS
	h := fnv.New64a()
	h.Write([]byte(info.ETag)) // never fails
	digits := time.Duration(h.Sum64()%uint64(time.Second/unit)) * unit
	return info.LastModified.Truncate(time.Second).Add(digits)
}

// maxDirs is how many directories a dirMaker remembers. Objects come in the order of
// their keys, so that those of one directory come soon after one another.
const maxDirs = 1000

// dirMaker creates directories below a root. It remembers the latest ones, so that each is
// created and examined about once. It is safe for concurrent use.
type dirMaker struct {
	root *os.Root

	mu    sync.Mutex             // guards what follows
	dirs  map[string]bool        // known to exist
	modes map[string]fs.FileMode // for new files, by directory
}

// remember adds an entry to a map of directories, which it clears if the map is full.
func remember[V any](m map[string]V, dir string, v V) {
	if len(m) >= maxDirs {
		clear(m)
	}
	m[strings.Clone(dir)] = v // not the complete key
}

// mode returns the permissions for a new file in dir, which is open as at.
func (m *dirMaker) mode(dir string, at *os.Root) (fs.FileMode, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	mode, ok := m.modes[dir]
	if ok {
		return mode, nil
	}
	mode, err := partfile.NewFileMode(at)
	if err == nil {
		remember(m.modes, dir, mode)
	}
	return mode, err
}

// make creates a directory and its parents. It follows no link.
func (m *dirMaker) make(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dirs[dir] {
		return nil
	}
	for at := range parents(dir) {
		if m.dirs[at] {
			continue
		}
		err := m.root.Mkdir(at, 0o777)
		if errors.Is(err, fs.ErrExist) {
			err = m.isDir(at)
		}
		if err != nil {
			return err
		}
		remember(m.dirs, at, true)
	}
	return nil
}

// parents yields "a", "a/b" and "a/b/c" for "a/b/c".
func parents(dir string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i, c := range dir {
			if c == '/' && !yield(dir[:i]) {
				return
			}
		}
		yield(dir)
	}
}

func (m *dirMaker) isDir(at string) error {
	stat, err := m.root.Lstat(at)
	if err != nil || stat.IsDir() {
		return err
	}
	what := "a file"
	if stat.Mode()&fs.ModeSymlink != 0 {
		what = "a link, which is not followed"
	}
	return fmt.Errorf("%s is %s: remove it, or choose another directory: %w", filepath.Join(m.root.Name(), filepath.FromSlash(at)), what, fs.ErrExist)
}

// workDir is the directory that a worker writes to. It stays open for the next object,
// which is usually in the same directory: objects come in the order of their keys.
type workDir struct {
	dir string
	at  *os.Root // nil: none
}

// enter opens dir, which may end with a slash; the root if it is empty.
func (s *workDir) enter(m *dirMaker, dir string) (*os.Root, error) {
	dir = strings.TrimSuffix(dir, "/")
	if dir == "" {
		return m.root, nil
	}
	if s.at != nil && s.dir == dir {
		return s.at, nil
	}
	s.leave()
	if err := m.make(dir); err != nil {
		return nil, err
	}
	at, err := m.root.OpenRoot(path.Clean(dir))
	if err != nil {
		return nil, err
	}
	s.dir, s.at = dir, at
	return at, nil
}

func (s *workDir) leave() {
	if s.at != nil {
		_ = s.at.Close() // nothing was written through it
		s.at = nil
	}
}
