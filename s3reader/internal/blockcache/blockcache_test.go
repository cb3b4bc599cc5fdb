package blockcache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/s3reader/internal/blockcache"
)

// store is an object, and the requests for ranges of it.
type store struct {
	data []byte

	mu       sync.Mutex
	requests []string
	fail     func(start int64) error // nil: none fails
}

func newStore(size int) *store {
	s := &store{data: make([]byte, size)}
	for i := range s.data {
		s.data[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return s
}

func (s *store) cache(ctx context.Context, limit int64, exact bool) *blockcache.Cache {
	return blockcache.New(ctx, blockcache.Config{
		Size: int64(len(s.data)), Limit: limit, Exact: exact, Open: s.open,
		Recovered: func(v any) error { return fmt.Errorf("recovered: %v", v) },
	})
}

func (s *store) open(ctx context.Context, start, end int64) blockcache.Body {
	return &body{store: s, ctx: ctx, start: start, data: s.data[start:end]}
}

// take returns the requests since the last call.
func (s *store) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := fmt.Sprint(s.requests)
	s.requests = nil
	return list
}

// body delivers 64 KiB at a time, each after a millisecond.
type body struct {
	store *store
	ctx   context.Context
	start int64
	data  []byte
	begun bool
}

func (b *body) Close() {}

func (b *body) Read(p []byte) (int, error) {
	if !b.begun {
		b.begun = true
		b.store.mu.Lock()
		b.store.requests = append(b.store.requests, fmt.Sprintf("%d-%d", b.start, b.start+int64(len(b.data))))
		b.store.mu.Unlock()
	}
	select {
	case <-time.After(time.Millisecond):
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
	if b.store.fail != nil {
		if err := b.store.fail(b.start); err != nil {
			return 0, err
		}
	}
	if len(b.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 64<<10)], b.data)
	b.data = b.data[n:]
	return n, nil
}

func (s *store) check(t *testing.T, c *blockcache.Cache, off, n int64) {
	t.Helper()
	p := make([]byte, n)
	if got, err := c.ReadAt(p, off); err != nil || got != len(p) {
		t.Fatalf("ReadAt of %d bytes at %d: %d, %v", n, off, got, err)
	}
	if !bytes.Equal(p, s.data[off:off+n]) {
		t.Fatalf("ReadAt of %d bytes at %d: other bytes", n, off)
	}
}

func TestReadsInSequenceRequestMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			exact bool
			reads [][2]int64 // offset, length
			want  string
		}{
			{false, [][2]int64{{0, 100}}, "[0-100]"},
			{false, [][2]int64{{0, 100}, {100, 100}}, "[0-100 100-1048776]"}, // 1 MiB more
			{false, [][2]int64{{0, 100}, {100, 100}, {200, 1 << 19}}, "[0-100 100-1048776]"},
			{false, [][2]int64{{5 << 20, 100}, {0, 100}}, "[5242880-5242980 0-100]"},
			{false, [][2]int64{{8<<20 - 8, 8}}, "[8126464-8388608]"}, // the last 256 KiB
			{true, [][2]int64{{0, 100}, {100, 100}}, "[0-100 100-300]"},
			{true, [][2]int64{{0, 100}, {150, 100}}, "[0-100 150-250]"}, // a gap
			{true, [][2]int64{{8<<20 - 8, 8}}, "[8388600-8388608]"},
		} {
			s := newStore(8 << 20)
			c := s.cache(t.Context(), 64<<20, test.exact)
			for _, r := range test.reads {
				s.check(t, c, r[0], r[1])
				synctest.Wait()
			}
			if got := s.take(); got != test.want {
				t.Errorf("exact %v, reads %v: requests %s, want %s", test.exact, test.reads, got, test.want)
			}
		}
	})
}

// Readers in many places, with too little memory for all, get their bytes.
func TestReadersShareTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, limit := range []int64{0, 300, 100 << 10, 1 << 20, 64 << 20} {
			s := newStore(2 << 20)
			c := s.cache(t.Context(), limit, false)
			var readers sync.WaitGroup
			for seed := range uint64(4) {
				readers.Go(func() {
					rng := rand.New(rand.NewPCG(seed, uint64(limit)))
					ahead := blockcache.Readahead{Cache: c}
					for range 30 {
						off := rng.Int64N(2 << 20)
						n := 1 + rng.Int64N(min(128<<10, 2<<20-off))
						if rng.IntN(10) == 0 {
							c.Clear()
						}
						if rng.IntN(3) > 0 {
							s.check(t, c, off, n)
							continue
						}
						p := make([]byte, n)
						got, err := ahead.Read(p, off)
						if err != nil || !bytes.Equal(p[:got], s.data[off:off+int64(got)]) {
							t.Errorf("Readahead.Read at %d: %d bytes, %v", off, got, err)
						}
					}
				})
			}
			readers.Wait()
		}
	})
}

// The bytes that two readers want at the same time are requested once. When that
// request fails, the reader that did not start it makes its own.
func TestAFailureIsNotTheOtherReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(1 << 20)
		broken := errors.New("broken")
		var failed sync.Once
		s.fail = func(int64) (err error) {
			failed.Do(func() { err = broken })
			return err
		}
		c := s.cache(t.Context(), 1<<20, false)
		errs := make(chan error, 2)
		for range 2 {
			go func() {
				p := make([]byte, 1000)
				_, err := c.ReadAt(p, 5000)
				if err == nil && !bytes.Equal(p, s.data[5000:6000]) {
					err = errors.New("other bytes")
				}
				errs <- err
			}()
		}
		if first, second := <-errs, <-errs; first != broken && second != broken || first != nil && second != nil {
			t.Errorf("errors %v and %v, want one", first, second)
		}
		if got := s.take(); got != "[5000-6000 5000-6000]" {
			t.Errorf("requests %s", got)
		}
	})
}

// The goroutine that fills a block does not take the program down.
func TestAPanicIsAnError(t *testing.T) {
	for name, stop := range map[string]func(){"a value": func() { panic("a value") }, "<nil>": runtime.Goexit} {
		s := newStore(1000)
		s.fail = func(int64) error { stop(); return nil }
		_, err := s.cache(t.Context(), 1<<20, false).ReadAt(make([]byte, 10), 0)
		if err == nil || err.Error() != "recovered: "+name {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestTheContextEndsReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond/2) // the first byte takes longer
		defer cancel()
		c := newStore(1000).cache(ctx, 1<<20, false)
		for range 2 {
			if _, err := c.ReadAt(make([]byte, 10), 0); err != context.DeadlineExceeded {
				t.Errorf("error %v", err)
			}
		}
	})
}
