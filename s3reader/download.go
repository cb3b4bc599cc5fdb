package s3reader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/s3reader/internal/crc"
	"github.com/crossrole/crossrole/s3reader/internal/partfile"
	"github.com/crossrole/crossrole/s3reader/internal/transfer"
)

// # How a download works
//
//	Download, DownloadFile, DownloadDir (tree.go)
//	     │ one download per object
//	     ├─► fresh   one GET: describes the object and delivers its beginning
//	     ├─► resume  one HEAD, and the parts that are in a partfile.File
//	     │
//	     ├─► inOrder  small objects: all bytes over the connection of that GET
//	     └─► run      large ones: a transfer.Job over several connections
//	              └─► resumer (body.go)    one per connection: GETs of ranges, all of
//	                      one version (get.go), which continue after a failure
//
// run and inOrder write to download.w: the caller's io.WriterAt, or a part file that
// commit renames to the target (internal/partfile). Each part has a CRC; run combines
// them and compares the result with the object's checksum, or with those of the parts
// of its upload (composite.go). For another checksum than a CRC, the file is read again
// at the end (readBack).
//
// The limits (transfer.Limits) and the reporter (progress.go) are shared by all
// downloads of a tree, and lock themselves. A download is used by one goroutine;
// its Job calls w, counter and part from several.

// DownloadOptions of [Reader.Download] and [Reader.DownloadFile]. The zero value is
// ready to use: a zero field means the setting in the Reader's Options.
type DownloadOptions struct {
	// PartSize is the size in bytes of a ranged request. 0: Options.PartSize.
	PartSize int64

	// Concurrency is how many connections the download uses at most. 0:
	// Options.Concurrency.
	Concurrency int

	// Progress, if set, is called during this download, as Options.Progress is.
	// nil: Options.Progress.
	Progress func(Progress)
}

// downloadOptions returns the options of one call, completed from the Reader's.
func (r *Reader) downloadOptions(optFns []func(*DownloadOptions)) (DownloadOptions, error) {
	o, err := optionsOf(optFns)
	if err == nil && (o.PartSize < 0 || o.Concurrency < 0) {
		err = fmt.Errorf("DownloadOptions.PartSize %d and Concurrency %d must not be negative: leave them 0 for those of the Reader", o.PartSize, o.Concurrency)
	}
	o.PartSize = cmp.Or(o.PartSize, r.opts.PartSize)
	o.Concurrency = cmp.Or(o.Concurrency, r.opts.Concurrency)
	if o.Progress == nil {
		o.Progress = r.opts.Progress
	}
	return o, err
}

// Download writes an object to w, each byte at its offset in the object. An object
// of more than 8 MiB (or PartSize, if set) is fetched over several connections at the
// same time, see [DownloadOptions], and w.WriteAt is then called by several
// goroutines. If w is a regular *os.File, it is first cut or extended to the object's
// size.
//
// All bytes are of one version. If the error is nil, all of them have been written
// and, if Info.Verified is true, they match the object's checksum: a CRC of all its
// bytes or of the parts of its upload (see [VerifyAuto]), or any other algorithm if the
// object was fetched over one connection or if w is a regular *os.File that can be read
// too. Such a file is read again at the end, because a hash like SHA-256 needs the bytes
// in order. After an error, w holds some of the bytes, in no order.
//
// A connection that breaks or stalls is resumed at the next byte. Unless Concurrency is
// set, throughput is measured, and about as many connections are kept as raise it. Fewer
// are used when S3 asks to slow down. After a [ChecksumMismatch] nothing is fetched
// again: the checksum does not show which bytes are wrong.
//
// An *os.File that cannot be written at offsets (opened with os.O_APPEND or for
// reading only, a pipe, a terminal) is an error before any request is made; see
// [Object.WriteTo].
func (r *Reader) Download(ctx context.Context, key string, w io.WriterAt, optFns ...func(*DownloadOptions)) (_ *Info, err error) {
	defer r.recovered("download", key, &err)
	opts, err := r.downloadOptions(optFns)
	if err != nil {
		return nil, r.fail("download", key, err)
	}
	if f, ok := w.(*os.File); ok {
		if err := offsets(f); err != nil {
			return nil, r.fail("download", key, err)
		}
	}
	d := newDownload(r.client, key, opts)
	err = d.counter.reporter.during(ctx, func(ctx context.Context) error {
		return d.fresh(ctx, "", func() error {
			d.w = w
			f, ok := w.(*os.File)
			if !ok {
				return nil
			}
			d.w = &serial{WriterAt: f}
			stat, err := f.Stat()
			if err != nil || !stat.Mode().IsRegular() {
				return err
			}
			d.written = f
			// The file system need not grow it out of order, and nothing is left of longer
			// contents.
			return f.Truncate(d.info.Size)
		})
	})
	if err != nil {
		return nil, r.fail("download", key, err)
	}
	return &d.info, nil
}

// offsets returns an error if f cannot be written at offsets.
func offsets(f *os.File) error {
	if f == nil {
		return os.ErrInvalid
	}
	if _, err := f.WriteAt(nil, 0); err != nil { // writes nothing; os refuses O_APPEND
		return fmt.Errorf("%s cannot be written at offsets, as Download does: open it without os.O_APPEND: %w", f.Name(), err)
	}
	if err := checkWriterAt(f); err != nil {
		return fmt.Errorf("%s cannot be written at offsets, as Download does: use Open and WriteTo for a pipe or a terminal, and open a file for writing: %w", f.Name(), err)
	}
	return nil
}

// download fetches one object to a writer.
type download struct {
	version
	w       io.WriterAt
	written io.ReaderAt    // the file that w writes to; nil: it cannot be read
	part    *partfile.File // with a journal; nil: none
	counter counter
	limits  *transfer.Limits

	partSize    int64 // bytes; 0: chosen for the object
	concurrency int   // connections; 0: as many as pay

	kind  *crc.Kind    // of the ranges; nil: none is computed
	sums  checksums    // of the complete object; none: unknown, or not compared
	parts *objectParts // of its upload, with a composite checksum; nil: unknown, or not compared
}

// maxConnections is the maximum if Concurrency is 0. With the 90 MB/s that S3 delivers
// over each connection, they fill a network of about 23 Gbit/s.
const maxConnections = 32

func newDownload(c *client, key string, opts DownloadOptions) *download {
	limits := transfer.NewLimits(cmp.Or(opts.Concurrency, maxConnections), c.opts.memory())
	return downloadWith(c, key, opts.PartSize, opts.Concurrency, limits, &reporter{key: key, call: opts.Progress})
}

// downloadWith returns a download that shares limits and a reporter with others.
func downloadWith(c *client, key string, partSize int64, concurrency int, l *transfer.Limits, m *reporter) *download {
	return &download{
		version: version{client: c, info: Info{Key: key}}, counter: counter{reporter: m}, limits: l,
		partSize: partSize, concurrency: concurrency,
	}
}

// fresh fetches an object from its beginning. The first response has a complete small
// object, or the beginning of a large one. If etag is not empty, a version with another
// ETag is an ObjectChanged error. fresh calls begin as soon as d.info is known; begin
// sets d.w.
func (d *download) fresh(ctx context.Context, etag string, begin func() error) error {
	ctx, cancel := context.WithCancel(reportThrottling(ctx, d.limits.Limiter))
	defer cancel()
	if err := d.limits.Acquire(ctx); err != nil {
		return err
	}
	release := sync.OnceFunc(d.limits.Release)
	defer release()
	in := d.client.getInput(d.info.Key)
	if etag != "" {
		in.IfMatch = &etag
	}
	head, info, body, err := d.client.getWhole(ctx, in)
	if err != nil {
		if etag != "" {
			listed := version{client: d.client, info: Info{Key: d.info.Key, ETag: etag, Size: -1}}
			err = listed.whyRefused(ctx, err)
		}
		return err
	}
	job := transfer.Job{ReleaseFirst: release, Missing: []transfer.Range{{Start: 0, End: info.Size}}}
	first := &resumer{of: &d.version, ctx: ctx, end: info.Size, body: body}
	defer first.Close()
	job.First = first
	d.info = *info
	if err := d.expect(ctx, head); err != nil {
		return err
	}
	if err := begin(); err != nil {
		return err
	}
	d.counter.expect(info.Size)
	job.Plan = d.plan(info.Size)
	// Without an ETag, a second request could get another version.
	if info.ETag == "" || job.Plan.Connections == 1 && d.part == nil {
		return d.inOrder(first)
	}
	return d.run(ctx, &job, nil)
}

// plan divides the missing bytes of the object among connections.
func (d *download) plan(missing int64) transfer.Plan {
	n := d.limits.Max()
	if d.concurrency > 0 {
		n = min(n, d.concurrency)
	}
	stored := transfer.StoredPart(d.info.ETag, d.info.Size)
	if d.parts != nil {
		stored = d.parts.size()
	}
	return transfer.NewPlan(missing, n, d.partSize, stored)
}

// leastSegment returns the size, in bytes, up to which an object is fetched over
// one connection.
func (d *download) leastSegment() int64 {
	return cmp.Or(d.partSize, transfer.MinSegment)
}

// run fetches what is missing over several connections, and verifies the complete
// object: what was fetched, together with the parts that were there already.
func (d *download) run(ctx context.Context, job *transfer.Job, parts []transfer.Part) error {
	job.Limits, job.W, job.Sum, job.Wrote = d.limits, d.w, d.kind, d.counter.add
	job.Probe = d.concurrency == 0
	job.Open = func() transfer.Body { return &resumer{of: &d.version} }
	job.Recovered = workerError
	if d.parts != nil && d.kind != nil && d.kind == d.parts.of.crc {
		job.Borders = d.parts.ends
	}
	if d.part != nil {
		job.Done, job.Step = d.part.Add, d.part.Step()
	}
	fetched, err := job.Run(ctx)
	if err != nil {
		return err
	}
	parts = append(parts, fetched...)
	sum, err := transfer.Sum(parts, d.info.Size, d.kind)
	if err != nil {
		return err
	}
	if d.parts != nil {
		d.info.Verified, err = d.verifyParts(ctx, parts)
	} else {
		d.info.Verified, err = d.verify(ctx, sum)
	}
	return err
}

// verifyParts compares the parts of the object's upload with their checksums, from the
// CRCs of the ranges that were fetched, which are in order, or by reading the file
// again. It reports whether all of them were compared.
func (d *download) verifyParts(ctx context.Context, fetched []transfer.Part) (bool, error) {
	if d.kind != nil && d.kind == d.parts.of.crc {
		if compared, err := d.parts.compare(fetched); compared || err != nil {
			return compared, err
		}
	}
	return d.readBack(ctx, d.parts.inOrder())
}

// verify compares the complete object with its checksums, of which sum is one if d.kind
// is. It reports whether all of them were compared.
func (d *download) verify(ctx context.Context, sum uint64) (bool, error) {
	var others checksums
	for _, c := range d.sums {
		if c.crc == nil || c.crc != d.kind {
			others = append(others, c)
		} else if err := c.compare(d.kind.Encode(sum), d.info.Size); err != nil {
			return false, err
		}
	}
	if len(others) == 0 {
		return len(d.sums) > 0, nil
	}
	return d.readBack(ctx, others.inOrder(d.info.Size))
}

// readBack compares the bytes, as they were written, with checksums that are computed
// over bytes in order. It reports false if w cannot be read.
func (d *download) readBack(ctx context.Context, sum orderedSum) (bool, error) {
	if d.written == nil {
		return false, nil
	}
	buf := transfer.Buffer(min(d.limits.Buffer, transfer.BufferSize))
	defer transfer.PutBuffer(buf)
	for pos := int64(0); pos < d.info.Size; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n, err := d.written.ReadAt(buf[:min(int64(len(buf)), d.info.Size-pos)], pos)
		if n == 0 {
			if pos == 0 && d.part == nil { // the caller's file is open for writing only
				return false, nil
			}
			return false, fmt.Errorf("reading the file to compare its checksum: %w", err)
		}
		if err := sum.add(pos, buf[:n]); err != nil {
			return false, err
		}
		pos += int64(n)
	}
	return sum.matched(), nil
}

// serial makes one write to a file at a time. File systems do so anyway, but with a spin
// lock.
type serial struct {
	mu sync.Mutex
	io.WriterAt
}

func (s *serial) WriteAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.WriterAt.WriteAt(p, off)
}

// expect sets the checksum that the complete object, or each part of its upload, must
// have.
func (d *download) expect(ctx context.Context, head *s3.HeadObjectOutput) error {
	if d.client.opts.Verify == VerifyOff {
		return nil
	}
	d.sums = wholeChecksums(head)
	d.kind = d.sums.parallel()
	of := compositeOf(head)
	if of == nil {
		return nil
	}
	d.kind = of.crc
	var err error
	d.parts, err = partsOf(ctx, d.client, &d.info, of)
	return err
}

// inOrder fetches all bytes over one connection.
func (d *download) inOrder(s *resumer) error {
	sum := d.sums.inOrder(d.info.Size)
	if d.parts != nil {
		sum = d.parts.inOrder()
	}
	buf := transfer.Buffer(min(d.limits.Buffer, transfer.BufferSize, s.end))
	defer transfer.PutBuffer(buf)
	for {
		pos := s.pos
		n, err := io.ReadFull(s, buf[:min(int64(len(buf)), s.end-pos)])
		if err != nil {
			return err
		}
		if sum != nil {
			if err := sum.add(pos, buf[:n]); err != nil {
				return err
			}
			d.info.Verified = sum.matched()
		}
		if n == 0 {
			return nil
		}
		if err := d.write(buf[:n], pos); err != nil {
			return err
		}
		d.counter.add(int64(n))
	}
}

// write passes bytes to the caller's writer, which may panic.
func (d *download) write(p []byte, pos int64) (err error) {
	defer recovered(&err)
	n, err := d.w.WriteAt(p, pos)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

// DownloadFile writes an object to a file. At every moment, path names the old
// file, if there was one, or the complete new one: the bytes are written to another
// file in the same directory, which only its owner can read and which is renamed at
// the end. The new file has the permissions of the one that it replaces and, as far
// as the system allows, its owner and group. If the group cannot be kept, the new
// group gets no permission that others do not have. Access control lists and
// extended attributes are not kept. Other names of the old file (hard links) keep
// the old bytes.
//
// Only regular files are replaced. A link at path is followed and stays: the file
// that it leads to is replaced, and must exist. A character device (such as
// /dev/null or a terminal), a named pipe and an open file of this process
// (/dev/stdout, /dev/fd/3) are written in order. Their last bytes are held back
// until the checksum has been compared, but after an error the bytes before them
// have been written. Opening a pipe waits for its reader until ctx ends. A directory,
// a block device, a socket, a link that leads nowhere and, in a directory that
// everyone may write to, another user's link or pipe are errors before any request
// is made. The directory of path must exist.
//
// If an object of more than 8 MiB (or PartSize, if set) could not be fetched to its
// end, the part that has arrived is kept, even if the process was killed. The next
// call with that path continues from there, if the object is still the same; it
// first compares the bytes of the part with their checksums. The error says where
// the part is; removing it is safe. A part of a version that no longer exists is
// removed.
//
// Any number of processes may write the same file at the same time: one of them resumes
// the part file, the others start their own.
//
// The file system decides when the bytes reach the disk. To be sure that they have,
// open the file and call its Sync.
func (r *Reader) DownloadFile(ctx context.Context, key, path string, optFns ...func(*DownloadOptions)) (*Info, error) {
	const op = "download"
	opts, err := r.downloadOptions(optFns)
	if err != nil {
		return nil, r.fail(op, key, err)
	}
	if err := checkKey(key); err != nil {
		return nil, r.fail(op, key, err)
	}
	to, err := findDestination(path)
	if err != nil {
		return nil, r.fail(op, key, err)
	}
	if to.dir != nil {
		defer to.dir.Close()
	}
	if to.streamed {
		return downloadStream(ctx, r.client, key, &to, opts.Progress)
	}
	d := newDownload(r.client, key, opts)
	err = d.counter.reporter.during(ctx, func(ctx context.Context) error {
		return d.toFile(ctx, to.localFile, "")
	})
	if err != nil {
		return nil, r.fail(op, key, err)
	}
	return &d.info, nil
}

// localFile is the regular file that an object is written to.
type localFile struct {
	dir      *os.Root
	name     string
	userPath string                      // as the caller gave it; empty: from dir and name
	existing os.FileInfo                 // what has the name now; nil: nothing
	modified time.Time                   // modification time to set; zero: none
	newMode  func() (fs.FileMode, error) // for a file that replaces none; nil: partfile.NewFileMode
}

func (l *localFile) path() string {
	if l.userPath != "" {
		return l.userPath
	}
	return filepath.Join(l.dir.Name(), filepath.FromSlash(l.name))
}

// toFile fetches the object to a file. If etag is not empty, a version with another ETag
// is an ObjectChanged error.
func (d *download) toFile(ctx context.Context, l localFile, etag string) error {
	fail := func(err error) error { return d.client.fail("download", d.info.Key, err) }
	if l.existing != nil && !l.existing.Mode().IsRegular() {
		return fail(l.notRegular("remove it, or choose another directory"))
	}
	p, err := partfile.Open(l.dir, l.name)
	if err != nil {
		return fail(err)
	}
	err = safely(func() error { return d.toPartial(ctx, p, etag) })
	useful := p.Useful()
	if err == nil {
		if err = d.commit(p, l); err == nil {
			return nil
		}
		useful = false // its journal is gone
	}
	if err = fail(err); useful && !invalidates(err) {
		return keepPart(err, p)
	}
	if left := p.Discard(); left != nil {
		addHint(err, left.Error())
	}
	return err
}

// commit gives a complete part file its final name.
func (d *download) commit(p *partfile.File, l localFile) error {
	// Another file may have been given the name during the download.
	old, err := l.dir.Lstat(l.name)
	switch {
	case isMissing(err):
		old = nil
	case err != nil:
		return err
	case !old.Mode().IsRegular():
		l.existing = old
		return l.notRegular("")
	}
	mode, err := l.mode(p, old)
	if err != nil {
		return err
	}
	return p.Commit(d.info.Size, mode, l.modified)
}

// mode returns the permissions for the complete file: those of the file that it replaces,
// whose owner it also gets. A file of another user in a directory like /tmp is treated as
// if it did not exist.
func (l *localFile) mode(p *partfile.File, old os.FileInfo) (fs.FileMode, error) {
	switch {
	case old != nil && trusted(l.dir, old) == nil:
		return p.KeepOwner(old)
	case l.newMode != nil:
		return l.newMode()
	}
	return partfile.NewFileMode(l.dir)
}

// invalidates reports whether err means that the bytes in a part file are of no use.
func invalidates(err error) bool {
	return errors.Is(err, ObjectChanged) || errors.Is(err, ChecksumMismatch) || errors.Is(err, NotFound)
}

// keepPart closes the part file and adds its path to err.
func keepPart(err error, p *partfile.File) error {
	if left := p.Close(); left != nil {
		addHint(err, left.Error())
	}
	addHint(err, "the bytes received so far are in "+p.Path()+", and the next download to this file resumes from there")
	return err
}

// addHint adds a hint to an error of this package.
func addHint(err error, text string) {
	if e, ok := errors.AsType[*Error](err); ok {
		if e.hint != "" {
			e.hint += "; "
		}
		e.hint += text
	}
}

// toPartial fetches the object to a part file, and resumes the part file if it can.
func (d *download) toPartial(ctx context.Context, p *partfile.File, etag string) error {
	if p.Shared() && p.Found() {
		if resumed, err := d.resume(ctx, p, etag); resumed || err != nil {
			return err
		}
	}
	return d.fresh(ctx, etag, func() error {
		// Not before the first response: the contents may still be of use.
		if err := p.Clear(); err != nil {
			return err
		}
		d.w, d.written = &serial{WriterAt: p}, p
		if d.info.Size <= d.leastSegment() || d.info.ETag == "" || !p.Shared() {
			return nil // without a journal: it could not be resumed
		}
		d.part = p
		return p.Begin(d.id())
	})
}

// describe sets d.info and the expected checksum from a HEAD.
func (d *download) describe(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, err := d.client.headWithChecksum(ctx, d.info.Key)
	if err != nil {
		return err
	}
	info, err := d.client.describe(ctx, d.info.Key, out)
	if err != nil {
		return err
	}
	d.info = *info
	return d.expect(ctx, out)
}

// id identifies the object in a part file, and the checksum of its parts.
func (d *download) id() partfile.ID {
	if d.kind == nil { // the object has no CRC
		d.kind = crc.CRC64NVME
	}
	return partfile.ID{Bucket: d.client.bucket.name, Key: d.info.Key, ETag: d.info.ETag, Size: d.info.Size, Checksum: d.kind}
}

// resume continues an earlier download that has left a part file. It reports false if
// there is nothing to resume.
func (d *download) resume(ctx context.Context, p *partfile.File, etag string) (bool, error) {
	size, err := p.Size()
	if err != nil || size <= d.leastSegment() {
		return false, err
	}
	ctx = reportThrottling(ctx, d.limits.Limiter)
	if err := d.describe(ctx); err != nil {
		// The GET of fresh will fail too, with a better error.
		return false, ctx.Err()
	}
	if etag != "" && etag != d.info.ETag {
		return false, nil
	}
	parts, err := p.Resume(d.id())
	if err != nil || len(parts) == 0 {
		return false, err
	}
	d.part = p
	d.w, d.written = &serial{WriterAt: p}, p
	missing := transfer.Missing(parts, d.info.Size)
	left := transfer.Length(missing)
	d.client.opts.Logger.Info("s3reader: resuming a download", "bucket", d.client.bucket.name, "key", d.info.Key, "file", p.Path(), "bytes", d.info.Size, "missing", left)
	d.counter.expect(d.info.Size)
	d.counter.add(d.info.Size - left)
	return true, d.run(ctx, &transfer.Job{Missing: missing, Plan: d.plan(left)}, parts)
}
