package s3reader_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// memories are limits that hold nothing, a little, some pieces, and everything.
var memories = []int64{1, 300 << 10, 3 << 20, 0}

// FuzzReads plays a sequence of reads on a handle and on the bytes themselves.
func FuzzReads(f *testing.F) {
	const size = 5<<20 + 123
	data := noise(size)
	s := newShelf()
	s.Put("k", data)
	readers := make([]*s3reader.Reader, len(memories))
	for i, m := range memories {
		readers[i] = s.reader(f, mayRead, func(o *s3reader.Options) { o.Memory = m })
	}
	f.Add(uint64(1), []byte{0, 1, 2, 3, 4, 5, 6, 7})
	f.Add(uint64(2), []byte{2, 2, 2, 2, 1, 0, 0, 0, 2, 3})
	f.Add(uint64(3), bytes.Repeat([]byte{0}, 40))
	f.Fuzz(func(t *testing.T, seed uint64, ops []byte) {
		rng := rand.New(rand.NewPCG(seed, 0))
		o := open(t, readers[rng.IntN(len(readers))], "k")
		defer o.Close()
		model := bytes.NewReader(data)
		for _, op := range ops[:min(len(ops), 64)] {
			n := rng.IntN(1 << rng.IntN(22))
			off := rng.Int64N(size + 10)
			if rng.IntN(2) == 0 { // go on from where the model is
				off = size - int64(model.Len()) + rng.Int64N(1000)
			}
			switch op % 4 {
			case 0:
				got, want := make([]byte, n), make([]byte, n)
				m, err := io.ReadFull(o, got)
				k, wanted := io.ReadFull(model, want)
				if m != k || err != wanted {
					t.Fatalf("Read: %d, %v; want %d, %v", m, err, k, wanted)
				}
				same(t, got[:m], want[:k])
			case 1:
				got, want := make([]byte, n), make([]byte, n)
				m, err := o.ReadAt(got, off)
				k, wanted := model.ReadAt(want, off)
				if n == 0 {
					wanted = err // bytes.Reader says EOF beyond the end even for no bytes
				}
				if m != k || err != wanted {
					t.Fatalf("ReadAt(%d, %d): %d, %v; want %d, %v", n, off, m, err, k, wanted)
				}
				same(t, got[:m], want[:k])
			case 2:
				whence := rng.IntN(3)
				by := []int64{off, rng.Int64N(3<<20) - 1<<20, -off}[whence]
				pos, err := o.Seek(by, whence)
				want, wanted := model.Seek(by, whence)
				if pos != want || (err == nil) != (wanted == nil) {
					t.Fatalf("Seek(%d, %d): %d, %v; want %d, %v", by, whence, pos, err, want, wanted)
				}
			case 3:
				if op%8 == 3 && n%8 > 0 { // it reads all there is: not always
					continue
				}
				var got, want bytes.Buffer
				m, err := o.WriteTo(&got)
				k, _ := model.WriteTo(&want)
				if m != k || err != nil {
					t.Fatalf("WriteTo: %d, %v; want %d", m, err, k)
				}
				same(t, got.Bytes(), want.Bytes())
			}
		}
	})
}

// Many read here and there while pieces come and go, and connections break.
func TestConcurrentReadsOfLittleMemory(t *testing.T) {
	s := newShelf()
	data := large(8 << 20)
	s.Put("k", data)
	s.cloud.Fault(awstest.Fault{Operation: "GetObject", Skip: 5, Times: 6, ResetAfter: new(int64(70_000))})
	for _, memory := range memories {
		o := open(t, s.reader(t, mayRead, func(o *s3reader.Options) { o.Memory = memory }), "k")
		var wg sync.WaitGroup
		for i := range uint64(8) {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(i, uint64(memory)))
				for off := rng.Int64N(2 << 20); off < int64(len(data)); off += rng.Int64N(400 << 10) {
					p := make([]byte, 1+rng.IntN(200<<10))
					n, err := o.ReadAt(p, off)
					if err != nil && err != io.EOF || !bytes.Equal(p[:n], data[off:off+int64(n)]) {
						t.Errorf("memory %d: ReadAt(%d, %d) = %d, %v", memory, len(p), off, n, err)
						return
					}
				}
			})
		}
		wg.Go(func() {
			got, err := io.ReadAll(o)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("memory %d: read %d bytes, %v", memory, len(got), err)
			}
		})
		wg.Wait()
	}
}
