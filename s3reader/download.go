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
	info, err := d.run(ctx, func(info *Info) (io.WriterAt, error) { return w, presize(w, info.Size) })
	if err != nil {
		return nil, r.fail("download", key, err)
	}
	return info, nil
}

// presize makes a file as long as the object will be, which spares the file
// system to grow it in disorder, and leaves no tail of what was in it before.
func presize(w io.WriterAt, size int64) error {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	if stat, err := f.Stat(); err != nil || !stat.Mode().IsRegular() {
		return err
	}
	return f.Truncate(size)
}

// download is one object on its way to a writer.
type download struct {
	version
	w     io.WriterAt
	meter *meter
	gate  *gate

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
	d := &download{version: version{r: r, info: Info{Key: key}}, gate: newGate(n)}
	d.mw = append(d.mw, throttleWatch{d.gate}.add)
	return d
}

// run fetches an object of which nothing is known. The request that finds out
// fetches a small object at once, and the beginning of a large one.
func (d *download) run(ctx context.Context, open func(*Info) (io.WriterAt, error)) (_ *Info, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, info, body, err := d.r.whole(ctx, d.info.Key, d.mw...)
	if err != nil {
		return nil, err
	}
	first := &stream{of: &d.version, ctx: ctx, end: info.Size, body: body}
	defer first.close()
	d.info = *info
	d.meter = newMeter(info.Key, d.r.opts.Progress)
	d.meter.total.Store(info.Size)
	defer func() { d.meter.end(err == nil) }()
	if d.w, err = open(info); err != nil {
		return nil, err
	}
	p := d.r.plan(info, info.Size)
	if p.connections == 1 {
		err = d.inOrder(first, fullObjectSum(out, info.Size))
	} else {
		d.expect(storedSums{out.ChecksumType, out.ChecksumCRC64NVME, out.ChecksumCRC32, out.ChecksumCRC32C})
		err = d.fan(ctx, p, []extent{{0, info.Size}}, first)
	}
	if err != nil {
		return nil, err
	}
	return &d.info, nil
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
	buf := takeBuffer(max(1, min(d.r.plan(&d.info, d.info.Size).buffer, d.info.Size)))
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
