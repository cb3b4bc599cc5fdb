package s3reader

import (
	"errors"
	"io"
	"io/fs"
)

// file is an open object as io/fs sees it.
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

// pathError leaves io.EOF and what a writer returned to WriteTo as they are.
func (f *file) pathError(op string, err error) error {
	if _, ok := errors.AsType[*Error](err); !ok {
		return err
	}
	return pathError(op, f.name, err)
}
