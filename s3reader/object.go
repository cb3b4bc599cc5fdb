package s3reader

import "io"

// Object is one version of an object, opened for reading.
type Object struct{}

var (
	_ io.ReadSeekCloser = (*Object)(nil)
	_ io.ReaderAt       = (*Object)(nil)
	_ io.WriterTo       = (*Object)(nil)
)

// Info describes the version that is open.
func (o *Object) Info() Info { return Info{} }

// Read implements io.Reader.
func (o *Object) Read(p []byte) (int, error) { return 0, errNotBuilt("Object.Read") }

// ReadAt implements io.ReaderAt.
func (o *Object) ReadAt(p []byte, off int64) (int, error) { return 0, errNotBuilt("Object.ReadAt") }

// Seek implements io.Seeker.
func (o *Object) Seek(offset int64, whence int) (int64, error) { return 0, errNotBuilt("Object.Seek") }

// WriteTo implements io.WriterTo.
func (o *Object) WriteTo(w io.Writer) (int64, error) { return 0, errNotBuilt("Object.WriteTo") }

// Close implements io.Closer.
func (o *Object) Close() error { return nil }
