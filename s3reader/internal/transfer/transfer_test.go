package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"math"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/s3reader/internal/crc"
	"github.com/crossrole/crossrole/s3reader/internal/transfer"
)

const mib = 1 << 20

// object is the bytes that bodies deliver.
type object []byte

func newObject(n int) object {
	o := make(object, n)
	for i := range o {
		o[i] = byte(i * 7 >> 3)
	}
	return o
}

// body delivers an object at a rate in bytes per second; 0: at once.
type body struct {
	of   object
	rate float64
	ctx  context.Context
	r    transfer.Range
	err  error // after the first read, unless nil
}

func (b *body) Reset(ctx context.Context, r transfer.Range) { b.ctx, b.r = ctx, r }
func (b *body) Close()                                      {}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil && b.r.Start%mib != 0 {
		return 0, b.err
	}
	if b.r.Len() == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 64<<10)], b.of[b.r.Start:b.r.End])
	if b.rate > 0 {
		select {
		case <-time.After(time.Duration(float64(n) / b.rate * float64(time.Second))):
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		}
	}
	b.r.Start += int64(n)
	return n, nil
}

// file is a WriterAt that counts the bytes written: if they are as many as the
// file has, and all are right, none was written twice.
type file struct {
	mu      sync.Mutex
	data    []byte
	written int
}

func newFile(n int) *file { return &file{data: make([]byte, n)} }

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written += len(p)
	return copy(f.data[off:], p), nil
}

func recovered(v any) error { return fmt.Errorf("recovered: %v", v) }

// Connections of very different speed write every byte once, and finish at about
// the same time.
func TestRunWritesEveryByteOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, f := newObject(96*mib), newFile(96*mib)
		var mu sync.Mutex
		opened, done := 0, int64(0)
		j := &transfer.Job{
			Limits: transfer.NewLimits(4, 64*mib), Plan: transfer.NewPlan(96*mib, 4, 0, 0),
			Missing: []transfer.Range{{Start: 0, End: 96 * mib}}, W: f, Sum: crc.CRC64NVME,
			Open: func() transfer.Body {
				mu.Lock()
				defer mu.Unlock()
				opened++
				return &body{of: o, rate: float64(mib * opened * opened)} // 1, 4, 9 and 16 MiB/s
			},
			Done: func(p transfer.Part) {
				mu.Lock()
				defer mu.Unlock()
				done += p.Len()
			},
			Step: mib, Recovered: recovered,
		}
		start := time.Now()
		parts, err := j.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(f.data, o) || f.written != len(o) {
			t.Errorf("the bytes differ, or some were written twice: %d of %d", f.written, len(o))
		}
		sum, err := transfer.Sum(parts, 96*mib, crc.CRC64NVME)
		if want := crc64.Checksum(o, crc64.MakeTable(0x9a6c9329ac4bc9b5)); err != nil || sum != want {
			t.Errorf("the sum is %x, want %x, %v", sum, want, err)
		}
		if took := time.Since(start); took > 5*time.Second { // 30 MiB/s together: 3.2 s
			t.Errorf("took %v; the slow connections were waited for", took)
		}
		if done != 96*mib {
			t.Errorf("%d bytes were reported done", done)
		}
	})
}

func TestRunEndsWithTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	o := newObject(32 * mib)
	for name, tt := range map[string]struct {
		open func() transfer.Body
		w    io.WriterAt
		want string
	}{
		"body":         {func() transfer.Body { return &body{of: o, err: broken} }, newFile(len(o)), "broken"},
		"writer":       {func() transfer.Body { return &body{of: o} }, writer(func() error { return broken }), "broken"},
		"short write":  {func() transfer.Body { return &body{of: o} }, hasty{}, "short write"},
		"panic":        {func() transfer.Body { return &body{of: o} }, writer(func() error { panic("ouch") }), "recovered: ouch"},
		"Goexit":       {func() transfer.Body { return &body{of: o} }, writer(func() error { runtime.Goexit(); return nil }), "recovered: <nil>"},
		"other panic":  {func() transfer.Body { return &body{of: nil} }, newFile(len(o)), "recovered: runtime error: slice bounds out of range"},
		"short object": {func() transfer.Body { return short{} }, newFile(len(o)), "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			limits := transfer.NewLimits(4, 64*mib)
			j := &transfer.Job{
				Limits: limits, Plan: transfer.NewPlan(int64(len(o)), 4, 0, 0),
				Missing: []transfer.Range{{Start: 0, End: int64(len(o))}}, W: tt.w, Open: tt.open, Recovered: recovered,
			}
			_, err := j.Run(t.Context())
			if err == nil || !bytes.Contains([]byte(err.Error()), []byte(tt.want)) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			// All places were freed.
			for range limits.Max() {
				if err := limits.Acquire(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

type writer func() error

func (w writer) WriteAt(p []byte, _ int64) (int, error) { return len(p), w() }

// hasty writes less than it is given, and reports no error.
type hasty struct{}

func (hasty) WriteAt(p []byte, _ int64) (int, error) { return len(p) - 1, nil }

// What was written before a panic is reported, so that a later download goes on
// from there.
func TestPiecesBeforeAPanic(t *testing.T) {
	o, f := newObject(8*mib), newFile(8*mib)
	var done []transfer.Part
	j := &transfer.Job{
		Limits: transfer.NewLimits(1, mib), Plan: transfer.NewPlan(8*mib, 1, 0, 0),
		Missing: []transfer.Range{{Start: 0, End: 8 * mib}}, Open: func() transfer.Body { return &body{of: o} },
		W: writerAt(func(p []byte, off int64) (int, error) {
			if off > 4*mib {
				panic("ouch")
			}
			return f.WriteAt(p, off)
		}),
		Done: func(p transfer.Part) { done = append(done, p) }, Recovered: recovered,
	}
	parts, err := j.Run(t.Context())
	if err == nil || transfer.Length(transfer.Missing(parts, 8*mib)) >= 4*mib || len(done) != len(parts) {
		t.Errorf("got %v and %v, %v", parts, done, err)
	}
}

type writerAt func(p []byte, off int64) (int, error)

func (w writerAt) WriteAt(p []byte, off int64) (int, error) { return w(p, off) }

type short struct{}

func (short) Reset(context.Context, transfer.Range) {}
func (short) Close()                                {}
func (short) Read([]byte) (int, error)              { return 0, io.EOF }

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		o := newObject(32 * mib)
		j := &transfer.Job{
			Limits: transfer.NewLimits(4, 64*mib), Plan: transfer.NewPlan(32*mib, 4, 0, 0),
			Missing: []transfer.Range{{Start: 0, End: 32 * mib}}, W: newFile(len(o)),
			Open: func() transfer.Body { return &body{of: o, rate: mib} }, Recovered: recovered,
		}
		start := time.Now()
		if _, err := j.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took > 1100*time.Millisecond {
			t.Errorf("took %v after a deadline of a second", took)
		}
	})
}

// However little memory there is, one connection with a small buffer is left.
func TestLimitsKeepToTheMemory(t *testing.T) {
	for _, memory := range []int64{-1, 0, 1, 32 << 10, 100 << 10, mib, 64 * mib, math.MaxInt64} {
		for _, n := range []int{1, 8, 32, math.MaxInt} {
			if n == math.MaxInt && memory == math.MaxInt64 {
				continue // as many as asked for
			}
			l := transfer.NewLimits(n, memory)
			if l.Max() < 1 || l.Max() > n || l.Buffer < 32<<10 || l.Buffer > 512<<10 {
				t.Errorf("%d connections in %d bytes: %d of %d", n, memory, l.Max(), l.Buffer)
			}
			if need := int64(l.Max()) * l.Buffer; l.Max() > 1 && need > memory {
				t.Errorf("%d connections in %d bytes take %d", n, memory, need)
			}
		}
	}
}

// No part crosses a border, wherever segments are split, and each byte is in one part.
func TestBorders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newObject(48 * mib)
		f := newFile(len(o))
		borders := []int64{1, 5*mib + 3, 5*mib + 3, 17 * mib, 48 * mib}
		opened := 0
		j := &transfer.Job{
			Limits: transfer.NewLimits(4, 64*mib), Plan: transfer.NewPlan(int64(len(o)), 4, 0, 0), Sum: crc.CRC32, Borders: borders,
			Missing: []transfer.Range{{Start: 0, End: int64(len(o))}}, W: f, Recovered: recovered,
			Open: func() transfer.Body {
				opened++
				return &body{of: o, rate: float64(mib * opened * opened)}
			},
		}
		parts, err := j.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := transfer.Sum(parts, int64(len(o)), crc.CRC32); err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			for _, b := range borders {
				if p.Start < b && b < p.End {
					t.Errorf("part %v crosses %d", p.Range, b)
				}
			}
			if want := crc.CRC32.Update(0, o[p.Start:p.End]); p.CRC != want {
				t.Errorf("part %v has CRC %x, want %x", p.Range, p.CRC, want)
			}
		}
	})
}
