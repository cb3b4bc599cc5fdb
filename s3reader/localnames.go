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
	"unicode/utf8"

	"github.com/crossrole/crossrole/s3reader/internal/partfile"
)

// maxName is the longest name of a file, in bytes, on nearly all file systems.
const maxName = 255

// notLocal says why the path of an object in the bucket's directory cannot be
// that of a file; empty if it can.
func notLocal(path string, windows bool) string {
	switch {
	case path == "" || strings.HasSuffix(path, "/"):
		return "it ends with a slash, as a marker of a directory does"
	case strings.HasPrefix(path, "/"):
		return "it is an absolute path below the prefix"
	}
	for name := range strings.SplitSeq(path, "/") {
		reason := ""
		switch {
		case name == "":
			reason = "it has two slashes in a row"
		case name == "." || name == "..":
			reason = fmt.Sprintf("it has the element %q", name)
		case strings.ContainsRune(name, '\\'):
			reason = "it has a backslash, which separates directories on Windows"
		case strings.ContainsRune(name, 0):
			reason = "it has a NUL"
		case len(name) > maxName:
			reason = fmt.Sprintf("it has an element of %d bytes, file systems take %d", len(name), maxName)
		case !utf8.ValidString(name):
			reason = "it is not UTF-8"
		case partfile.IsName(name):
			reason = "the name is one of those that parts of files have"
		case windows:
			reason = notWindows(name)
		}
		if reason != "" {
			return reason
		}
	}
	return ""
}

// notWindows says why a name cannot be that of a file on Windows
// (https://learn.microsoft.com/windows/win32/fileio/naming-a-file).
func notWindows(name string) string {
	if i := strings.IndexFunc(name, func(c rune) bool { return c < ' ' || strings.ContainsRune(`<>:"|?*`, c) }); i >= 0 {
		return fmt.Sprintf("it has a %q, which Windows does not allow", name[i])
	}
	if strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") {
		return "it has an element that ends with a dot or a space, which Windows removes"
	}
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	device := false
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		device = true
	}
	for _, kind := range []string{"COM", "LPT"} {
		if n, ok := strings.CutPrefix(base, kind); ok && utf8.RuneCountInString(n) == 1 && strings.Contains("0123456789¹²³", n) {
			device = true
		}
	}
	if device {
		return fmt.Sprintf("%q is the name of a device on Windows", name)
	}
	return ""
}

// casefold keeps apart paths that a file system takes for the same, as it does
// not tell upper from lower case.
type casefold struct {
	folds bool
	keys  map[string]string // by folded path; of a directory: of its first object
	dirs  map[string]bool   // folded paths
}

// newCasefold finds out whether the file system of dir folds.
func newCasefold(dir *os.Root) (*casefold, error) {
	name := partfile.ScratchName("case")
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = dir.Lstat(strings.ToUpper(name))
	c := &casefold{folds: err == nil, keys: map[string]string{}, dirs: map[string]bool{}}
	if isMissing(err) {
		err = nil
	}
	return c, errors.Join(err, f.Close(), dir.Remove(name))
}

// clash says why a path cannot be used besides the earlier ones; empty if it can.
func (c *casefold) clash(e entry) string {
	if !c.folds {
		return ""
	}
	folded := fold(e.path)
	if other, ok := c.keys[folded]; ok {
		return fmt.Sprintf("the file system takes its name for that of %q", other)
	}
	for dir := path.Dir(folded); dir != "."; dir = path.Dir(dir) {
		if other, ok := c.keys[dir]; ok && !c.dirs[dir] {
			return fmt.Sprintf("the file system takes its directory for the file of %q", other)
		}
		c.keys[dir], c.dirs[dir] = e.info.Key, true
	}
	c.keys[folded] = e.info.Key
	return ""
}

// fold maps paths that differ in case only to the same.
func fold(s string) string { return strings.ToLower(strings.ToUpper(s)) }

// entry is an object that is to become a file.
type entry struct {
	info *Info
	path string // below the directory, with slashes
}

// shadow finds the objects whose path is a directory's as well. Entries come in
// the order of their paths, so that "a" comes before "a/b"; but other entries
// ("a-b") may stand between them.
type shadow struct {
	held []entry // each is a prefix of the next, and may yet turn out to be a directory
}

// add takes an entry and returns those that are known to be files now, and those
// that share their path with a directory.
func (s *shadow) add(e entry) (files, directories []entry) {
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

// end returns what is left, all of it files.
func (s *shadow) end() []entry {
	files := s.held
	s.held = nil
	return files
}

// signature is the time of modification by which a file is recognised to be the
// version of an object that info describes: the second in which that was stored,
// and below it a hash of the ETag, in units that every file system with such
// digits keeps. Two versions of one second and one length are told apart by
// these. It is zero if the object has no time or no ETag.
func signature(info *Info) time.Time {
	if info.LastModified.IsZero() || info.ETag == "" {
		return time.Time{}
	}
	const unit = 100 * time.Nanosecond // of NTFS
	h := fnv.New64a()
	h.Write([]byte(info.ETag)) // never fails
	digits := time.Duration(h.Sum64()%uint64(time.Second/unit)) * unit
	return info.LastModified.Truncate(time.Second).Add(digits)
}

// made makes the directories below a root, each of them once. It is safe for
// concurrent use.
type made struct {
	root *os.Root
	mu   sync.Mutex
	dirs map[string]bool

	modes map[string]fs.FileMode // of new files, by directory
}

// mode is the permissions of a new file of a directory, which is at.
func (m *made) mode(dir string, at *os.Root) (fs.FileMode, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	mode, ok := m.modes[dir]
	if ok {
		return mode, nil
	}
	mode, err := partfile.NewFileMode(at)
	if err == nil {
		m.modes[dir] = mode
	}
	return mode, err
}

// make makes a directory and those above it. One that is a link already is not
// followed.
func (m *made) make(dir string) error {
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
		m.dirs[at] = true
	}
	return nil
}

// parents yields "a", "a/b", "a/b/c" of "a/b/c".
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

func (m *made) isDir(at string) error {
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

// seat is the directory that a worker writes to. Objects come in the order of
// their keys, so that the next is mostly in the same.
type seat struct {
	dir string
	at  *os.Root // nil: none
}

// enter returns the directory, which may end with a slash; empty: the root.
func (s *seat) enter(m *made, dir string) (*os.Root, error) {
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

func (s *seat) leave() {
	if s.at != nil {
		_ = s.at.Close() // nothing was written through it
		s.at = nil
	}
}
