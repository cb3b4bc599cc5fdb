package s3reader

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
)

// casefold keeps apart paths that a file system takes for the same, as it does
// not tell upper from lower case.
type casefold struct {
	folds bool
	keys  map[string]string // by folded path; of a directory: of its first object
	dirs  map[string]bool   // folded paths
}

// newCasefold finds out whether the file system of dir folds.
func newCasefold(dir *os.Root) (*casefold, error) {
	name := ".case-" + strings.ToLower(rand.Text()[:8]) + partialSuffix
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
