package s3reader

import (
	"context"
	"io"
	"io/fs"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// directory reads the entries of one directory, page by page, in S3's order: of the
// keys' bytes, where a directory's name ends with a slash. So "a-" comes before the
// directory "a", and an object "a" before both.
type directory struct {
	pages   pages
	nothing bool // not one key so far, not even one that is not shown

	ready []fs.DirEntry // listed, not yet returned

	// files are the names of objects that have been listed and that the name listed
	// last begins with, the shortest first: each hides a directory of its name, which
	// can only come while that is so.
	files []string

	broken error // the listing makes no sense
	hidden int   // keys and prefixes that are no name
	sample string
}

// rest returns all remaining entries. With an error, it returns what is there
// without another request.
func (d *directory) rest(ctx context.Context) ([]fs.DirEntry, error) {
	var err error
	for err == nil && !d.pages.done {
		err = d.fetch(ctx)
	}
	list := d.ready
	d.ready = nil
	return list, err
}

// next returns one entry, or io.EOF.
func (d *directory) next(ctx context.Context) (fs.DirEntry, error) {
	for len(d.ready) == 0 {
		if d.pages.done {
			return nil, io.EOF
		}
		if err := d.fetch(ctx); err != nil {
			return nil, err
		}
	}
	entry := d.ready[0]
	d.ready = d.ready[1:]
	return entry, nil
}

// fetch requests the next page.
func (d *directory) fetch(ctx context.Context) error {
	if d.broken != nil {
		return d.broken
	}
	page, err := d.pages.next(ctx)
	if err == nil {
		err = d.read(page)
		d.broken = err
	}
	if err != nil {
		return d.pages.client.fail("list", d.pages.prefix, err)
	}
	if d.pages.done && d.hidden > 0 {
		d.pages.client.opts.Logger.Warn("s3reader: keys that are no file name are left out of a directory",
			"bucket", d.pages.client.bucket.name, "directory", d.pages.prefix, "keys", d.hidden, "first", d.sample)
	}
	return nil
}

// read adds the entries of a page.
func (d *directory) read(page *s3.ListObjectsV2Output) error {
	for info, err := range d.pages.entries(page) {
		if err != nil {
			return err
		}
		d.nothing = false
		name := strings.TrimPrefix(info.Key, d.pages.prefix)
		for len(d.files) > 0 && !strings.HasPrefix(name, d.files[len(d.files)-1]) {
			d.files = d.files[:len(d.files)-1]
		}
		shown, isDir := strings.CutSuffix(name, "/")
		switch {
		case name == "": // the directory's own marker
			if info.Size > 0 {
				d.hide(info.Key)
			}
		case !isName(shown):
			d.hide(info.Key)
		case !isDir:
			d.ready = append(d.ready, fs.FileInfoToDirEntry(fileInfo{name, info}))
			d.files = append(d.files, name)
		case len(d.files) > 0 && d.files[len(d.files)-1] == shown: // hidden by an object
		default:
			d.ready = append(d.ready, fs.FileInfoToDirEntry(fileInfo{name: shown}))
		}
	}
	return nil
}

func (d *directory) hide(key string) {
	if d.hidden == 0 {
		d.sample = key
	}
	d.hidden++
}

// isName reports whether a directory may show name.
func isName(name string) bool {
	return name != "." && fs.ValidPath(name) && !strings.ContainsAny(name, `/\`)
}

// list begins to list a directory.
func (f *fsys) list(name string) *directory {
	prefix := f.root
	if name != "." {
		prefix += name + "/"
	}
	return &directory{pages: pages{client: f.r.client, prefix: prefix, delimiter: "/"}, nothing: true}
}
