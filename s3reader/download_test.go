package s3reader_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// memory is a destination that notes what is written where, and how often.
type memory struct {
	mu     sync.Mutex
	data   []byte
	writes map[int64]int
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if end := int(off) + len(p); end > len(m.data) {
		if end > cap(m.data) { // twice what is needed, because append copies large slices more often
			m.data = append(make([]byte, 0, 2*end), m.data...)
		}
		m.data = m.data[:end]
	}
	copy(m.data[off:], p)
	if m.writes == nil {
		m.writes = map[int64]int{}
	}
	m.writes[off]++
	return len(p), nil
}

const partSize = 10_000

func parts(o *s3reader.Options) { o.PartSize, o.Concurrency = partSize, 4 }

// PartSize and Concurrency of a call take the place of the Reader's.
func TestDownloadOptionsOfEachCall(t *testing.T) {
	s := newShelf()
	data := noise(12 * partSize)
	s.Put("k", data)
	r := s.reader(t, mayRead, parts)
	file := filepath.Join(t.TempDir(), "f")
	for _, c := range []struct {
		name           string
		opts           s3reader.DownloadOptions
		requests, file int
	}{
		{"the Reader's", s3reader.DownloadOptions{}, 12, 12},
		{"large parts", s3reader.DownloadOptions{PartSize: 4 * partSize}, 3, 3},
		{"one connection", s3reader.DownloadOptions{Concurrency: 1}, 1, 12},
		{"one connection, large parts", s3reader.DownloadOptions{PartSize: 4 * partSize, Concurrency: 1}, 1, 3},
	} {
		set := func(o *s3reader.DownloadOptions) { *o = c.opts }
		before := len(s.requests())
		var w memory
		if _, err := r.Download(t.Context(), "k", &w, set); err != nil {
			t.Fatal(err)
		}
		same(t, w.data, data)
		middle := len(s.requests())
		if _, err := r.DownloadFile(t.Context(), "k", file, set); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, data)
		if inMemory, toFile := middle-before, len(s.requests())-middle; inMemory != c.requests || toFile != c.file {
			t.Errorf("%s: %d and %d requests, want %d and %d", c.name, inMemory, toFile, c.requests, c.file)
		}
	}
}

func TestOptionsOfACallThatCannotBe(t *testing.T) {
	s := newShelf()
	r := s.reader(t, mayRead)
	download := func(fn func(*s3reader.DownloadOptions)) (errs []error) {
		_, memoryErr := r.Download(t.Context(), "k", &memory{}, fn)
		_, fileErr := r.DownloadFile(t.Context(), "k", filepath.Join(t.TempDir(), "f"), fn)
		return []error{memoryErr, fileErr}
	}
	boom := func() { panic("boom") }
	_, nilOpen := r.Open(t.Context(), "k", nil)
	_, openPanics := r.Open(t.Context(), "k", func(*s3reader.OpenOptions) { boom() })
	_, nilLink := r.Presign(t.Context(), "k", time.Hour, nil)
	_, linkPanics := r.Presign(t.Context(), "k", time.Hour, func(*s3reader.LinkOptions) { boom() })
	for want, errs := range map[string][]error{
		"optFns[0] is nil": append(download(nil), nilOpen, nilLink),
		"boom":             append(download(func(*s3reader.DownloadOptions) { boom() }), openPanics, linkPanics),
		"DownloadOptions.PartSize -1 and Concurrency 0 must not be negative": download(func(o *s3reader.DownloadOptions) { o.PartSize = -1 }),
		"DownloadOptions.PartSize 0 and Concurrency -2 must not be negative": download(func(o *s3reader.DownloadOptions) { o.Concurrency = -2 }),
	} {
		for i, err := range errs {
			if e, ok := errors.AsType[*s3reader.Error](err); !ok || e.Key != "k" || (e.Kind == s3reader.Panicked) != (want == "boom") || !strings.Contains(err.Error(), want) {
				t.Errorf("%s, call %d: %v", want, i, err)
			}
		}
	}
	if got := s.requests(); len(got) != 0 {
		t.Errorf("requested %q", got)
	}
}

func TestDownloadOfEverySize(t *testing.T) {
	for _, size := range []int{0, 1, partSize - 1, partSize, partSize + 1, 4*partSize - 1, 4 * partSize, 4*partSize + 1, 33*partSize + 7} {
		for _, algorithm := range append(algorithms, "NONE") {
			t.Run(fmt.Sprintf("%d %s", size, algorithm), func(t *testing.T) {
				s := newShelf()
				data := noise(size)
				s.Put("k", data, func(o *awstest.Object) { o.ChecksumAlgorithm = algorithm })
				var w memory
				info, err := s.reader(t, mayRead, parts).Download(t.Context(), "k", &w)
				if err != nil {
					t.Fatal(err)
				}
				same(t, w.data, data)
				inParallel := strings.HasPrefix(algorithm, "CRC")
				if want := algorithm != "NONE" && (inParallel || size <= partSize); info.Verified != want || info.Size != int64(size) {
					t.Errorf("got %+v", info)
				}
				if n, want := len(s.requests()), max(1, (size+partSize-1)/partSize); n != want {
					t.Errorf("%d requests, want %d: %q", n, want, s.requests())
				}
			})
		}
	}
}
