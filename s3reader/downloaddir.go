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
	// Concurrency is how many objects are fetched at the same time. 0:
	// Options.Concurrency or, if that is 0 too, 8 at first and, as long as more are
	// faster, up to 64.
	Concurrency int

	// Include, if set, reports whether an object is fetched. It is called in the
	// order of the listing, by one goroutine at a time. nil: all are.
	Include func(*Info) bool

	// Progress, if set, is called for all objects of this call together, as
	// Options.Progress is: Key is the prefix, and Total grows while the listing
	// continues. nil: Options.Progress.
	Progress func(Progress)

	// Each, if set, is called with the outcome of each object, in the order in which
	// they finish. It is called by one goroutine at a time, and the other objects wait
	// for it.
	Each func(Outcome)
}

// Outcome reports what DownloadDir did with one object.
type Outcome struct {
	Info      *Info  // from the listing or, once it was fetched, of the object
	Path      string // of the file; empty if the object was skipped
	Unchanged bool   // the file was there already
	Skipped   string // why the key cannot be the name of a file; empty: it can
	Err       error  // why it was not fetched, an *Error; nil: it was, or was skipped
}

// Summary reports what DownloadDir did.
type Summary struct {
	Files     int       // in place now
	Unchanged int       // of these, how many were there already
	Bytes     int64     // of all Files
	Skipped   []Skipped // in the order of the listing
}

// Skipped is an object that DownloadDir left out, because its key cannot be the
// name of a file.
type Skipped struct{ Key, Reason string }

// DownloadDir writes every object under prefix to a file below dir, which is created
// if it does not exist. A prefix is a directory of the bucket: "a" means the same as
// "a/", and does not include "ab/c"; an empty prefix means the complete bucket. The
// rest of the key is the file's path.
//
// # Keys
//
// Nothing is written outside dir, and no link below it is followed. Only a regular
// file is replaced; anything else with the file's name is an error of that object.
//
// A key that cannot be the path of a file is skipped and reported in the Summary: one
// with an empty element, "." or "..", a backslash, a NUL, bytes that are not UTF-8,
// an element of more than 255 bytes, a name that this package uses for parts, or a
// slash at its end. On Windows these are also keys with the name of a device, with a
// dot or space at the end of an element, or with a character that is not allowed.
// An object "a" is skipped if there is also an object "a/b". If the file system does
// not distinguish upper and lower case, so is an object whose path differs from an
// earlier one only in that. Keys are compared as S3 lists them.
//
// # Files
//
// Each file is written as DownloadFile does, including parts and permissions. Its
// modification time is set to the object's, with sub-second digits derived from the
// ETag. By these and the size, a later call recognizes a file that is up to date and
// does not fetch it again. So a call that was interrupted continues where it stopped,
// and repeating a complete one fetches what has changed. A file that has been written
// to is fetched again. Files without an object are left alone.
//
// # Errors
//
// If an object cannot be fetched, the others still are. The error joins those of all
// objects (the first 100, in the order of keys); the Summary, which is never nil,
// reports what was fetched. The call ends early if ctx ends, if the listing fails, if
// there is no such bucket or it is in another region, if the disk is full or cannot
// be written, or if 100 consecutive objects fail for reasons that are not their own.
//
// An object that is overwritten after it was listed is described again, and fetched
// in its new version if Include still accepts it.
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
	if e, ok := errors.AsType[*Error](err); ok && e.Op == "" { // of Progress
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
