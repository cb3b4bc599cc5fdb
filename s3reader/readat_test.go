package s3reader_test

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/crossrole/crossrole/s3reader"
)

// Case B44: io.ReaderAt to the letter, and no request without need.
func TestReadAt(t *testing.T) {
	const around = 64
	for _, size := range []int{0, 1, around - 1, around, around + 1} {
		s := newShelf()
		data := noise(size)
		s.Put("k", data)
		o := open(t, s.reader(t, mayRead), "k")
		for _, off := range []int{0, 1, size / 2, size - 1, size, size + 1, around, math.MaxInt} {
			for _, n := range []int{0, 1, 2, around, size, size + 1} {
				if off < 0 {
					continue
				}
				before := len(s.requests())
				p := make([]byte, n)
				got, err := o.ReadAt(p, int64(off))
				want := data[min(off, size):]
				want = want[:min(n, len(want))]
				same(t, p[:got], want)
				switch {
				case got == n && err == nil, got < n && err == io.EOF:
				default:
					t.Errorf("size %d: ReadAt(%d bytes, %d) = %d, %v", size, n, off, got, err)
				}
				asked := len(s.requests()) - before
				if needed := len(want) > 0; asked > 1 || asked == 1 && !needed {
					t.Errorf("size %d: ReadAt(%d bytes, %d) made %d requests", size, n, off, asked)
				}
			}
		}
		for _, n := range []int{0, 1} {
			if _, err := o.ReadAt(make([]byte, n), -1); !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("ReadAt(%d bytes, -1): got %v", n, err)
			}
		}
	}
}

func TestReadAtBySectionAndTogether(t *testing.T) {
	s := newShelf()
	data := noise(10_000)
	s.Put("k", data)
	o := open(t, s.reader(t, mayRead), "k")
	got, err := io.ReadAll(io.NewSectionReader(o, 100, 9_000))
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, data[100:9_100])

	// While others read at, one reads on.
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for off := i * 10; off < 9_000; off += 1_000 {
				p := make([]byte, 999)
				if n, err := o.ReadAt(p, int64(off)); n != 999 || err != nil || !slices.Equal(p, data[off:off+999]) {
					t.Errorf("ReadAt(%d) = %d, %v", off, n, err)
				}
			}
		})
	}
	got, err = io.ReadAll(o)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, data)
}

// 416 is no end of file where bytes are known to be.
func TestReadAt416IsNoEOF(t *testing.T) {
	cfg := server(forRange(
		func(string) *httpResponse { return answer(416, "<Error><Code>InvalidRange</Code></Error>") },
	)).config()
	o := open(t, newReader(t, cfg, "pics"), "k")
	if n, err := o.ReadAt(make([]byte, 2), 1); n != 0 || !errors.Is(err, s3reader.RangeMismatch) {
		t.Errorf("got %d, %v", n, err)
	}
}
