package s3reader_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// Parquet's way of reading: the footer's length, the footer, then the chunks of
// the columns that are asked for.
func TestColumnsTakeFewRequests(t *testing.T) {
	t.Parallel()
	s := newShelf()
	data := large(64 << 20)
	s.Put("k", data)
	for seed := range uint64(8) {
		l := &line{}
		o := open(t, s.over(t, l, func(o *s3reader.Options) { o.Memory = 64 << 20 }), "k")
		reads, asked := 0, int64(0)
		read := func(off, n int64) {
			p := make([]byte, n)
			if m, err := o.ReadAt(p, off); int64(m) != n || err != nil {
				t.Fatalf("seed %d: ReadAt(%d, %d) = %d, %v", seed, n, off, m, err)
			}
			same(t, p, data[off:off+n])
			reads++
			asked += n
		}
		size := int64(len(data))
		read(size-8, 8)
		read(size-8-64<<10, 64<<10)
		rng := rand.New(rand.NewPCG(seed, 0))
		for off, i := int64(4<<20), 0; i < 40; i++ {
			n := 200<<10 + rng.Int64N(824<<10)
			read(off, n)
			off += n + rng.Int64N(256<<10)
		}
		_ = o.Close()
		if requests := int(l.requests.Load()) - 1; requests*2 > reads { // Open's aside
			t.Errorf("seed %d: %d requests for %d reads", seed, requests, reads)
		}
		if got := float64(l.bytes.Load()) / float64(asked); got > 1.4 {
			t.Errorf("seed %d: %.2f times the bytes asked for", seed, got)
		}
	}
}

// A read on its own is for exactly its bytes, and the handle's first request
// goes on for nobody.
func TestALoneReadAtAsksForItsBytes(t *testing.T) {
	s := newShelf()
	data := large(16 << 20)
	s.Put("k", data)
	o := open(t, s.reader(t, mayRead), "k")
	p := make([]byte, 10)
	for _, off := range []int64{9 << 20, 3 << 20, 12 << 20, 3 << 20} {
		if _, err := o.ReadAt(p, off); err != nil {
			t.Fatal(err)
		}
		same(t, p, data[off:off+10])
	}
	want := []string{"GetObject", "GetObject bytes=9437184-9437193", "GetObject bytes=3145728-3145737", "GetObject bytes=12582912-12582921"}
	if got := s.requests(); !slices.Equal(got, want) {
		t.Errorf("asked for %q", got)
	}
}

// Many at once want the same bytes: they are asked for once.
func TestReadersOfTheSameBytesShare(t *testing.T) {
	s := newShelf()
	data := large(8 << 20)
	s.Put("k", data)
	o := open(t, s.reader(t, mayRead), "k")
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			p := make([]byte, 1<<20)
			if _, err := o.ReadAt(p, 2<<20); err != nil {
				t.Error(err)
			}
			if !slices.Equal(p, data[2<<20:3<<20]) {
				t.Error("other bytes")
			}
		})
	}
	wg.Wait()
	// The others go on from the first, where the trail ends.
	if n := len(s.requests()); n != 2 {
		t.Errorf("asked for %q", s.requests())
	}
}

// What was fetched ahead and failed is no failure of who did not ask for it.
func TestAFailureAheadIsNobodys(t *testing.T) {
	s := newShelf()
	data := large(8 << 20)
	s.Put("k", data)
	o := open(t, s.reader(t, mayRead), "k")
	p := make([]byte, 1000)
	if _, err := o.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	s.Put("k", large(9<<20)) // the next request finds another version
	if n, err := o.ReadAt(p[:500], 500); n != 500 || err != nil {
		t.Errorf("bytes that are held: %d, %v", n, err)
	}
	if n, err := o.ReadAt(p, 1000); n != 0 || !errors.Is(err, s3reader.ObjectChanged) {
		t.Errorf("bytes that are not: %d, %v", n, err)
	}
	// It is not remembered, either.
	s.Put("k", data)
	if n, err := o.ReadAt(p, 1000); n != 1000 || err != nil {
		t.Errorf("the same version again: %d, %v", n, err)
	}
}

// Bytes that turned out wrong are not given out from memory.
func TestAMismatchEmptiesTheMemory(t *testing.T) {
	s := newShelf()
	data := noise(300_000)
	s.Put("k", data)
	s.cloud.Fault(awstest.Fault{Operation: "GetObject", Times: 1, Edit: func(b []byte) []byte { b = slices.Clone(b); b[5] ^= 1; return b }})
	o := open(t, s.reader(t, mayRead), "k")
	if _, err := io.ReadAll(o); !errors.Is(err, s3reader.ChecksumMismatch) {
		t.Fatalf("got %v", err)
	}
	if _, err := o.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(o)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, data)
	if !o.Info().Verified {
		t.Error("not verified")
	}
}

// Who reads in order does not empty the memory of who reads elsewhere.
func TestReadingInOrderLeavesTheRestAlone(t *testing.T) {
	s := newShelf()
	data := large(64 << 20)
	s.Put("k", data)
	l := &line{}
	o := open(t, s.over(t, l), "k")
	if _, err := o.Seek(40<<20, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 4<<10)
	for off := int64(0); off < 800<<10; off += int64(len(p)) {
		if _, err := io.ReadFull(o, p); err != nil {
			t.Fatal(err)
		}
		if _, err := o.ReadAt(p, off); err != nil {
			t.Fatal(err)
		}
		same(t, p, data[off:off+int64(len(p))])
	}
	if n := l.requests.Load(); n > 6 {
		t.Errorf("%d requests", n)
	}
}

// Little memory makes no more requests: it is one connection to the end then.
func TestLittleMemoryReadsOverOneConnection(t *testing.T) {
	s := newShelf()
	data := large(16 << 20)
	s.Put("k", data)
	for _, memory := range []int64{1, 300 << 10, 1 << 20, 1<<20 + 1, 3 << 19} {
		l := &line{}
		o := open(t, s.over(t, l, func(o *s3reader.Options) { o.Memory = memory }), "k")
		if _, err := o.Seek(1000, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if _, err := o.ReadAt(make([]byte, 10), 8<<20); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(o)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, data[1000:])
		if n := l.requests.Load(); n > 30 {
			t.Errorf("memory %d: %d requests", memory, n)
		}
	}
}
