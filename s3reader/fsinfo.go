package s3reader

import (
	"io/fs"
	"path"
	"time"
)

// fileInfo is what io/fs wants to know of a file or, without info, of a directory.
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

// ModTime is in whole seconds and UTC: some stores list fractions of a second
// that the answers to HEAD and GET have no room for.
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
