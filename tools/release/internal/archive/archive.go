// Package archive writes archives that depend only on their contents: no owner, no
// order of a directory and no clock of the machine is in them.
package archive

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"io"
	"io/fs"
	"strings"
	"time"
)

// A File is an entry of an archive. A name that ends in a slash is a directory.
type File struct {
	Name string
	Mode fs.FileMode // permissions only
	Data []byte
}

// Tar writes files in the given order, owned by root and modified at t.
func Tar(w io.Writer, files []File, t time.Time) error {
	out := tar.NewWriter(w)
	for _, f := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Mode: int64(f.Mode.Perm()), Size: int64(len(f.Data)), ModTime: t.UTC().Truncate(time.Second)}
		if strings.HasSuffix(f.Name, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		if _, err := out.Write(f.Data); err != nil {
			return err
		}
	}
	return out.Close()
}

// TarGz writes what Tar writes, compressed.
func TarGz(w io.Writer, files []File, t time.Time) error {
	out, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := Tar(out, files, t); err != nil {
		return err
	}
	return out.Close()
}

// Zip writes files in the given order, modified at t.
func Zip(w io.Writer, files []File, t time.Time) error {
	out := zip.NewWriter(w)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.Name, Method: zip.Deflate, Modified: t.UTC().Truncate(time.Second)}
		header.SetMode(f.Mode.Perm())
		entry, err := out.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := entry.Write(f.Data); err != nil {
			return err
		}
	}
	return out.Close()
}
