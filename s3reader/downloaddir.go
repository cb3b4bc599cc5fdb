package s3reader

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// DirOptions of [Reader.DownloadDir]. The zero value is ready to use.
type DirOptions struct {
	// Concurrency is how many objects are fetched at a time. 0:
	// Options.Concurrency or, if that is 0 too, 8 at first and then, as long as
	// that pays, up to 64.
	Concurrency int

	// Include, if set, says which objects are fetched. It is called in the order
	// of the listing, from one goroutine at a time.
	Include func(*Info) bool

	// Progress, if set, is called for all objects of this call together, as
	// Options.Progress is: Key is the prefix, and Total grows while the listing
	// continues. nil: Options.Progress.
	Progress func(Progress)

	// Each, if set, is called with the outcome of each object, in the order in which that
	// turns out. It is called by one goroutine at a time, and the next object
	// waits for it.
	Each func(Outcome)
}

// Outcome is what became of one object.
type Outcome struct {
	Info      *Info  // of the listing or, once it was fetched, of the object
	Path      string // of the file; empty if Skipped is not
	Unchanged bool   // the file was there already
	Skipped   string // why the key cannot be a local name
	Err       error  // why it was not fetched
}

// Summary of a [Reader.DownloadDir].
type Summary struct {
	Files     int   // that are in place now
	Unchanged int   // of these, were there already
	Bytes     int64 // of all Files
	Skipped   []Skipped
}

// Skipped is an object that DownloadDir left out, as its key cannot be the name
// of a file.
type Skipped struct{ Key, Reason string }

// DownloadDir writes every object under prefix to a file below dir, which is made
// if need be. A prefix is a directory of the bucket: "a" means the same as "a/",
// and not "ab/c"; empty, it means the whole bucket. The rest of the key is the
// file's path.
//
// # What becomes of keys
//
// Nothing is written outside dir, and no link in it is followed. Where a file
// goes, only a regular file is replaced: anything else of that name is the
// object's error. A key that is
// no path of a file is left out and reported in the Summary: one that has an
// empty element, "." or "..", a backslash or a NUL, what is not UTF-8, an element of more than 255
// bytes, a name that this package gives to parts, or ends with a slash; on
// Windows also one with a device's name, a dot or space at an end, or a character
// that is not allowed. So
// is an object "a" if there is one "a/b" as well, and, where the file system does
// not tell upper from lower case, any object whose path differs from an earlier
// one only by that. Keys are compared as S3 lists them.
//
// # Files
//
// Each file is written as DownloadFile does, parts and permissions included. Its
// time of modification becomes that of the object, with digits made of the ETag
// below the second. A later call recognises by these and the size that a file is
// the object already, and does not fetch it again: a call that was interrupted
// goes on where it stopped, and repeating a complete one fetches what has
// changed. A file that was written to meanwhile is fetched again. Files of which
// there is no object are left alone.
//
// # Errors
//
// An object that cannot be fetched does not keep the others from it; the error
// joins those of all objects (the first 100 that occurred, in the order of keys),
// and Summary, which is never nil, reports what was fetched. The call ends early if
// its context or the listing does, if there is no such bucket or it is in another
// region, if the disk is full or cannot be written, or if 100 objects in a row fail
// for reasons that are not theirs.
//
// An object that is overwritten after it was listed is looked at anew, and
// fetched as it is then if Include still wants it.
func (r *Reader) DownloadDir(ctx context.Context, prefix, dir string, optFns ...func(*DirOptions)) (*Summary, error) {
	const op = "download"
	opts, err := optionsOf(optFns)
	if err == nil && opts.Progress == nil {
		opts.Progress = r.opts.Progress
	}
	switch {
	case err != nil:
		return &Summary{}, r.fail(op, prefix, err)
	case dir == "":
		return &Summary{}, r.fail(op, prefix, errors.New(`the directory is empty: give its path, or "." for the current one`))
	case opts.Concurrency < 0:
		return &Summary{}, r.fail(op, prefix, fmt.Errorf("DirOptions.Concurrency %d is negative: leave it 0 to have it chosen", opts.Concurrency))
	}
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	root, err := openDir(dir)
	if err != nil {
		return &Summary{}, r.fail(op, prefix, err)
	}
	defer root.Close()
	t := newTree(r, prefix, root, opts)
	err = t.reporter.during(ctx, t.run)
	if e, ok := err.(*Error); ok && e.Op == "" { // of Progress
		err = r.fail(op, prefix, e)
	}
	return &t.summary, err
}

func openDir(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	return openRoot(dir)
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
