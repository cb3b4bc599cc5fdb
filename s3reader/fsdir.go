package s3reader

import (
	"io"
	"io/fs"
	"sync"
)

// dir is an open directory. It is safe for concurrent use.
type dir struct {
	of   *fsys
	name string

	mu      sync.Mutex // guards what follows
	entries *entries   // nil: not begun
	closed  bool
}

var _ fs.ReadDirFile = (*dir)(nil)

func (d *dir) Stat() (fs.FileInfo, error) { return fileInfo{name: d.name}, nil }

func (d *dir) Read([]byte) (int, error) { return 0, d.fail("read", errIsDirectory) }

func (d *dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed, d.entries = true, nil
	return nil
}

// ReadDir reads on as [fs.ReadDirFile] says, in the order of the names. After an
// error it may be called again, and goes on from there.
func (d *dir) ReadDir(n int) ([]fs.DirEntry, error) {
	const op = "readdir"
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, d.fail(op, fs.ErrClosed)
	}
	if d.entries == nil {
		d.entries = d.of.entries(d.name)
	}
	if n <= 0 {
		list, err := d.entries.rest(d.of.ctx)
		return list, d.fail(op, err)
	}
	var list []fs.DirEntry
	for len(list) < n {
		entry, err := d.entries.next(d.of.ctx)
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

// fail is err as the caller sees it.
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
