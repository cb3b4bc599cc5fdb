package archive_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"testing"
	"time"

	"github.com/crossrole/crossrole/tools/release/internal/archive"
)

var files = []archive.File{
	{Name: "etc/", Mode: 0o755},
	{Name: "etc/text", Mode: 0o644, Data: []byte("text")},
	{Name: "program", Mode: 0o755, Data: []byte("program")},
}

// The archives hold what they were given, as root's files of the given time, and do not
// depend on the time zone or on fractions of a second.
func TestArchives(t *testing.T) {
	at := time.Date(2026, 11, 30, 1, 2, 4, 0, time.UTC)
	elsewhere := at.Add(300 * time.Millisecond).In(time.FixedZone("", 3600))
	for name, write := range map[string]func(io.Writer, []archive.File, time.Time) error{"tar.gz": archive.TarGz, "tar": archive.Tar, "zip": archive.Zip} {
		var first, second bytes.Buffer
		if err := write(&first, files, at); err != nil {
			t.Fatal(err)
		}
		if err := write(&second, files, elsewhere); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%s: two archives of the same files differ", name)
		}
	}

	var packed bytes.Buffer
	if err := archive.TarGz(&packed, files, at); err != nil {
		t.Fatal(err)
	}
	unzipped, err := gzip.NewReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	in := tar.NewReader(unzipped)
	for _, f := range files {
		header, err := in.Next()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		if err != nil || !bytes.Equal(data, f.Data) || header.Name != f.Name || header.FileInfo().Mode().Perm() != f.Mode || !header.ModTime.Equal(at) || header.Uid != 0 || header.FileInfo().IsDir() != (f.Data == nil) {
			t.Errorf("%s is %+v with %q, %v", f.Name, header, data, err)
		}
	}

	packed.Reset()
	if err := archive.Zip(&packed, files[1:], at); err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(packed.Bytes()), int64(packed.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range z.File {
		if want := files[i+1]; f.Name != want.Name || f.Mode() != want.Mode || !f.Modified.Equal(at) || f.UncompressedSize64 != uint64(len(want.Data)) {
			t.Errorf("%s is %+v", want.Name, f.FileHeader)
		}
	}
}
