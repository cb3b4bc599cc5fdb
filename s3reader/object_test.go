package s3reader_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

func open(t *testing.T, r *s3reader.Reader, key string, optFns ...func(*s3reader.OpenOptions)) *s3reader.Object {
	t.Helper()
	o, err := r.Open(t.Context(), key, optFns...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o
}

func TestObjectIsAReader(t *testing.T) {
	for _, size := range []int{0, 1, 2, 1000} {
		s := newShelf()
		data := noise(size)
		s.Put("k", data)
		if err := iotest.TestReader(open(t, s.reader(t, mayRead), "k"), data); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestOpenAsksOnce(t *testing.T) {
	s := newShelf()
	data := noise(300_000)
	stored := s.Put("k", data, func(o *awstest.Object) { o.ContentType = "image/jpeg" })
	o := open(t, s.reader(t, mayRead), "k")
	got, err := io.ReadAll(o)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, data)
	info := o.Info()
	if info.Key != "k" || info.ETag != stored.ETag || info.Size != 300_000 || info.ContentType != "image/jpeg" || !info.Verified {
		t.Errorf("got %+v", info)
	}
	if got := s.requests(); !slices.Equal(got, []string{"GetObject"}) {
		t.Errorf("asked for %q", got)
	}
}

func TestGetReturnsNoNil(t *testing.T) {
	s := newShelf()
	s.Put("empty", nil)
	if got, err := s.reader(t, mayRead).Get(t.Context(), "empty"); err != nil || got == nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

// Larger than what Get trusts a claimed length with at once.
func TestGetOfALargeObject(t *testing.T) {
	t.Parallel()
	s := newShelf()
	data := large(40 << 20)
	s.Put("k", data)
	got, err := s.reader(t, mayRead).Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, data)
}

func TestSeekThenReadAndWriteTo(t *testing.T) {
	s := newShelf()
	data := noise(1000)
	s.Put("k", data)
	o := open(t, s.reader(t, mayRead), "k")
	for _, c := range []struct {
		offset int64
		whence int
		want   int64
	}{{900, io.SeekStart, 900}, {-50, io.SeekEnd, 950}, {0, io.SeekStart, 0}, {1000, io.SeekStart, 1000}, {5000, io.SeekCurrent, 6000}} {
		// Half of the moves are made in the middle of a body.
		_, _ = o.Read(make([]byte, 1))
		_, _ = o.Seek(-min(1, c.want), io.SeekCurrent)
		if c.whence == io.SeekCurrent {
			_, _ = o.Seek(1000, io.SeekStart)
		}
		if pos, err := o.Seek(c.offset, c.whence); err != nil || pos != c.want {
			t.Fatalf("Seek(%d, %d) = %d, %v", c.offset, c.whence, pos, err)
		}
		var b bytes.Buffer
		n, err := o.WriteTo(&b)
		if err != nil || n != int64(b.Len()) {
			t.Fatalf("WriteTo = %d, %v", n, err)
		}
		same(t, b.Bytes(), data[min(c.want, 1000):])
	}
	for _, c := range []struct {
		offset int64
		whence int
	}{{-1, io.SeekStart}, {-1001, io.SeekEnd}, {0, 3}} {
		if _, err := o.Seek(c.offset, c.whence); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("Seek(%d, %d): got %v", c.offset, c.whence, err)
		}
	}
}

type fullDisk struct{ room int }

var errDiskFull = errors.New("no space left")

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), d.room)
	if d.room -= n; n < len(p) {
		return n, errDiskFull
	}
	return n, nil
}

type shortWriter struct{}

func (shortWriter) Write(p []byte) (int, error) { return len(p) - 1, nil }

func TestWriteToReportsTheWriter(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(1000))
	r := s.reader(t, mayRead)
	if n, err := open(t, r, "k").WriteTo(&fullDisk{300}); n != 300 || !errors.Is(err, errDiskFull) {
		t.Errorf("got %d, %v", n, err)
	}
	if n, err := open(t, r, "k").WriteTo(shortWriter{}); n != 999 || !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestClose(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(1000))
	o := open(t, s.reader(t, mayRead), "k")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := o.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	_, read := o.Read(make([]byte, 1))
	_, readAt := o.ReadAt(make([]byte, 1), 0)
	_, seek := o.Seek(0, io.SeekStart)
	_, writeTo := o.WriteTo(io.Discard)
	for op, err := range map[string]error{"Read": read, "ReadAt": readAt, "Seek": seek, "WriteTo": writeTo} {
		if !errors.Is(err, fs.ErrClosed) || errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", op, err)
		}
	}
	if o.Info().Size != 1000 {
		t.Error("Info is gone")
	}
}

// blockedPipe is a writer that nobody reads from: Close must not wait for it.
func TestCloseWhileWriteToIsBlocked(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(1000))
	o := open(t, s.reader(t, mayRead), "k")
	pr, pw := io.Pipe()
	done := make(chan error)
	go func() {
		_, err := o.WriteTo(pw)
		done <- err
	}()
	_, _ = pr.Read(make([]byte, 1)) // WriteTo is in Write now
	_ = o.Close()
	_ = pr.Close()
	if err := <-done; err == nil {
		t.Error("WriteTo succeeded")
	}
}

func TestOpenContextGovernsTheHandle(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(1000))
	ctx, cancel := context.WithCancel(t.Context())
	o, err := s.reader(t, mayRead).Open(ctx, "k")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	cancel()
	_, read := o.Read(make([]byte, 1))
	_, readAt := o.ReadAt(make([]byte, 1), 0)
	for _, err := range []error{read, readAt} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	_ = o.Close()
	if _, err := o.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after Close: got %v", err)
	}
}
