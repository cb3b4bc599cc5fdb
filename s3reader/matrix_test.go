package s3reader_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// class is what an operation asks for, on which it depends what a fault does.
type class string

const (
	byAll   class = "all bytes"
	byRange class = "ranges"
	byHead  class = "HEAD"
	byFile  class = "HEAD, then ranges"
	byList  class = "listing"
	byLink  class = "link" // asks for the bucket's region
)

// operation is one way to use the package. It returns what it learnt of the
// bucket as text, so that this can be compared with what is true.
type operation struct {
	name  string
	class class
	run   func(context.Context, *s3reader.Reader) ([]byte, error)
}

const (
	matrixKey  = "dir/k"
	matrixSize = 3000
)

var operations = []operation{
	{"Stat", byHead, func(ctx context.Context, r *s3reader.Reader) ([]byte, error) {
		info, err := r.Stat(ctx, matrixKey)
		if err != nil {
			return nil, err
		}
		return fmt.Append(nil, info.Size), nil
	}},
	{"FS Stat", byHead, func(ctx context.Context, r *s3reader.Reader) ([]byte, error) {
		info, err := fs.Stat(r.FS(ctx), matrixKey)
		if err != nil {
			return nil, err
		}
		return fmt.Append(nil, info.Size()), nil
	}},
	{"Get", byAll, func(ctx context.Context, r *s3reader.Reader) ([]byte, error) { return r.Get(ctx, matrixKey) }},
	{"GetIfChanged", byAll, func(ctx context.Context, r *s3reader.Reader) ([]byte, error) {
		data, info, err := r.GetIfChanged(ctx, matrixKey, `"old"`)
		if err == nil && info.Size != int64(len(data)) {
			return nil, fmt.Errorf("%d bytes of an object of %d", len(data), info.Size)
		}
		return data, err
	}},
	{"GetIfChanged, unchanged", byHead, func(ctx context.Context, r *s3reader.Reader) ([]byte, error) {
		info, err := r.Stat(ctx, matrixKey)
		if err != nil {
			return nil, err
		}
		data, _, err := r.GetIfChanged(ctx, matrixKey, info.ETag)
		switch {
		case errors.Is(err, s3reader.ErrNotModified):
			return fmt.Append(nil, info.Size), nil
		case err == nil:
			return fmt.Append(nil, len(data)), nil
		}
		return nil, err
	}},
	{"Open+ReadAll", byAll, opened(func(o *s3reader.Object) ([]byte, error) { return io.ReadAll(struct{ io.Reader }{o}) })},
	{"Open+Read 7", byAll, opened(func(o *s3reader.Object) ([]byte, error) {
		var b bytes.Buffer
		_, err := io.CopyBuffer(&b, struct{ io.Reader }{o}, make([]byte, 7))
		return b.Bytes(), err
	})},
	{"WriteTo", byAll, opened(func(o *s3reader.Object) ([]byte, error) {
		var b bytes.Buffer
		_, err := o.WriteTo(&b)
		return b.Bytes(), err
	})},
	{"Download", byAll, func(ctx context.Context, r *s3reader.Reader) ([]byte, error) {
		var m memory
		if _, err := r.Download(ctx, matrixKey, &m); err != nil {
			return nil, err
		}
		return m.data, nil
	}},
	{"FS ReadFile", byAll, func(ctx context.Context, r *s3reader.Reader) ([]byte, error) {
		return fs.ReadFile(r.FS(ctx), matrixKey)
	}},
	{"FS Open+ReadAll", byFile, openedFile(io.ReadAll)},
	{"Open+ReadAt", byRange, opened(func(o *s3reader.Object) ([]byte, error) { return readSpots(o) })},
	{"FS Open+ReadAt", byFile, openedFile(func(f io.Reader) ([]byte, error) { return readSpots(f.(io.ReaderAt)) })},
	{"Open Random+ReadAt", byFile, openedRandom(func(o *s3reader.Object) ([]byte, error) { return readSpots(o) })},
	{"Open Random+ReadAll", byFile, openedRandom(func(o *s3reader.Object) ([]byte, error) { return io.ReadAll(struct{ io.Reader }{o}) })},
	{"Open+Seek+Read", byRange, opened(func(o *s3reader.Object) ([]byte, error) {
		var all []byte
		for _, spot := range spots {
			p := make([]byte, spot.n)
			if _, err := o.Seek(spot.off, io.SeekStart); err != nil {
				return nil, err
			}
			if _, err := io.ReadFull(o, p); err != nil {
				return nil, err
			}
			all = append(all, p...)
		}
		return all, nil
	})},
	{"List", byList, func(ctx context.Context, r *s3reader.Reader) ([]byte, error) {
		var b []byte
		for info, err := range r.List(ctx, "dir/") {
			if err != nil {
				return nil, err
			}
			b = fmt.Appendln(b, strings.TrimPrefix(info.Key, "dir/"), info.Size)
		}
		return b, nil
	}},
	{"FS ReadDir", byList, func(ctx context.Context, r *s3reader.Reader) ([]byte, error) {
		entries, err := fs.ReadDir(r.FS(ctx), "dir")
		return lines(entries), err
	}},
	{"FS Open+ReadDir 1", byList, func(ctx context.Context, r *s3reader.Reader) ([]byte, error) {
		f, err := r.FS(ctx).Open("dir")
		if err != nil {
			return nil, err
		}
		defer f.Close()
		var all []fs.DirEntry
		for {
			one, err := f.(fs.ReadDirFile).ReadDir(1)
			if all = append(all, one...); err == io.EOF {
				return lines(all), nil
			}
			if err != nil {
				return nil, err
			}
		}
	}},
	{"Presign", byLink, func(ctx context.Context, r *s3reader.Reader) ([]byte, error) {
		link, err := r.Presign(ctx, matrixKey, 30*time.Minute)
		if err != nil {
			return nil, err
		}
		return follow(ctx, r, link)
	}},
}

func opened(read func(*s3reader.Object) ([]byte, error)) func(context.Context, *s3reader.Reader) ([]byte, error) {
	return func(ctx context.Context, r *s3reader.Reader) ([]byte, error) {
		o, err := r.Open(ctx, matrixKey)
		if err != nil {
			return nil, err
		}
		defer o.Close()
		return read(o)
	}
}

func openedRandom(read func(*s3reader.Object) ([]byte, error)) func(context.Context, *s3reader.Reader) ([]byte, error) {
	return func(ctx context.Context, r *s3reader.Reader) ([]byte, error) {
		o, err := r.Open(ctx, matrixKey, func(o *s3reader.OpenOptions) { o.Random = true })
		if err != nil {
			return nil, err
		}
		defer o.Close()
		return read(o)
	}
}

func openedFile(read func(io.Reader) ([]byte, error)) func(context.Context, *s3reader.Reader) ([]byte, error) {
	return func(ctx context.Context, r *s3reader.Reader) ([]byte, error) {
		f, err := r.FS(ctx).Open(matrixKey)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return read(f)
	}
}

// spots are the ranges that the operations of class part read.
var spots = []struct{ off, n int64 }{{2900, 100}, {100, 50}, {1500, 700}, {0, 10}}

func readSpots(r io.ReaderAt) ([]byte, error) {
	var all []byte
	for _, spot := range spots {
		p := make([]byte, spot.n)
		if n, err := r.ReadAt(p, spot.off); err != nil && (err != io.EOF || n < len(p)) {
			return nil, err
		}
		all = append(all, p...)
	}
	return all, nil
}

func lines(entries []fs.DirEntry) (b []byte) {
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil
		}
		b = fmt.Appendln(b, e.Name(), info.Size())
	}
	return b
}

// follow opens a link as a browser would, through the reader's own connection.
func follow(ctx context.Context, r *s3reader.Reader, link *s3reader.Link) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link.URL, nil)
	if err != nil {
		return nil, err
	}
	resp, err := r.Client().Options().HTTPClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the link is answered with %s", resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// truth is what an operation has to return if the object has these bytes.
func (op operation) truth(data []byte) []byte {
	class := op.class
	if class == byFile && strings.HasSuffix(op.name, "ReadAt") {
		class = byRange
	}
	switch class {
	case byHead:
		return fmt.Append(nil, len(data))
	case byList:
		return fmt.Appendf(nil, "a 1\nb 2\nk %d\n", len(data))
	case byRange:
		var all []byte
		for _, spot := range spots {
			if spot.off+spot.n > int64(len(data)) {
				return nil
			}
			all = append(all, data[spot.off:spot.off+spot.n]...)
		}
		return all
	}
	return data
}

// matrixShelf holds the object, and two more for listings.
func matrixShelf(data []byte, stored func(*awstest.Object)) *shelf {
	s := newShelf()
	s.Put("dir/a", []byte("1"))
	s.Put("dir/b", []byte("22"))
	s.Put(matrixKey, data, stored)
	return s
}

// result is how an operation ended: "ok", or the kind of its error, or else "code"
// and the code, or, if S3 did not answer, "reset" or "silent". It fails the test for whatever must never happen:
// other bytes than those of one version, an error of no known kind, and an hour.
func result(t *testing.T, op operation, cfg aws.Config, versions ...[]byte) string {
	t.Helper()
	r := newReader(t, cfg, "pics")
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
	defer cancel()
	got, err := op.run(ctx, r)
	cancel()
	synctest.Wait()
	if took := time.Since(began); took > time.Hour {
		t.Errorf("took %v", took)
	}
	if err == nil {
		for _, data := range versions {
			if bytes.Equal(got, op.truth(data)) {
				return "ok"
			}
		}
		t.Errorf("%d bytes that are no version's, without an error", len(got))
		return "wrong bytes"
	}
	e, ok := errors.AsType[*s3reader.Error](err)
	switch {
	case !ok || e.Op == "" || e.Bucket != "pics":
		t.Errorf("not an error of this package: %#v", err)
	case e.Kind != "":
		return string(e.Kind)
	case e.Code != "":
		return "code " + e.Code
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	case strings.Contains(err.Error(), "the server sent nothing for "):
		return "silent"
	}
	t.Errorf("neither kind nor code nor a known cause: %v", err)
	return "unknown"
}
