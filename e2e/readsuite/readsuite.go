// Package readsuite reads a bucket of a real server with s3reader, in every way that it
// supports, and compares the result with what was stored.
package readsuite

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/s3reader"
)

// library returns the objects to store: with sizes around those at which s3reader
// changes its strategy, and with awkward keys.
func library() map[string][]byte {
	return map[string][]byte{
		"empty":               {},
		"one":                 noise(1),
		"picture.jpg":         noise(5556),
		"large":               noise(9<<20 + 17),
		"deep/er/file":        noise(100),
		"deep/er-file":        noise(101),
		"with space+plus":     noise(12),
		"100%.csv":            noise(13),
		"é":                   noise(14),
		"q?x#y":               noise(15),
		"file..txt":           noise(16),
		"deep/[brackets]'&\"": noise(17),
	}
}

// Run stores objects in a new bucket as owner, and reads them as reader.
func Run(t *testing.T, owner, reader aws.Config, bucket string) {
	stored := library()
	c := s3.NewFromConfig(owner, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	put := func(key string, data []byte) {
		t.Helper()
		if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(data)}); err != nil {
			t.Fatalf("put %q: %v", key, err)
		}
	}
	for key, data := range stored {
		put(key, data)
	}
	r, err := s3reader.New(reader, bucket)
	if err != nil {
		t.Fatal(err)
	}
	for key, data := range stored {
		t.Run("object/"+key, func(t *testing.T) { readObject(t, r, key, data) })
	}
	t.Run("list", func(t *testing.T) { list(t, r, stored) })
	t.Run("fs", func(t *testing.T) {
		if err := fstest.TestFS(r.FS(t.Context()), slices.Collect(keysOf(stored))...); err != nil {
			t.Error(err)
		}
	})
	t.Run("directory", func(t *testing.T) { downloadDir(t, r, stored) })
	t.Run("missing", func(t *testing.T) {
		if _, err := r.Get(t.Context(), "no such key"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
		if _, err := r.Stat(t.Context(), "no such key"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("overwritten", func(t *testing.T) { overwritten(t, r, put) })
}

func keysOf(stored map[string][]byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key := range stored {
			if !yield(key) {
				return
			}
		}
	}
}

func readObject(t *testing.T, r *s3reader.Reader, key string, data []byte) {
	same := func(how string, got []byte, err error) {
		t.Helper()
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v; want %d", how, len(got), err, len(data))
		}
	}
	got, err := r.Get(t.Context(), key)
	same("Get", got, err)

	info, err := r.Stat(t.Context(), key)
	if err != nil || info.Size != int64(len(data)) || info.ETag == "" || info.LastModified.IsZero() {
		t.Errorf("Stat: %+v, %v", info, err)
	}

	o, err := r.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if len(data) < 1<<20 {
		if err := iotest.TestReader(o, data); err != nil {
			t.Error(err)
		}
	}
	if _, err := o.Seek(0, io.SeekStart); err != nil {
		t.Error(err)
	}
	var b bytes.Buffer
	_, err = o.WriteTo(&b)
	same("WriteTo", b.Bytes(), err)
	readAt(t, o, data)

	path := filepath.Join(t.TempDir(), "file")
	if _, err := r.DownloadFile(t.Context(), key, path); err != nil {
		t.Error(err)
	}
	got, err = os.ReadFile(path)
	same("DownloadFile", got, err)

	link, err := r.Presign(t.Context(), key, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	got, err = follow(t.Context(), link.URL)
	same("Presign", got, err)
}

func readAt(t *testing.T, o *s3reader.Object, data []byte) {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(len(data)), 0))
	for range 20 {
		off := rng.IntN(len(data) + 1)
		p := make([]byte, 1+rng.IntN(len(data)/3+1))
		n, err := o.ReadAt(p, int64(off))
		if want := data[off:min(len(data), off+len(p))]; !bytes.Equal(p[:n], want) || (err == nil) != (n == len(p)) {
			t.Errorf("ReadAt(%d, %d) = %d, %v", len(p), off, n, err)
		}
	}
}

func follow(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	return io.ReadAll(resp.Body)
}

func list(t *testing.T, r *s3reader.Reader, stored map[string][]byte) {
	seen := map[string]int64{}
	for info, err := range r.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		seen[info.Key] = info.Size
	}
	for key, data := range stored {
		if size, ok := seen[key]; !ok || size != int64(len(data)) {
			t.Errorf("%q is listed: %t, with %d bytes", key, ok, size)
		}
	}
	if len(seen) != len(stored) {
		t.Errorf("listed %d keys, want %d", len(seen), len(stored))
	}
}

func downloadDir(t *testing.T, r *s3reader.Reader, stored map[string][]byte) {
	dir := t.TempDir()
	sum, err := r.DownloadDir(t.Context(), "", dir)
	if err != nil || len(sum.Skipped) > 0 || sum.Files != len(stored) {
		t.Fatalf("%+v, %v", sum, err)
	}
	for key, data := range stored {
		if got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(key))); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%q: %d bytes, %v", key, len(got), err)
		}
	}
}

// overwritten checks that a handle reads a single version of an object.
func overwritten(t *testing.T, r *s3reader.Reader, put func(string, []byte)) {
	data := noise(8 << 20)
	put("volatile", data)
	o, err := r.Open(t.Context(), "volatile")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	put("volatile", noise(8<<20+1))
	p := make([]byte, 1000)
	if n, err := o.ReadAt(p, 4<<20); !errors.Is(err, s3reader.ObjectChanged) {
		t.Errorf("ReadAt: %d, %v", n, err)
	}
	got, err := io.ReadAll(o)
	if err == nil && !bytes.Equal(got, data) || err != nil && !errors.Is(err, s3reader.ObjectChanged) {
		t.Errorf("ReadAll: %d bytes, %v", len(got), err)
	}
}

func noise(n int) []byte {
	rng := rand.New(rand.NewPCG(uint64(n), 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}
