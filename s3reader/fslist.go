package s3reader

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// entries are those of one directory, in the order of their names. S3 compares
// keys, where a directory's name ends with a slash: it lists "a-" before "a/",
// while the name "a" comes before "a-".
type entries struct {
	pages   pages
	nothing bool // not one key so far, be it one that is not shown

	ready  []fs.DirEntry // listed, not yet given out
	sorted bool
	last   string // name that was listed last, a directory's with its slash

	// settled are names of which a directory that is still to be listed is not
	// news: they were given out, or it was asked for.
	settled map[string]bool
	probes  int // since the last page

	broken error // the listing makes no sense
	hidden int   // keys and prefixes that are no name
	sample string
}

// maxProbes bounds what a name like "1-2-3-4-…" may cost: beyond that, its turn
// is found out by listing on.
const maxProbes = 8

// rest gives out all that is left. With an error, it is what can be given out
// without another request.
func (e *entries) rest(ctx context.Context) ([]fs.DirEntry, error) {
	var err error
	for err == nil && !e.pages.done {
		err = e.fetch(ctx)
	}
	var list []fs.DirEntry
	for entry := e.take(); entry != nil; entry = e.take() {
		list = append(list, entry)
	}
	return list, err
}

// next gives out one entry, or io.EOF.
func (e *entries) next(ctx context.Context) (fs.DirEntry, error) {
	for {
		if entry := e.take(); entry != nil {
			return entry, nil
		}
		var err error
		switch {
		case len(e.ready) > 0 && e.probes < maxProbes:
			err = e.probe(ctx, e.awaited(e.ready[0].Name()))
		case e.pages.done:
			return nil, io.EOF
		default:
			err = e.fetch(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
}

// take gives out the entry whose turn it is; nil if that is not known.
func (e *entries) take() fs.DirEntry {
	if !e.sorted {
		// Stable: an object is listed before the directory of its name, and wins.
		slices.SortStableFunc(e.ready, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
		e.sorted = true
	}
	if len(e.ready) == 0 || e.awaited(e.ready[0].Name()) != "" {
		return nil
	}
	entry := e.ready[0]
	name := entry.Name()
	for len(e.ready) > 0 && e.ready[0].Name() == name {
		e.ready = e.ready[1:]
	}
	if e.toCome(name) {
		e.settle(name)
	}
	return entry
}

// awaited is a directory that comes before name and may still be listed; empty
// if there is none. Its name is the beginning of this one: were it not, S3 would
// have listed it before.
func (e *entries) awaited(name string) string {
	for i := 1; i < len(name); i++ {
		if name[i] < '/' && e.toCome(name[:i]) && !e.settled[name[:i]] && isName(name[:i]) {
			return name[:i]
		}
	}
	return ""
}

// toCome reports whether a directory could still be listed, given that what begins
// with its name and goes on below a slash was.
func (e *entries) toCome(name string) bool {
	return !e.pages.done && strings.HasPrefix(e.last, name) && (len(e.last) == len(name) || e.last[len(name)] < '/')
}

func (e *entries) settle(name string) {
	if e.settled == nil {
		e.settled = map[string]bool{}
	}
	e.settled[name] = true
}

// probe asks for a directory that may still be listed, much further on.
func (e *entries) probe(ctx context.Context, name string) error {
	e.probes++
	first, err := e.pages.r.firstKey(ctx, e.pages.prefix+name+"/")
	if err != nil {
		return e.pages.r.fail("list", e.pages.prefix, err)
	}
	if first != "" {
		e.add(fileInfo{name: name})
	}
	e.settle(name)
	return nil
}

func (e *entries) add(info fileInfo) {
	e.ready = append(e.ready, fs.FileInfoToDirEntry(info))
	e.sorted = false
}

// fetch asks for the next page.
func (e *entries) fetch(ctx context.Context) error {
	if e.broken != nil {
		return e.broken
	}
	page, err := e.pages.next(ctx)
	if err == nil {
		err = e.read(page)
		e.broken = err
	}
	if err != nil {
		return e.pages.r.fail("list", e.pages.prefix, err)
	}
	e.probes = 0
	for name := range e.settled {
		if !e.toCome(name) {
			delete(e.settled, name)
		}
	}
	if e.pages.done && e.hidden > 0 {
		e.pages.r.opts.Logger.Warn("s3reader: keys that are no file name are left out of a directory",
			"bucket", e.pages.r.bucket.name, "directory", e.pages.prefix, "keys", e.hidden, "first", e.sample)
	}
	return nil
}

func (e *entries) read(page *s3.ListObjectsV2Output) error {
	prefix := e.pages.prefix
	var files, dirs string // listed last of this page
	for i := range page.Contents {
		info, err := infoFromListing(&page.Contents[i], page.EncodingType)
		if err != nil {
			return err
		}
		name, ok := strings.CutPrefix(info.Key, prefix)
		if !ok || strings.Contains(name, "/") || i > 0 && name <= files {
			return outOfPlace(info.Key)
		}
		files = name
		switch {
		case isName(name):
			e.add(fileInfo{name, info})
		case name != "" || info.Size > 0: // else the directory's own marker
			e.hide(info.Key)
		}
	}
	for i := range page.CommonPrefixes {
		key, err := decodeKey(page.CommonPrefixes[i].Prefix, page.EncodingType)
		if err != nil {
			return err
		}
		listed, ok := strings.CutPrefix(key, prefix)
		name, isDir := strings.CutSuffix(listed, "/")
		if !ok || !isDir || strings.Contains(name, "/") || i > 0 && listed <= dirs {
			return outOfPlace(key)
		}
		dirs = listed
		switch {
		case !isName(name):
			e.hide(key)
		case !e.settled[name]:
			e.add(fileInfo{name: name})
		}
	}
	if len(page.Contents)+len(page.CommonPrefixes) > 0 {
		e.nothing = false
		e.last = max(files, dirs)
		e.pages.last = prefix + e.last
	}
	return nil
}

func outOfPlace(key string) error {
	return fmt.Errorf("the listing has %q, which does not belong there", key)
}

func (e *entries) hide(key string) {
	if e.hidden == 0 {
		e.sample = key
	}
	e.hidden++
}

// isName reports whether a directory may show name.
func isName(name string) bool {
	return name != "." && fs.ValidPath(name) && !strings.ContainsAny(name, `/\`)
}

// entries begins to list a directory.
func (f *fsys) entries(name string) *entries {
	prefix := f.root
	if name != "." {
		prefix += name + "/"
	}
	return &entries{pages: pages{r: f.r, prefix: prefix, delimiter: "/"}, nothing: true}
}
