package s3reader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/s3reader/internal/blockcache"
)

// # How a handle works
//
//	Read, WriteTo ─► resumer (body.go)       the body of Open's own GET, in order
//	      │ if that is slow, or after a Seek
//	      └────────► Readahead ─► Cache      several connections (internal/blockcache)
//	ReadAt ─────────────────────► Cache      ranges, more of them for reads in sequence
//	with OpenOptions.Random: Read ─► resumer, for the bytes that are read (random.go)
//
// Read uses Open's body as long as it is read in order and its connection is fast
// enough (next, handOver); a Seek abandons it. The cache holds blocks within
// Options.Memory. All bytes come from one version (get.go). The checksum is computed
// while all bytes are read in order, and the last of them are withheld until it
// matches (addToSum).
//
// mu guards the position and what depends on it. The cache has a lock of its own,
// which may be taken while mu is held. Close does not wait for mu: a read that is
// in progress closes the body when it returns (unlock).

// Object is one version of an object, opened for reading with [Reader.Open].
//
// Read, WriteTo and Seek share one position; one goroutine at a time may call them.
// ReadAt, Info and Close may be called at any time from any goroutine. Close an
// Object when you have finished with it: it may hold a connection and memory.
type Object struct {
	version
	op string // of errors

	// The context of Open: io.Reader passes none.
	ctx    context.Context
	cancel context.CancelCauseFunc
	closed atomic.Bool

	verified atomic.Bool

	cache *blockcache.Cache

	mu       sync.Mutex // guards what follows
	pos      int64
	stream   resumer // the body of Open's own request, as long as it is used
	head     []byte  // its first bytes, for a caller that reads them and seeks back
	pace     pace
	ahead    blockcache.Readahead
	random   random
	sum      orderedSum // nil: nothing to compare with
	unasked  *composite // a checksum over those of the parts, which were not asked for yet; nil: none
	unsummed []byte     // the first bytes, read in order before the parts are asked for
	corrupt  error      // the checksum did not match; nil again after a seek to the start
}

var (
	_ io.ReadSeekCloser = (*Object)(nil)
	_ io.ReaderAt       = (*Object)(nil)
	_ io.WriterTo       = (*Object)(nil)
)

// Info describes the open version. Verified becomes true once all bytes have been
// read in order and matched the object's checksum.
func (o *Object) Info() Info {
	info := o.info
	info.Verified = o.verified.Load()
	return info
}

// Read reads the next bytes. It returns io.EOF only after Info().Size bytes. If all bytes
// were read in order and do not match the object's checksum, Read withholds the last of
// them and returns a [ChecksumMismatch].
func (o *Object) Read(p []byte) (n int, err error) {
	defer o.client.recovered(o.op, o.info.Key, &err)
	o.mu.Lock()
	defer o.unlock()
	n, err = o.read(p)
	return n, o.fail(err)
}

func (o *Object) read(p []byte) (int, error) {
	if err := o.checkOpen(); err != nil {
		return 0, err
	}
	if o.corrupt != nil {
		return 0, o.corrupt
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
	if err := o.addToSum(o.pos, p[:n]); err != nil {
		o.corrupt = err
		o.head = nil
		o.cache.Clear()
		return 0, err
	}
	o.pos += int64(n)
	return n, nil
}

// addToSum adds the bytes at pos to the checksum, if there is one.
func (o *Object) addToSum(pos int64, p []byte) error {
	if o.unasked != nil {
		if err := o.askForParts(pos, p); err != nil {
			return err
		}
	}
	if o.sum == nil {
		return nil
	}
	err := o.sum.add(pos, p)
	if o.sum.matched() {
		o.verified.Store(true)
	}
	return err
}

// askForParts requests the parts of a composite checksum before p, the bytes at pos, is
// added to it. It does so if all bytes so far were read in order. A random reader may
// want no more than a header: its parts are requested when more than headSize bytes, or
// all of them, were read.
func (o *Object) askForParts(pos int64, p []byte) error {
	if pos == 0 {
		o.unsummed = o.unsummed[:0]
	}
	if pos != int64(len(o.unsummed)) {
		return nil
	}
	if end := pos + int64(len(p)); o.random.on && !o.random.whole && end <= headSize && end < o.info.Size {
		o.unsummed = append(o.unsummed, p...)
		return nil
	}
	parts, err := partsOf(o.ctx, o.client, &o.info, o.unasked)
	if err != nil {
		return err
	}
	read := o.unsummed
	o.unasked, o.unsummed = nil, nil
	if parts == nil {
		return nil
	}
	o.sum = parts.inOrder()
	if len(read) == 0 {
		return nil
	}
	return o.sum.add(0, read)
}

// writeSize is how much WriteTo passes to the writer at a time, in bytes.
const writeSize = 256 << 10

// WriteTo writes the bytes from the current position to the end, as [io.WriterTo]
// demands; io.Copy uses it. The errors of w are returned as they are. The last
// bytes are withheld after a [ChecksumMismatch], as by Read.
func (o *Object) WriteTo(w io.Writer) (written int64, err error) {
	defer o.client.recovered(o.op, o.info.Key, &err)
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
// uses nor moves the position of Read, and makes no request if p is empty or off is
// at or beyond the end. Its bytes are not compared with the object's checksum,
// which is of all bytes.
//
// A single read is one ranged request for just these bytes. Reads that continue one
// another, with gaps of up to 1 MiB, request more: at most an eighth of what they
// have read so far, at first 1 MiB and never more than 8 MiB. A read of the
// object's end requests its last 256 KiB. So most reads are served from memory; see
// Options.Memory. With OpenOptions.Random they request less.
func (o *Object) ReadAt(p []byte, off int64) (n int, err error) {
	defer o.client.recovered(o.op, o.info.Key, &err)
	if err := o.checkOpen(); err != nil {
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
	o.releaseBody()
	want := min(int64(len(p)), o.info.Size-off)
	n, err = o.cache.ReadAt(p[:want], off)
	if err == nil && n < len(p) {
		return n, io.EOF
	}
	return n, o.fail(err)
}

// Seek moves the position of Read and WriteTo. It makes no request. A position
// beyond the end is allowed; Read then returns io.EOF. After a [ChecksumMismatch]
// only a seek to the start makes the handle readable again.
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
		o.corrupt = nil
	}
	return pos, nil
}

// Close ends the handle: reads in progress return, and later ones fail with
// fs.ErrClosed. It does not block, may be called again, and always returns nil.
func (o *Object) Close() error {
	o.closed.Store(true)
	o.cancel(fs.ErrClosed)
	o.cache.Clear()
	o.closeBody()
	return nil
}

// unlock unlocks mu, and closes the body if the handle was closed in the meantime.
func (o *Object) unlock() {
	o.mu.Unlock()
	if o.closed.Load() {
		o.closeBody()
	}
}

// closeBody closes the body. If a read is in progress, that closes it when it returns.
func (o *Object) closeBody() {
	if o.mu.TryLock() {
		o.stream.Close()
		o.mu.Unlock()
	}
}

// checkOpen returns why the handle can no longer be read, or nil.
func (o *Object) checkOpen() error {
	if o.closed.Load() {
		return fs.ErrClosed
	}
	return ctxErr(o.ctx)
}

// fail returns err as the caller gets it; io.EOF stays as it is.
func (o *Object) fail(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	// If the handle has ended, that is the cause of whatever error a request returned.
	if ended := o.checkOpen(); ended != nil {
		err = ended
	}
	return o.client.fail(o.op, o.info.Key, err)
}

// getStep is how much Get allocates, in bytes, because of a claimed length alone.
const getStep = 32 << 20

// Get returns all bytes of an object, in memory. Bodies that break off are resumed.
// If the error is nil, the length is the object's and, if the object has a checksum
// of all its bytes, so is the checksum. Get never returns some of the bytes.
func (r *Reader) Get(ctx context.Context, key string) (_ []byte, err error) {
	const op = "get"
	defer r.recovered(op, key, &err)
	o, err := openObject(ctx, r.client, r.getInput(key), op)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	return o.all()
}

// ErrNotModified is returned by [Reader.GetIfChanged], unwrapped, if the object still
// has the ETag that the caller knows.
var ErrNotModified = errors.New("s3reader: the object has not changed since it had that ETag")

// GetIfChanged returns all bytes of an object and its description, as [Reader.Get] and
// [Reader.Stat] do, unless the object still has that ETag: then the error is
// [ErrNotModified], and no byte is transferred. To poll an object, pass the Info.ETag
// of the previous call. With an empty etag the object is always returned.
//
// Quotes around etag may be missing, and a "W/" before it is ignored. A store that
// does not know If-None-Match, and responds with the object, gives the same results
// for the price of a GET.
func (r *Reader) GetIfChanged(ctx context.Context, key, etag string) (_ []byte, _ *Info, err error) {
	const op = "get"
	defer r.recovered(op, key, &err)
	in := r.getInput(key)
	if known := normalETag(&etag); known != "" {
		if !isETag(known) {
			return nil, nil, r.fail(op, key, fmt.Errorf("%q is not an ETag: pass Info.ETag of an earlier call, or an empty string", etag))
		}
		in.IfNoneMatch = &known
	}
	o, err := openObject(ctx, r.client, in, op)
	if err != nil {
		if in.IfNoneMatch != nil && isNotModified(err) {
			return nil, nil, notModified(r.client, op, in, err)
		}
		return nil, nil, err
	}
	defer o.Close()
	if in.IfNoneMatch != nil && o.info.ETag == *in.IfNoneMatch {
		return nil, nil, ErrNotModified
	}
	data, err := o.all()
	if err != nil {
		return nil, nil, err
	}
	info := o.Info()
	return data, &info, nil
}

// all returns all bytes of an object that was just opened.
func (o *Object) all() ([]byte, error) {
	size := o.info.Size
	if size > math.MaxInt {
		return nil, o.fail(fmt.Errorf("an object of %d bytes does not fit in memory: use Open", size))
	}
	var data []byte
	for int64(len(data)) < size {
		n := len(data)
		step := int(min(size-int64(n), max(int64(n), getStep)))
		data = slices.Grow(data, step)[:n+step]
		if _, err := io.ReadFull(o, data[n:]); err != nil {
			return nil, err
		}
	}
	if data == nil {
		data = []byte{}
	}
	return data, nil
}

// OpenOptions of [Reader.Open]. The zero value is for reading an object from its
// beginning to its end.
type OpenOptions struct {
	// Random is for reading small parts of an object. Opening it costs one HEAD
	// request, and then only what is read is requested: a Read or ReadAt requests as
	// many bytes as it has room for and, if it continues an earlier one, at most as
	// many more as that sequence has read so far, and never more than 256 KiB. Every
	// read that cannot be served from memory waits for a request of its own. WriteTo
	// reads to the end over one connection. False: the request that opens the object
	// is for all of it.
	Random bool
}

// Open opens the object's current version for reading, with one GET request
// whose body is then read or, with OpenOptions.Random, one HEAD request. When ctx
// ends, so do all reads of the handle: io.Reader has no context of its own.
func (r *Reader) Open(ctx context.Context, key string, optFns ...func(*OpenOptions)) (*Object, error) {
	const op = "open"
	opts, err := optionsOf(optFns)
	if err != nil {
		return nil, r.fail(op, key, err)
	}
	if !opts.Random {
		return openObject(ctx, r.client, r.getInput(key), op)
	}
	o, err := openRandom(ctx, r.client, key, false)
	if err != nil {
		return nil, r.fail(op, key, err)
	}
	return o, nil
}

// openObject opens a handle, with that GET, whose errors have that op.
func openObject(ctx context.Context, c *client, in *s3.GetObjectInput, op string) (_ *Object, err error) {
	key := *in.Key
	defer c.recovered(op, key, &err)
	ctx, cancel := context.WithCancelCause(ctx)
	head, info, body, err := c.getWhole(ctx, in)
	if err != nil {
		cancel(err)
		return nil, c.fail(op, key, err)
	}
	o := newObject(ctx, c, cancel, info, head, false)
	if op != "open" {
		o.op = op
	}
	o.stream.end, o.stream.body = info.Size, body
	if info.Size == 0 {
		o.stream.Close()
		if err := o.addToSum(0, nil); err != nil {
			cancel(err)
			return nil, c.fail(op, key, err)
		}
	}
	return o, nil
}

// newObject returns a handle on a version, before any of its bytes are requested.
// With exact, it requests little more than what is read.
func newObject(ctx context.Context, c *client, cancel context.CancelCauseFunc, info *Info, head *s3.HeadObjectOutput, exact bool) *Object {
	o := &Object{version: version{client: c, info: *info}, ctx: ctx, cancel: cancel, op: "read"}
	o.random.on = exact
	o.cache = blockcache.New(ctx, blockcache.Config{
		Size: info.Size, Limit: c.opts.memory(), Exact: exact,
		Open: func(ctx context.Context, start, end int64) blockcache.Body {
			return &resumer{of: &o.version, ctx: ctx, pos: start, end: end}
		},
		Recovered: workerError,
	})
	o.ahead = blockcache.Readahead{Cache: o.cache, Connections: c.opts.Concurrency}
	o.stream = resumer{of: &o.version, ctx: ctx}
	if c.opts.Verify == VerifyAuto {
		o.sum = wholeChecksums(head).inOrder(info.Size)
		o.unasked = compositeOf(head)
	}
	return o
}

const (
	// headSize is how many of the first bytes a handle keeps, so that a caller can detect
	// the content type and read again from the start with one request.
	headSize = 16 << 10

	// maxSkip is how far a body is read on, in bytes, before another one is requested.
	maxSkip = 1 << 20
)

// next reads at the position: from the body of Open's request as long as reading continues
// in order and the connection is fast enough, else through the cache.
func (o *Object) next(p []byte) (int, error) {
	s := &o.stream
	if o.pos != s.pos && o.pos < int64(len(o.head)) {
		return copy(p, o.head[o.pos:]), nil
	}
	if gap := o.pos - s.pos; gap > 0 && gap <= maxSkip && s.body != nil && o.pos < s.end {
		if err := o.skip(p); err != nil {
			return 0, err
		}
	}
	if o.pos != s.pos || s.pos >= s.end {
		s.Close()
		s.end = 0
		if n, err := o.ahead.Read(p, o.pos); n > 0 || err != nil {
			return n, err
		}
		s.pos, s.end, s.failedAttempts = o.pos, o.info.Size, 0 // no room: over one connection
	}
	began := time.Now()
	n, err := s.Read(p)
	if err != nil {
		return 0, err
	}
	if o.pos == int64(len(o.head)) && o.pos < headSize {
		o.head = append(o.head, p[:min(int64(n), headSize-o.pos)]...)
	}
	o.handOver(began, n)
	return n, nil
}

// skip reads the body up to the position, with p as buffer.
func (o *Object) skip(p []byte) error {
	for o.stream.pos < o.pos {
		if _, err := o.stream.Read(p[:min(int64(len(p)), o.pos-o.stream.pos)]); err != nil {
			return err
		}
	}
	return nil
}

// handOver lets read-ahead continue over other connections if the body is too slow.
func (o *Object) handOver(began time.Time, n int) {
	s := &o.stream
	if s.end == o.info.Size {
		if !o.pace.slow(began, time.Now(), n) || s.end-s.pos < 2*handover || o.client.opts.memory() < 4*handover {
			return
		}
		s.end = s.pos + handover
		o.ahead.Start(s.end, 2*handover)
	}
	o.ahead.Fill()
}

// releaseBody closes the body of Open's request before the first Read: ReadAt does not use
// it.
func (o *Object) releaseBody() {
	if o.mu.TryLock() {
		if o.pos == 0 && o.stream.pos == 0 && o.stream.body != nil {
			o.stream.Close()
			o.stream.end = 0
		}
		o.unlock()
	}
}

const (
	// S3 delivers about 90 MB/s over one connection
	// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-design-patterns.html:
	// "one concurrent request for each 85–90 MB/s"). If one delivers much more, others
	// would not help.
	ampleRate = 250e6 // bytes per second

	waitShare   = 2       // a body is slow if its reader waits for 1/waitShare of the time
	judgedBytes = 4 << 20 // over which that is measured
	handover    = 4 << 20 // how much of a body is still read while other connections start
)

// pace measures whether a body's connection slows its reader down.
type pace struct {
	since  time.Time
	waited time.Duration
	bytes  int64
}

// slow records a read. After judgedBytes, it reports whether the reader has spent most of
// the time waiting for a connection that is slower than ampleRate.
func (p *pace) slow(began, ended time.Time, n int) bool {
	if p.bytes == 0 {
		p.since = began
	}
	p.waited += ended.Sub(began)
	p.bytes += int64(n)
	if p.bytes < judgedBytes {
		return false
	}
	all := ended.Sub(p.since)
	slow := p.waited > all/waitShare && float64(p.bytes) < ampleRate*all.Seconds()
	*p = pace{}
	return slow
}
