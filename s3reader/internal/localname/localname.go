// Package localname decides which keys of a bucket can become paths of files below
// a directory.
package localname

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	pathpkg "path"
	"strings"
	"unicode/utf8"

	"github.com/crossrole/crossrole/s3reader/internal/partfile"
)

// maxName is the limit of nearly all file systems for the name of a file, in bytes.
const maxName = 255

// Check returns why path, the key of an object without a prefix, cannot be the path of a
// file; "" if it can. Windows allows fewer names.
func Check(path string, windows bool) string {
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
			reason = fmt.Sprintf("it has an element of %d bytes, file systems allow %d", len(name), maxName)
		case !utf8.ValidString(name):
			reason = "it is not UTF-8"
		case partfile.IsName(name):
			reason = "the name is reserved for part files"
		case windows:
			reason = notWindows(name)
		}
		if reason != "" {
			return reason
		}
	}
	return ""
}

// notWindows returns why name cannot be the name of a file on Windows
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

// Conflicts finds paths that differ only in case and are the same to a file system. It is
// not safe for concurrent use.
type Conflicts struct {
	folds bool
	keys  map[string]string // by folded path; of a directory: of its first object
	dirs  map[string]bool   // folded paths
}

// NewConflicts returns an empty set of paths. folds reports whether the file system ignores
// case.
func NewConflicts(folds bool) *Conflicts {
	return &Conflicts{folds: folds, keys: map[string]string{}, dirs: map[string]bool{}}
}

// Folds reports whether the file system of dir ignores case. To find out, it creates a file
// and removes it.
func Folds(dir *os.Root) (bool, error) {
	name := partfile.ScratchName("case")
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, err
	}
	_, err = dir.Lstat(strings.ToUpper(name))
	folds := err == nil
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return folds, errors.Join(err, f.Close(), dir.Remove(name))
}

// Add adds the path of the object with that key. It returns why the path conflicts with an
// earlier one; "" if it does not.
func (c *Conflicts) Add(path, key string) string {
	if !c.folds {
		return ""
	}
	folded := fold(path)
	if other, ok := c.keys[folded]; ok {
		return fmt.Sprintf("on this file system, which ignores case, its path is that of %q", other)
	}
	for dir := pathpkg.Dir(folded); dir != "."; dir = pathpkg.Dir(dir) {
		if other, ok := c.keys[dir]; ok && !c.dirs[dir] {
			return fmt.Sprintf("on this file system, which ignores case, its directory is the file of %q", other)
		}
		c.keys[dir], c.dirs[dir] = key, true
	}
	c.keys[folded] = key
	return ""
}

// fold maps paths that differ only in case to the same string.
func fold(s string) string { return strings.ToLower(strings.ToUpper(s)) }
