package s3reader

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// fan fetches the missing bytes over several connections. first, which may be
// nil, is a stream whose body is at the start of them; it is in the gate already,
// which leave leaves.
func (d *download) fan(parent context.Context, p plan, missing []extent, first *stream, leave func()) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	d.shares.free, d.shares.step, d.shares.fixed = missing, p.step, p.fixed
	var workers sync.WaitGroup
	for i := range p.connections {
		if d.company.enough(ctx, i, &d.tally) {
			break
		}
		from, leave := first, leave
		if i > 0 || first == nil {
			if err := d.gate.enter(ctx); err != nil {
				cancel(err)
				break
			}
			from, leave = &stream{of: &d.version}, d.gate.leave
		}
		s, _ := d.shares.take(ctx, 0)
		if s == nil {
			leave()
			break
		}
		workers.Go(func() {
			err := errExited
			defer func() {
				if err != nil {
					cancel(err)
				}
			}()
			defer recovered(&err)
			err = d.work(ctx, s, from, leave)
		})
	}
	workers.Wait()
	if err := parent.Err(); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return d.complete()
}

// work fetches one share after the other. It is called inside the gate, which
// leave leaves.
func (d *download) work(ctx context.Context, s *share, from *stream, leave func()) error {
	defer from.close()
	for {
		err := safely(func() error { return d.carry(s, from) })
		from.close()
		rate := d.shares.done(s)
		d.finish(s)
		if err == nil {
			d.gate.faster()
		}
		leave()
		if err != nil {
			return err
		}
		if s, err = d.another(ctx, rate); s == nil {
			return err
		}
		leave = d.gate.leave
	}
}

// another waits for a share and enters the gate. It returns nil if there will be
// none.
func (d *download) another(ctx context.Context, rate float64) (*share, error) {
	for {
		ended := d.shares.ended()
		if err := d.gate.enter(ctx); err != nil {
			return nil, err
		}
		s, more := d.shares.take(ctx, rate)
		if s != nil {
			return s, nil
		}
		d.gate.leave()
		if !more {
			return nil, nil
		}
		select {
		case <-ended:
		case <-time.After(tooLong / 4): // somebody may have become slow
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// carry fetches a share.
func (d *download) carry(s *share, from *stream) error {
	buf := takeBuffer(min(d.buffer, max(d.shares.rest(s).len(), 1)))
	defer giveBuffer(buf)
	portion := portion(bufferSize)
	from.ctx = s.ctx
	if first := from.body; first != nil { // it was asked for before there were shares
		defer context.AfterFunc(s.ctx, func() { first.cancel(context.Canceled) })()
	}
	for {
		left := d.shares.rest(s)
		if left.len() == 0 {
			return nil
		}
		from.end = max(left.end, from.pos)
		from.seek(left.start)
		began := time.Now()
		n, err := io.ReadFull(from, buf[:min(int64(portion), int64(len(buf)), left.len())])
		portion.adapt(time.Since(began))
		if err := d.keep(s, buf[:n], left.start); err != nil {
			return err
		}
		if err != nil && d.shares.rest(s).len() > 0 {
			return err
		}
	}
}

// keep writes those of the bytes at pos that are still the share's.
func (d *download) keep(s *share, p []byte, pos int64) error {
	p = p[:d.shares.claim(s, len(p))]
	if len(p) == 0 {
		return nil
	}
	if err := d.write(p, pos); err != nil {
		return err
	}
	if d.kind != nil {
		s.got.crc = d.kind.update(s.got.crc, p)
	}
	s.got.end += int64(len(p))
	d.tally.add(int64(len(p)))
	if d.journal != nil && s.got.len() >= d.journal.step {
		d.finish(s)
	}
	return nil
}

// finish makes a piece of what has arrived of a share.
func (d *download) finish(s *share) {
	if s.got.len() == 0 {
		return
	}
	d.fetched.add(s.got)
	if d.journal != nil {
		d.journal.add(s.got)
	}
	s.got = piece{extent: extent{s.got.end, s.got.end}}
}

// complete compares the pieces with the object.
func (d *download) complete() error {
	sum, err := d.fetched.whole(d.kind, d.info.Size)
	if err != nil || d.want == "" {
		return err
	}
	if got := d.kind.encode(sum); got != d.want {
		return &Error{Kind: ChecksumMismatch, Err: fmt.Errorf("%s of the %d bytes received is %s, the object's is %s", d.kind.name, d.info.Size, got, d.want)}
	}
	d.info.Verified = true
	return nil
}

// serial lets one write at a time reach a file. File systems do so anyway, by a
// lock for which a processor spins.
type serial struct {
	mu sync.Mutex
	io.WriterAt
}

func (s *serial) WriteAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.WriterAt.WriteAt(p, off)
}
