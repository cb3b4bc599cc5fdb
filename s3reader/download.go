package s3reader

import (
	"context"
	"io"
	"os"
)

// Download writes an object to w, at the offsets that its bytes have in it. An
// object of more than 8 MiB comes over several connections at once
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
// slow down, fewer connections are used. Bytes with the wrong checksum are not
// asked for again: nothing tells which they are.
func (r *Reader) Download(ctx context.Context, key string, w io.WriterAt) (*Info, error) {
	d := r.newDownload(key)
	err := d.fresh(ctx, func() error {
		d.w = w
		f, ok := w.(*os.File)
		if !ok {
			return nil
		}
		d.w = &serial{WriterAt: f}
		return presize(f, d.info.Size)
	})
	if err != nil {
		return nil, r.fail("download", key, err)
	}
	return &d.info, nil
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
	meter   *meter
	gate    *gate

	kind *crcKind // of the pieces; nil: none is computed
	want string   // of the whole object, in S3's spelling; empty: unknown

	shares  shares
	fetched fetched
}

func (r *Reader) newDownload(key string) *download {
	n := r.opts.Concurrency
	if n == 0 {
		n = maxConnections
	}
	d := &download{
		version: version{r: r, info: Info{Key: key}},
		meter:   &meter{key: key, tell: r.opts.Progress},
		gate:    newGate(n),
	}
	d.mw = append(d.mw, throttleWatch{d.gate}.add)
	return d
}

// fresh fetches an object of which nothing is known. The request that finds out
// brings a small object at once, and the beginning of a large one. begin is
// called when d.info is known, and sets d.w.
func (d *download) fresh(ctx context.Context, begin func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, info, body, err := d.r.whole(ctx, d.info.Key, d.mw...)
	if err != nil {
		return err
	}
	first := &stream{of: &d.version, ctx: ctx, end: info.Size, body: body}
	defer first.close()
	d.info = *info
	d.expect(storedSums{out.ChecksumType, out.ChecksumCRC64NVME, out.ChecksumCRC32, out.ChecksumCRC32C})
	if err := begin(); err != nil {
		return err
	}
	d.meter.begin(info.Size)
	p := d.r.plan(info, info.Size)
	if p.connections == 1 && d.journal == nil {
		err = d.inOrder(first, p, fullObjectSum(out, info.Size))
	} else {
		err = d.fan(ctx, p, []extent{{0, info.Size}}, first)
	}
	d.meter.end(err == nil)
	return err
}

// expect sets the checksum that the pieces must have together.
func (d *download) expect(sums storedSums) {
	if d.r.opts.Verify == VerifyAuto {
		d.kind, d.want = sums.wholeCRC()
	}
}

// inOrder fetches all bytes over one connection.
func (d *download) inOrder(s *stream, p plan, sum *wholeSum) error {
	if d.r.opts.Verify == VerifyOff {
		sum = nil
	}
	buf := takeBuffer(max(1, min(p.buffer, d.info.Size)))
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
		if _, err := d.w.WriteAt(buf[:n], pos); err != nil {
			return err
		}
		d.meter.bytes.Add(int64(n))
	}
}
