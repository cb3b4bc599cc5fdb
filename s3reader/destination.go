package s3reader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Where DownloadFile writes to: a regular file is replaced when the object is complete;
// a pipe, a device or an open file is written to in order; anything else is an error.

const (
	// maxLinks is how many links in a row are followed, as in Linux
	// (path_resolution(7)).
	maxLinks = 40

	// readerPoll is how often the open of a named pipe without a reader is retried.
	readerPoll = 50 * time.Millisecond
)

// destination is what a path leads to after links: a regular file, an unused name, or
// something that the bytes are written to in order.
type destination struct {
	localFile
	streamed bool
	fd       int // an open file of this process; -1: none
}

// findDestination follows the links at path. It opens only the directory, which the
// caller closes.
func findDestination(path string) (destination, error) {
	shown := path
	for range maxLinks + 1 {
		dir, name := filepath.Split(path)
		if name == "" || name == "." || name == ".." {
			if path != shown {
				return destination{}, fmt.Errorf("%s is a link to the directory %s: add the file's name", shown, path)
			}
			return destination{}, fmt.Errorf("the path %q names no file: end it with the file's name", path)
		}
		if fd, ok := ownDescriptor(dir, name); ok {
			return destination{localFile: localFile{userPath: shown}, streamed: true, fd: fd}, nil
		}
		d, link, err := inspect(dir, name, shown)
		if err != nil {
			return destination{}, err
		}
		switch {
		case link != "":
			if path = link; !filepath.IsAbs(link) {
				path = dir + link // not cleaned: dir may end in a link
			}
			continue
		case d.existing == nil && path != shown:
			err = fmt.Errorf("%s is a link to %s, which does not exist: remove the link, or create the file first: %w", shown, path, fs.ErrNotExist)
		case d.existing != nil:
			d.streamed, err = d.writable()
		}
		if err != nil {
			return destination{}, errors.Join(err, d.dir.Close())
		}
		return d, nil
	}
	return destination{}, fmt.Errorf("%s leads through more than %d links, or in a circle: give the file's own path", shown, maxLinks)
}

// inspect returns what has the name in a directory. For a link, it returns the link's
// target.
func inspect(dir, name, shown string) (_ destination, link string, _ error) {
	parent := filepath.Clean(dir)
	root, err := openRoot(parent)
	if errors.Is(err, fs.ErrNotExist) {
		return destination{}, "", fmt.Errorf("the directory %s does not exist: create it first: %w", parent, err)
	}
	if err != nil {
		return destination{}, "", err
	}
	d := destination{localFile: localFile{dir: root, name: name, userPath: shown}, fd: -1}
	d.existing, err = root.Lstat(name)
	switch {
	case isMissing(err):
		d.existing = nil
		return d, "", nil
	case err == nil && d.existing.Mode().Type() == fs.ModeSymlink:
		if err = trusted(root, d.existing); err == nil {
			link, err = root.Readlink(name)
		}
		return destination{}, link, errors.Join(err, root.Close())
	case err == nil && d.existing.Mode().Type() == fs.ModeNamedPipe:
		err = trusted(root, d.existing)
	}
	if err != nil {
		return destination{}, "", errors.Join(err, root.Close())
	}
	return d, "", nil
}

// openRoot opens a directory. It adds a separator to the path: the system then refuses a
// named pipe, for whose writer it would wait otherwise.
func openRoot(dir string) (*os.Root, error) {
	if runtime.GOOS != "windows" && !strings.HasSuffix(dir, "/") {
		dir += "/"
	}
	return os.OpenRoot(dir)
}

// writable reports whether the destination is written to in order; if not, it is a
// regular file. Anything else is an error.
func (d *destination) writable() (streamed bool, _ error) {
	mode := d.existing.Mode()
	switch {
	case mode.IsRegular():
		return false, nil
	case mode.Type() == fs.ModeNamedPipe, mode.Type() == fs.ModeDevice|fs.ModeCharDevice:
		return true, nil
	}
	return false, d.notRegular("")
}

// notRegular returns the error for a name that has no regular file. fix is what to do
// unless it is a directory; empty: give another path.
func (l *localFile) notRegular(fix string) error {
	what, path := "neither a file nor a directory", l.path()
	switch l.existing.Mode().Type() {
	case fs.ModeDir:
		return fmt.Errorf("%s is a directory: add the file's name, or remove the directory", path)
	case fs.ModeSymlink:
		what = "a link, which is not followed"
	case fs.ModeNamedPipe:
		what = "a named pipe"
	case fs.ModeSocket:
		what = "a socket"
	case fs.ModeDevice:
		what = "a block device"
	case fs.ModeDevice | fs.ModeCharDevice:
		what = "a character device"
	}
	if fix == "" {
		fix = "give the path of a file"
	}
	return fmt.Errorf("%s is %s, and only regular files are replaced: %s", path, what, fix)
}

// ownDescriptor returns the open file of this process that a path names, such as
// /dev/fd/1 or /proc/self/fd/1. A write to it uses its position and mode, which a shell
// has set by > or >>.
func ownDescriptor(dir, name string) (int, bool) {
	fd, err := strconv.Atoi(name)
	if err != nil || fd < 0 {
		return 0, false
	}
	if dir = filepath.Clean(dir); dir == "/dev/fd" {
		return fd, true
	}
	// The link /proc/self leads to this process, /proc/thread-self to a thread.
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return 0, false
	}
	self, err := filepath.EvalSymlinks("/proc/self")
	if err != nil {
		return 0, false
	}
	return fd, real == self+"/fd" || strings.HasPrefix(real, self+"/task/") && strings.HasSuffix(real, "/fd")
}

// open opens a destination that is written to in order. It waits for the reader of a
// named pipe until ctx ends.
func (d *destination) open(ctx context.Context) (*os.File, error) {
	if d.fd >= 0 {
		return duplicate(d.fd, d.userPath)
	}
	for {
		f, err := openStream(d.dir, d.name)
		if err == nil {
			err = d.unchanged(f)
		}
		if err == nil {
			return f, nil
		}
		if !noReader(err) {
			return nil, err
		}
		select {
		case <-time.After(readerPoll):
		case <-ctx.Done():
			return nil, fmt.Errorf("no process has opened the named pipe %s for reading: %w", d.userPath, ctx.Err())
		}
	}
}

// unchanged fails, and closes f, unless f is still the file that inspect found.
func (d *destination) unchanged(f *os.File) error {
	now, err := f.Stat()
	if err == nil && !(os.SameFile(now, d.existing) && now.Mode().Type() == d.existing.Mode().Type()) {
		err = fmt.Errorf("%s was replaced while it was opened: try again", d.userPath)
	}
	if err != nil {
		err = errors.Join(err, f.Close())
	}
	return err
}

// downloadStream writes an object in order to a destination that is no regular file.
func downloadStream(ctx context.Context, c *client, key string, to *destination, progress func(Progress)) (*Info, error) {
	const op = "download"
	f, err := to.open(ctx)
	if err != nil {
		return nil, c.fail(op, key, err)
	}
	m := &reporter{key: key, call: progress}
	var info *Info
	err = m.during(ctx, func(ctx context.Context) (err error) {
		info, err = copyStream(ctx, c, key, f, &counter{reporter: m})
		return err
	})
	if err != nil {
		return nil, c.fail(op, key, err)
	}
	return info, nil
}

// copyStream writes an object to f and closes it. It returns when ctx ends, even if a
// write blocks: one that cannot be interrupted is left behind.
func copyStream(ctx context.Context, c *client, key string, f *os.File, t *counter) (*Info, error) {
	interruptible := f.SetWriteDeadline(time.Time{}) == nil
	stop := context.AfterFunc(ctx, func() {
		_ = f.SetWriteDeadline(time.Unix(1, 0)) // fails where there are no deadlines
	})
	type result struct {
		info *Info
		err  error
	}
	done := make(chan result, 1)
	go func() {
		out := result{err: errGoexit}
		defer func() {
			stop()
			out.err = errors.Join(out.err, f.Close())
			done <- out
		}()
		out.err = safely(func() (err error) {
			out.info, err = copyObject(ctx, c, key, f, t)
			return err
		})
	}()
	var out result
	select {
	case out = <-done:
	case <-ctx.Done():
		if !interruptible {
			return nil, ctx.Err()
		}
		out = <-done
	}
	if out.err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return out.info, out.err
}

func copyObject(ctx context.Context, c *client, key string, w io.Writer, t *counter) (*Info, error) {
	o, err := openObject(ctx, c, c.getInput(key), "download")
	if err != nil {
		return nil, err
	}
	defer o.Close()
	t.expect(o.info.Size)
	if _, err := o.WriteTo(countingWriter{w, t}); err != nil {
		return nil, err
	}
	info := o.Info()
	return &info, nil
}

// countingWriter counts the bytes that are written.
type countingWriter struct {
	io.Writer
	counter *counter
}

func (w countingWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.counter.add(int64(n))
	return n, err
}
