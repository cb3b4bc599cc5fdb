package s3reader

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
)

// Object is one version of an object, opened for reading with [Reader.Open].
//
// Read, WriteTo and Seek share one position and are for one goroutine at a time.
// ReadAt, Info and Close may be called at any time from any goroutine.
type Object struct {
	version
	op string // what errors begin with

	// The context of Open: io.Reader passes none.
	ctx    context.Context
	cancel context.CancelCauseFunc
	closed atomic.Bool

	verified atomic.Bool

	cache *cache

	mu     sync.Mutex // guards what follows
	pos    int64
	stream stream // the body of Open's own request, as long as it is of use
	head   []byte // its first bytes, for who looks at them and seeks back
	pace   pace
	ahead  readahead
	random random
	sum    *wholeSum // nil: nothing to compare with
	spoilt error     // the bytes were not the object's; until the start is sought
}

var (
	_ io.ReadSeekCloser = (*Object)(nil)
	_ io.ReaderAt       = (*Object)(nil)
	_ io.WriterTo       = (*Object)(nil)
)

// Info describes the version that is open. Verified turns true once all bytes
// have been read in order and matched the object's checksum.
func (o *Object) Info() Info {
	info := o.info
	info.Verified = o.verified.Load()
	return info
}

// Read reads the next bytes. It returns io.EOF after Info().Size bytes and never
// before. If all bytes were read in order and their checksum is not the
// object's, the last of them are withheld and the error is [ChecksumMismatch].
func (o *Object) Read(p []byte) (n int, err error) {
	defer o.r.recovered(o.op, o.info.Key, &err)
	o.mu.Lock()
	defer o.unlock()
	n, err = o.read(p)
	return n, o.fail(err)
}

func (o *Object) read(p []byte) (int, error) {
	if err := o.ended(); err != nil {
		return 0, err
	}
	if o.spoilt != nil {
		return 0, o.spoilt
	}
	if len(p) == 0 {
		return 0, nil
	}
	if o.pos >= o.info.Size {
		return 0, io.EOF
	}
	n, read, err := 0, false, error(nil)
	if o.random.on {
		n, read, err = o.nextRandom(p)
	}
	if !read {
		n, err = o.next(p)
	}
	if err != nil {
		return 0, err
	}
	if err := o.summed(o.pos, p[:n]); err != nil {
		o.spoilt = err
		o.head = nil
		o.cache.clear()
		return 0, err
	}
	o.pos += int64(n)
	return n, nil
}

// summed adds the bytes at pos to the checksum, if there is one.
func (o *Object) summed(pos int64, p []byte) error {
	if o.sum == nil {
		return nil
	}
	err := o.sum.add(pos, p)
	if o.sum.matched {
		o.verified.Store(true)
	}
	return err
}

// writeSize is how much WriteTo hands to the writer at once, in bytes.
const writeSize = 256 << 10

// WriteTo writes the bytes from the current position to the end.
func (o *Object) WriteTo(w io.Writer) (written int64, err error) {
	defer o.r.recovered(o.op, o.info.Key, &err)
	o.mu.Lock()
	defer o.unlock()
	o.toEnd()
	buf := make([]byte, max(1, min(writeSize, o.info.Size-o.pos)))
	for {
		n, err := o.read(buf)
		if err == io.EOF {
			return written, nil
		}
		if err != nil {
			return written, o.fail(err)
		}
		m, err := w.Write(buf[:n])
		written += int64(m)
		if err == nil && m < n {
			err = io.ErrShortWrite
		}
		if err != nil {
			return written, err
		}
	}
}

// ReadAt reads len(p) bytes from offset off, as [io.ReaderAt] demands. It neither
// uses nor moves the position of Read, and makes no request for no bytes or at or
// beyond the end.
//
// A read on its own is one ranged request for just these bytes. Reads that go on
// from one another, with gaps of up to 1 MiB, ask for more than that, at most an
// eighth of what they have had (but 1 MiB at first, and 8 MiB at most), and a read
// of the object's end asks for its last 256 KiB, so that most of them are answered
// from memory; see Options.Memory. With OpenOptions.Random they ask for less, as
// said there.
func (o *Object) ReadAt(p []byte, off int64) (n int, err error) {
	defer o.r.recovered(o.op, o.info.Key, &err)
	if err := o.ended(); err != nil {
		return 0, o.fail(err)
	}
	switch {
	case off < 0:
		return 0, o.fail(fmt.Errorf("offset %d is negative: %w", off, fs.ErrInvalid))
	case len(p) == 0:
		return 0, nil
	case off >= o.info.Size:
		return 0, io.EOF
	}
	o.letGo()
	want := min(int64(len(p)), o.info.Size-off)
	n, err = o.cache.readAlong(p[:want], off)
	if err == nil && n < len(p) {
		return n, io.EOF
	}
	return n, o.fail(err)
}

// Seek moves the position of Read and WriteTo, without a request. A position
// beyond the end is allowed, and reads as io.EOF. After a [ChecksumMismatch] only
// a seek to the start makes the handle readable again.
func (o *Object) Seek(offset int64, whence int) (int64, error) {
	o.mu.Lock()
	defer o.unlock()
	if o.closed.Load() {
		return 0, o.fail(fs.ErrClosed)
	}
	var base int64
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		base = o.pos
	case io.SeekEnd:
		base = o.info.Size
	default:
		return 0, o.fail(fmt.Errorf("whence %d is none of io.SeekStart, io.SeekCurrent, io.SeekEnd: %w", whence, fs.ErrInvalid))
	}
	pos := base + offset
	if pos < 0 {
		return 0, o.fail(fmt.Errorf("position %d is negative or too large: %w", pos, fs.ErrInvalid))
	}
	if pos != o.pos {
		o.random.whole = false
	}
	if o.pos = pos; pos == 0 {
		o.spoilt = nil
	}
	return pos, nil
}

// Close ends the handle: reads under way return, later ones fail with
// fs.ErrClosed. It waits for nobody, may be called again, and returns nil.
func (o *Object) Close() error {
	o.closed.Store(true)
	o.cancel(fs.ErrClosed)
	o.cache.clear()
	o.sweep()
	return nil
}

// unlock lets go of the position, and of the body if the handle was closed
// meanwhile.
func (o *Object) unlock() {
	o.mu.Unlock()
	if o.closed.Load() {
		o.sweep()
	}
}

// sweep closes the body, unless somebody is at work with it, who will sweep
// afterwards.
func (o *Object) sweep() {
	if o.mu.TryLock() {
		o.stream.close()
		o.mu.Unlock()
	}
}

// ended is why the handle can be read no more, or nil.
func (o *Object) ended() error {
	if o.closed.Load() {
		return fs.ErrClosed
	}
	return endOf(o.ctx)
}

// fail is err as the caller sees it; io.EOF stays what it is.
func (o *Object) fail(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	// Whatever a request says when the handle ends under it, the end is the cause.
	if ended := o.ended(); ended != nil {
		err = ended
	}
	return o.r.fail(o.op, o.info.Key, err)
}
