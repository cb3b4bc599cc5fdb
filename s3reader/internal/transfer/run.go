// Package transfer fetches the ranges of an object over several connections and
// writes them to where they belong.
//
// # How it works
//
// A [Plan] divides the missing bytes into segments of equal length. A [Job] runs one worker
// per connection. Each worker takes a segment from the scheduler, reads it from its [Body]
// and writes it. A worker that has finished takes over a part of the segment that would
// finish last, so that all workers finish at about the same time.
//
//	Plan ─► scheduler ─► worker ─► Body.Read ─► WriteAt ─► Part
//	            ▲  segments │ 1 per connection
//	            └───────────┘    Limiter: how many at the same time
//
// A segment's end may move toward its start while it is read, because another worker takes
// over the rest. So a worker claims bytes from the scheduler after it has read them, and
// drops those that are no longer its own: exactly one worker writes each byte.
//
// The Limiter limits the connections of one download, or of all downloads of a directory.
// The ramp measures how many of them raise throughput (ramp.go). Buffers are smaller the
// more connections are in use.
//
// There are two locks, never held together: the scheduler's guards the assignment of bytes,
// the limiter's the number of connections.
package transfer

import (
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crossrole/crossrole/s3reader/internal/crc"
)

// Body delivers the bytes of one range after another. It resumes by itself when a connection
// breaks. One goroutine uses it at a time.
type Body interface {
	io.Reader
	// Reset makes r the range that Read delivers next, with requests under ctx. It keeps
	// a connection that is already at r.Start.
	Reset(ctx context.Context, r Range)
	// Close closes the connection. After Reset, Read opens a new one.
	Close()
}

// Job fetches one object, or its missing ranges.
type Job struct {
	Limits  *Limits
	Plan    Plan
	Missing []Range
	W       io.WriterAt // called by several goroutines
	Open    func() Body // for another connection

	// First, unless nil, is a body that is at the start of Missing. It holds a place of
	// the limiter, which ReleaseFirst frees. ReleaseFirst may be called more than once.
	First        Body
	ReleaseFirst func()

	// Probe opens about as many of the Plan's connections as raise throughput (ramp.go).
	Probe bool

	Sum *crc.Kind // of the parts; nil: none

	// Borders are positions in the object, in ascending order, that no part crosses.
	Borders []int64

	// Wrote, unless nil, is called for bytes that were written.
	Wrote func(n int64)

	// Done, unless nil, is called for each complete part, by several goroutines: at the
	// end of a segment and, unless Step is 0, after Step bytes of one.
	Done func(Part)
	Step int64

	// Recovered returns the error for a panic with value v in a worker: in W, in a Body
	// or in a function of this Job. v is nil if the code ended the goroutine with
	// runtime.Goexit.
	Recovered func(v any) error

	scheduler *scheduler
	received  atomic.Int64 // bytes, written or not

	mu    sync.Mutex // guards parts
	parts []Part
}

// Run fetches the missing bytes and returns them as parts, after an error those that were
// written before. The error is that of parent, or the first of a worker.
func (j *Job) Run(parent context.Context) ([]Part, error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	j.scheduler = newScheduler(j.Missing, j.Plan.step, j.Plan.fixed)
	var workers sync.WaitGroup
	var working atomic.Int64
	body, release := j.First, j.ReleaseFirst
	open := func(n int) bool { // until n workers are there
		j.scheduler.limit(0)
		for working.Load() < int64(n) && ctx.Err() == nil {
			if body == nil {
				if err := j.Limits.Acquire(ctx); err != nil {
					cancel(err)
					return false
				}
				body, release = j.Open(), j.Limits.Release
			}
			s, _ := j.scheduler.next(ctx, 0)
			if s == nil {
				release()
				return false
			}
			j.scheduler.opened(s)
			with, leave := body, release
			working.Add(1)
			workers.Go(func() {
				defer working.Add(-1)
				j.work(ctx, cancel, s, with, leave)
			})
			body = nil
		}
		return true
	}
	if !j.Probe {
		open(j.Plan.Connections)
	} else if open(1) {
		j.ramp(ctx, open)
	}
	workers.Wait()
	if err := parent.Err(); err != nil {
		return j.parts, err
	}
	return j.parts, context.Cause(ctx)
}

// work is a worker. It fetches one segment after another and calls cancel with the error
// that ends it early. When it is called, it holds a place of the limiter, which release
// frees.
func (j *Job) work(ctx context.Context, cancel context.CancelCauseFunc, s *segment, body Body, release func()) {
	returned := false
	defer func() {
		if v := recover(); v != nil || !returned {
			cancel(j.Recovered(v))
			j.scheduler.finish(s)
			release()
			j.complete(s)
		}
	}()
	defer body.Close()
	for s != nil {
		release = sync.OnceFunc(release)
		stopped, err := j.fetch(s, body)
		body.Close()
		rate := j.scheduler.finish(s)
		j.complete(s)
		if err == nil && !stopped {
			j.Limits.Succeeded()
		}
		release()
		if stopped {
			break
		}
		if err == nil {
			s, err = j.nextSegment(ctx, rate)
			release = j.Limits.Release
		}
		if err != nil {
			cancel(err)
			break
		}
	}
	returned = true
}

// nextSegment waits for a segment and a place of the limiter. It returns nil if there will
// be no other segment.
func (j *Job) nextSegment(ctx context.Context, rate float64) (*segment, error) {
	for {
		changed := j.scheduler.wait()
		if err := j.Limits.Acquire(ctx); err != nil {
			return nil, err
		}
		s, more := j.scheduler.next(ctx, rate)
		if s != nil {
			return s, nil
		}
		j.Limits.Release()
		if !more {
			return nil, nil
		}
		select {
		case <-changed:
		case <-time.After(tooLong / 4): // a segment may have become slow
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// fetch reads one segment and writes it. It stops early if the connection is not needed
// any more.
func (j *Job) fetch(s *segment, body Body) (stopped bool, _ error) {
	var buf []byte
	defer func() { PutBuffer(buf) }()
	size := readSize(BufferSize)
	whole := max(j.scheduler.rest(s).Len(), 1)
	for {
		if j.scheduler.giveBack(s) {
			return true, nil
		}
		left := j.scheduler.rest(s)
		if left.Len() == 0 {
			return false, nil
		}
		body.Reset(s.ctx, left)
		began := time.Now()
		buf = fit(buf, min(j.Limits.buffer(), whole))
		n, err := j.read(s, body, buf[:min(int64(size), int64(len(buf)), j.border(left)-left.Start)])
		size.adapt(time.Since(began))
		if err := j.write(s, buf[:n], left.Start); err != nil {
			return false, err
		}
		if err != nil && j.scheduler.rest(s).Len() > 0 {
			return false, err
		}
	}
}

// read fills p, as io.ReadFull does, and counts the bytes as they arrive.
func (j *Job) read(s *segment, body Body, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = body.Read(p[n:])
		if n += m; m > 0 {
			j.received.Add(int64(m))
			if s.silent { // changed by this worker only
				j.scheduler.heard(s)
			}
		}
	}
	switch {
	case n == len(p):
		return n, nil
	case n > 0 && err == io.EOF:
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// write writes those of the bytes at pos that still belong to the segment.
func (j *Job) write(s *segment, p []byte, pos int64) error {
	p = p[:j.scheduler.claim(s, len(p))]
	if len(p) == 0 {
		return nil
	}
	switch n, err := j.W.WriteAt(p, pos); {
	case err != nil:
		return err
	case n < len(p):
		return io.ErrShortWrite
	}
	if j.Sum != nil {
		s.got.CRC = j.Sum.Update(s.got.CRC, p)
	}
	n := int64(len(p))
	s.got.End += n
	if j.Wrote != nil {
		j.Wrote(n)
	}
	if j.Step > 0 && s.got.Len() >= j.Step || len(j.Borders) > 0 && j.atBorder(s.got.End) {
		j.complete(s)
	}
	return nil
}

// border returns the first of the Borders within r, or its end.
func (j *Job) border(r Range) int64 {
	if i, _ := slices.BinarySearch(j.Borders, r.Start+1); i < len(j.Borders) {
		return min(j.Borders[i], r.End)
	}
	return r.End
}

func (j *Job) atBorder(pos int64) bool {
	_, found := slices.BinarySearch(j.Borders, pos)
	return found
}

// complete makes a part of the bytes of a segment that have arrived.
func (j *Job) complete(s *segment) {
	if s.got.Len() == 0 {
		return
	}
	part := s.got
	s.got = Part{Range: Range{part.End, part.End}}
	j.mu.Lock()
	j.parts = append(j.parts, part)
	j.mu.Unlock()
	if j.Done != nil {
		j.Done(part)
	}
}

// readSize is how many bytes a connection reads before it claims them: as many as the buffer
// holds, but few enough that a slow connection reports progress.
type readSize int64

const (
	fastRead = 25 * time.Millisecond
	slowRead = 100 * time.Millisecond
)

// adapt adjusts the size to how long the last read took.
func (r *readSize) adapt(took time.Duration) {
	switch {
	case took < fastRead:
		*r = min(*r*2, maxBuffer)
	case took > slowRead:
		*r = max(*r/2, minBuffer)
	}
}
