package s3reader

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/aws/smithy-go/middleware"
)

// Download writes an object to w, at the offsets that its bytes have in it. An
// object of more than 8 MiB (or Options.PartSize, if set) comes over several connections at once
// (Options.Concurrency, Options.PartSize), and w.WriteAt is then called by
// several goroutines. A w that is a regular *os.File is first cut or extended to
// the object's size.
//
// All bytes are of one version. When the error is nil, all of them have been
// written and, if Info.Verified says so, compared with the object's checksum: a
// CRC64NVME, CRC32 or CRC32C of all its bytes, or any checksum if it came over
// one connection. After an error, w holds some of the bytes, in no order.
//
// A connection that breaks or stalls is resumed at the next byte. When S3 asks to
// slow down, fewer connections are used, and so they are where the store is near
// (its first answer takes less than 10 ms) and more bring nothing. Bytes with the wrong checksum are not
// asked for again: nothing tells which they are.
//
// An *os.File that cannot be written at offsets (opened with os.O_APPEND or for
// reading only, a pipe, a terminal) is refused before any request is made; see
// [Object.WriteTo].
func (r *Reader) Download(ctx context.Context, key string, w io.WriterAt) (_ *Info, err error) {
	defer r.recovered("download", key, &err)
	if f, ok := w.(*os.File); ok {
		if err := offsets(f); err != nil {
			return nil, r.fail("download", key, err)
		}
	}
	d := r.newDownload(key)
	err = d.tally.meter.during(ctx, func(ctx context.Context) error {
		return d.fresh(ctx, "", func() error {
			d.w = w
			f, ok := w.(*os.File)
			if !ok {
				return nil
			}
			d.w = &serial{WriterAt: f}
			return presize(f, d.info.Size)
		})
	})
	if err != nil {
		return nil, r.fail("download", key, err)
	}
	return &d.info, nil
}

// offsets fails if f cannot be written at offsets.
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

// presize makes a file as long as the object will be, which spares the file
// system to grow it in disorder, and leaves no tail of what was in it before.
func presize(f *os.File, size int64) error {
	if stat, err := f.Stat(); err != nil || !stat.Mode().IsRegular() {
		return err
	}
	return f.Truncate(size)
}

// download is one object on its way to a writer.
type download struct {
	version
	w       io.WriterAt
	journal *journal // nil: none
	tally   tally
	*lanes

	kind *crcKind // of the pieces; nil: none is computed
	want string   // of the whole object, in S3's spelling; empty: unknown

	company company
	shares  shares
	fetched fetched
}

func (r *Reader) newDownload(key string) *download {
	n := r.opts.Concurrency
	if n == 0 {
		n = maxConnections
	}
	return r.downloadWith(key, r.newLanes(n), &meter{key: key, tell: r.opts.Progress})
}

// downloadWith shares connections and meter with other downloads.
func (r *Reader) downloadWith(key string, l *lanes, m *meter) *download {
	d := &download{version: version{r: r, info: Info{Key: key}}, tally: tally{meter: m}, lanes: l}
	d.mw = []func(*middleware.Stack) error{throttleWatch{l.gate}.add}
	return d
}

// fresh fetches an object of which nothing has arrived. The request that finds
// out about it brings a small object at once, and the beginning of a large one.
// A version with another ETag than that, unless empty, is ObjectChanged. begin is
// called when d.info is known, and sets d.w.
func (d *download) fresh(ctx context.Context, etag string, begin func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := d.gate.enter(ctx); err != nil {
		return err
	}
	leave := sync.OnceFunc(d.gate.leave)
	defer leave()
	in := d.r.getInput(d.info.Key)
	if etag != "" {
		in.IfMatch = &etag
	}
	asked := time.Now()
	out, info, body, err := d.r.whole(ctx, in, d.mw...)
	if err != nil {
		if etag != "" {
			listed := version{r: d.r, info: Info{Key: d.info.Key, ETag: etag, Size: -1}, mw: d.mw}
			err = listed.whyRefused(ctx, err)
		}
		return err
	}
	if d.r.opts.Concurrency == 0 {
		d.company.ask(time.Since(asked))
	}
	first := &stream{of: &d.version, ctx: ctx, end: info.Size, body: body}
	defer first.close()
	d.info = *info
	d.expect(storedSums{out.ChecksumType, out.ChecksumCRC64NVME, out.ChecksumCRC32, out.ChecksumCRC32C})
	if err := begin(); err != nil {
		return err
	}
	d.tally.expect(info.Size)
	p := d.r.plan(info, info.Size, d.gate.most)
	// Without an ETag nothing ties a second request to the same version.
	if info.ETag == "" || p.connections == 1 && d.journal == nil {
		return d.inOrder(first, fullObjectSum(out, info.Size))
	}
	return d.fan(ctx, p, []extent{{0, info.Size}}, first, leave)
}

// expect sets the checksum that the pieces must have together.
func (d *download) expect(sums storedSums) {
	if d.r.opts.Verify == VerifyAuto {
		d.kind, d.want = sums.wholeCRC()
	}
}

// inOrder fetches all bytes over one connection.
func (d *download) inOrder(s *stream, sum *wholeSum) error {
	if d.r.opts.Verify == VerifyOff {
		sum = nil
	}
	buf := takeBuffer(min(d.buffer, bufferSize, s.end))
	defer giveBuffer(buf)
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
			d.info.Verified = sum.matched
		}
		if n == 0 {
			return nil
		}
		if err := d.write(buf[:n], pos); err != nil {
			return err
		}
		d.tally.add(int64(n))
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
