package s3reader

import (
	"context"
	"io/fs"
)

// FS is the bucket as a file system. It is not built yet: opening a file fails.
func (r *Reader) FS(ctx context.Context) fs.FS { return notBuiltFS{} }

type notBuiltFS struct{}

func (notBuiltFS) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: errNotBuilt("FS")}
}
