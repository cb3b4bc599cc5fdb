package s3reader_test

import (
	"fmt"
	"sync"
	"testing"

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
		m.data = append(m.data, make([]byte, end-len(m.data))...)
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
				sha := algorithm == "SHA1" || algorithm == "SHA256"
				if want := algorithm != "NONE" && (!sha || size <= partSize); info.Verified != want || info.Size != int64(size) {
					t.Errorf("got %+v", info)
				}
				if n, want := len(s.requests()), max(1, (size+partSize-1)/partSize); n != want {
					t.Errorf("%d requests, want %d: %q", n, want, s.requests())
				}
			})
		}
	}
}
