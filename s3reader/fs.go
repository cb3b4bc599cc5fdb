package s3reader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// FS returns the bucket as a file system, for everything that reads an [fs.FS]:
// fs.WalkDir, http.FileServerFS, template.ParseFS. ctx applies to everything that
// is opened through it, because the methods of io/fs have no context. It is safe
// for concurrent use, as are the directories that it opens; for files see [Object].
//
// It also is an fs.StatFS, fs.ReadDirFS, fs.ReadFileFS and fs.SubFS. Its files
// are io.Seeker, io.ReaderAt and io.WriterTo too, with the guarantees of Object.
// The Sys of a file's fs.FileInfo is an *[Info]. Files have the mode 0444 and the
// object's time in whole seconds; directories have the mode 0555, no size, no time
// and no Sys.
//
// # Files and directories
//
//   - The name of a file is its key. A name for which [fs.ValidPath] is false is
//     [BadKey] and fs.ErrInvalid; nothing is cleaned.
//   - "a" is a directory if a key begins with "a/", even if that is only the marker
//     "a/", which is not shown. So is "." in a bucket that exists.
//   - If there is also an object "a", it hides the directory: Open, Stat and
//     ReadFile of "a" are of the object, and ReadDir of the directory above shows
//     the object only. "a/b" can still be opened, and ReadDir and Sub of "a" show
//     what is below it.
//   - ReadDir leaves out keys that are not a path (with a leading or trailing slash,
//     or an empty, "." or ".." element) and names with a backslash, which
//     [testing/fstest] does not allow in a directory. A line to Options.Logger says
//     how many there are. [Reader.List] yields them all.
//
// # Requests
//
//   - Open and Stat of a file make one HEAD request, and if there is no such object
//     also a listing of one key. Open requests no byte of the file.
//   - Read and ReadAt request as much as they have room for and, if they continue an
//     earlier read, at most as much more as that sequence has read so far, up to
//     256 KiB or, for Read, half of the sequence if that is more. After 16 MiB in
//     order, or with WriteTo (io.Copy), all the rest is requested, over several
//     connections if that helps.
//   - So the file server of net/http requests no byte for a 304 or a HEAD request (512
//     bytes if it does not know the type by the name), and little more than the range
//     for a range. It reads 32 KiB at a time: a long range takes several requests.
//   - ReadFile makes one GET request. Neither it nor Open needs permission to list.
//   - ReadDir requests pages of 1,000 names, and describes each file without
//     further requests. fs.ReadDir returns the names sorted. ReadDir of an open
//     directory returns them in the order in which S3 lists them ("a-" before the
//     directory "a") and, with n > 0, requests no more pages than it needs.
//
// # Errors
//
// An error is an *fs.PathError that wraps an *[Error], so errors.Is works with
// fs.ErrNotExist, [NotFound] and everything that [Error] mentions. A request that
// S3 denies is fs.ErrPermission and never fs.ErrNotExist, although there may be no
// such key. An archived object is listed and has a Stat; opening it is [Archived].
func (r *Reader) FS(ctx context.Context) fs.FS { return &fsys{r: r, ctx: ctx} }

// fsys is the file system below a prefix of the bucket.
type fsys struct {
	r    *Reader
	ctx  context.Context // of FS: io/fs passes none
	root string          // the prefix: empty, or with a slash at its end
}

var (
	_ fs.ReadDirFS  = (*fsys)(nil)
	_ fs.StatFS     = (*fsys)(nil)
	_ fs.ReadFileFS = (*fsys)(nil)
	_ fs.SubFS      = (*fsys)(nil)
)

// Open opens a file, or a directory to be read with ReadDir.
func (f *fsys) Open(name string) (fs.File, error) {
	const op = "open"
	key, err := f.key(op, name)
	if err != nil {
		return nil, pathError(op, name, err)
	}
	if name == "." {
		if f.root != "" {
			err = f.rootStat(op)
		}
		if err != nil {
			return nil, pathError(op, name, err)
		}
		return &dir{of: f, name: name}, nil // ReadDir finds out whether there is a bucket
	}
	o, err := openRandom(f.ctx, f.r.client, key, true)
	if err == nil {
		o.random.files = true
		return &file{Object: o, name: name}, nil
	}
	if err := f.directory(op, key, f.r.fail(op, key, err)); err != nil {
		return nil, pathError(op, name, err)
	}
	return &dir{of: f, name: name}, nil
}

// Stat describes a file or directory.
func (f *fsys) Stat(name string) (fs.FileInfo, error) {
	const op = "stat"
	key, err := f.key(op, name)
	switch {
	case err != nil:
	case name == ".":
		err = f.rootStat(op)
	default:
		var info *Info
		if info, err = f.r.headOnly(f.ctx, key); err == nil {
			return fileInfo{name, info}, nil
		}
		err = f.directory(op, key, f.r.fail(op, key, err))
	}
	if err != nil {
		return nil, pathError(op, name, err)
	}
	return fileInfo{name: name}, nil
}

// ReadDir lists a directory, in the order of the names.
func (f *fsys) ReadDir(name string) ([]fs.DirEntry, error) {
	const op = "readdir"
	key, err := f.key(op, name)
	if err != nil {
		return nil, pathError(op, name, err)
	}
	d := f.list(name)
	list, err := d.rest(f.ctx)
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	if err == nil && d.nothing && name != "." {
		err = f.noDirectory(op, key)
	}
	if err != nil {
		return list, pathError(op, name, err)
	}
	return list, nil
}

// ReadFile returns the bytes of a file.
func (f *fsys) ReadFile(name string) ([]byte, error) {
	const op = "read"
	key, err := f.key(op, name)
	switch {
	case err != nil:
	case name == ".":
		err = f.r.fail(op, key, errIsDirectory)
	default:
		var data []byte
		if data, err = f.r.Get(f.ctx, key); err == nil {
			return data, nil
		}
		if errors.Is(err, NotFound) && f.directory(op, key, err) == nil {
			err = f.r.fail(op, key, errIsDirectory)
		}
	}
	return nil, pathError(op, name, err)
}

// Sub returns the file system below a directory. It makes no request.
func (f *fsys) Sub(name string) (fs.FS, error) {
	const op = "sub"
	key, err := f.key(op, name)
	if err != nil {
		return nil, pathError(op, name, err)
	}
	if name == "." {
		return f, nil
	}
	return &fsys{r: f.r, ctx: f.ctx, root: key + "/"}, nil
}

// key returns the key of the object with that name. It fails for an invalid path.
func (f *fsys) key(op, name string) (string, error) {
	key := f.root + name
	switch {
	case !fs.ValidPath(name):
		return "", f.r.fail(op, key, &Error{Kind: BadKey, Err: fmt.Errorf("%q is not a valid path of io/fs (fs.ValidPath), %w: read an object with such a key with Reader.Open", name, fs.ErrInvalid)})
	case name == ".":
		return strings.TrimSuffix(f.root, "/"), nil
	}
	if err := checkKey(key); err != nil {
		return "", f.r.fail(op, key, err)
	}
	return key, nil
}

// rootStat returns an error unless f itself exists.
func (f *fsys) rootStat(op string) error {
	if f.root == "" && f.r.bucketSeen.Load() {
		return nil
	}
	first, err := firstKey(f.ctx, f.r.client, f.root)
	switch {
	case f.root == "" && err != nil && kindOf(err) == AccessDenied:
		return nil // S3 denies access only to a bucket that exists
	case err == nil && first == "" && f.root != "":
		err = notFound("no key begins with %q", f.root)
	}
	if err != nil {
		return f.r.fail(op, strings.TrimSuffix(f.root, "/"), err)
	}
	return nil
}

// directory returns nil if key is a directory. noFile is why it cannot be read as a file:
// that there is none, or that access is denied, as to a role that may read only below it.
func (f *fsys) directory(op, key string, noFile error) error {
	missing := errors.Is(noFile, NotFound)
	if !missing && !errors.Is(noFile, AccessDenied) {
		return noFile
	}
	first, err := firstKey(f.ctx, f.r.client, key+"/")
	switch {
	case first != "":
		return nil
	case err != nil && (missing || kindOf(err) != AccessDenied):
		// It is not known whether it is a directory, or S3 says more about the cause than
		// in response to a HEAD.
		return f.r.fail(op, key, err)
	}
	return noFile
}

// noDirectory returns the error for a directory that was listed and has no key.
func (f *fsys) noDirectory(op, key string) error {
	first, err := firstKey(f.ctx, f.r.client, key)
	switch {
	case err != nil:
	case first == key:
		err = errors.New("is not a directory")
	default:
		err = notFound("no key begins with %q", key+"/")
	}
	return f.r.fail(op, key, err)
}

var errIsDirectory = errors.New("is a directory")

func notFound(format string, a ...any) error {
	return &Error{Kind: NotFound, Err: fmt.Errorf(format, a...)}
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// dir is an open directory. It is safe for concurrent use.
type dir struct {
	of   *fsys
	name string

	mu     sync.Mutex // guards what follows
	list   *directory // nil: not begun
	closed bool
}

var _ fs.ReadDirFile = (*dir)(nil)

func (d *dir) Stat() (fs.FileInfo, error) { return fileInfo{name: d.name}, nil }

func (d *dir) Read([]byte) (int, error) { return 0, d.fail("read", errIsDirectory) }

func (d *dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed, d.list = true, nil
	return nil
}

// ReadDir continues as [fs.ReadDirFile] describes, in S3's order. After an error it
// may be called again, and continues from there.
func (d *dir) ReadDir(n int) ([]fs.DirEntry, error) {
	const op = "readdir"
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, d.fail(op, fs.ErrClosed)
	}
	if d.list == nil {
		d.list = d.of.list(d.name)
	}
	if n <= 0 {
		list, err := d.list.rest(d.of.ctx)
		return list, d.fail(op, err)
	}
	var list []fs.DirEntry
	for len(list) < n {
		entry, err := d.list.next(d.of.ctx)
		if err == io.EOF && len(list) > 0 {
			break
		}
		if err != nil {
			return list, d.fail(op, err)
		}
		list = append(list, entry)
	}
	return list, nil
}

// fail returns err as the caller gets it.
func (d *dir) fail(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	key := d.of.root + d.name
	if d.name == "." {
		key = d.of.root
	}
	return pathError(op, d.name, d.of.r.fail(op, key, err))
}

// file is an open object for io/fs.
type file struct {
	*Object
	name string
}

var (
	_ fs.File           = (*file)(nil)
	_ io.ReadSeekCloser = (*file)(nil)
	_ io.ReaderAt       = (*file)(nil)
	_ io.WriterTo       = (*file)(nil)
)

func (f *file) Stat() (fs.FileInfo, error) {
	info := f.Info()
	return fileInfo{f.name, &info}, nil
}

func (f *file) Read(p []byte) (int, error) {
	n, err := f.Object.Read(p)
	return n, f.pathError("read", err)
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.Object.ReadAt(p, off)
	return n, f.pathError("read", err)
}

func (f *file) WriteTo(w io.Writer) (int64, error) {
	n, err := f.Object.WriteTo(w)
	return n, f.pathError("read", err)
}

func (f *file) Seek(offset int64, whence int) (int64, error) {
	pos, err := f.Object.Seek(offset, whence)
	return pos, f.pathError("seek", err)
}

// pathError wraps err, except for io.EOF and the errors of a writer of WriteTo.
func (f *file) pathError(op string, err error) error {
	if _, ok := errors.AsType[*Error](err); !ok {
		return err
	}
	return pathError(op, f.name, err)
}

// fileInfo describes a file or, without info, a directory.
type fileInfo struct {
	name string // path
	info *Info
}

func (i fileInfo) Name() string   { return path.Base(i.name) }
func (i fileInfo) IsDir() bool    { return i.info == nil }
func (i fileInfo) String() string { return fs.FormatFileInfo(i) }

func (i fileInfo) Size() int64 {
	if i.info == nil {
		return 0
	}
	return i.info.Size
}

func (i fileInfo) Mode() fs.FileMode {
	if i.info == nil {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// ModTime returns whole seconds in UTC: some stores list fractions of a second, which the
// responses to HEAD and GET do not have.
func (i fileInfo) ModTime() time.Time {
	if i.info == nil {
		return time.Time{}
	}
	return i.info.LastModified.UTC().Truncate(time.Second)
}

func (i fileInfo) Sys() any {
	if i.info == nil {
		return nil
	}
	return i.info
}
