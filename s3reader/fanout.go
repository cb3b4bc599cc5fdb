package s3reader

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// fan fetches the missing bytes over several connections. first, which may be
// nil, is a stream whose body is at the start of them; it is in the gate already,
// which leave leaves.
func (d *download) fan(parent context.Context, p plan, missing []extent, first *stream, leave func()) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	d.shares.free = cut(missing, p.step)
	if !p.fixed {
		d.shares.steal = minShare / 2
	}
	var workers sync.WaitGroup
	for range p.connections {
		from := first
		if first = nil; from == nil {
			if err := d.gate.enter(ctx); err != nil {
				cancel(err)
				break
			}
			from, leave = &stream{of: &d.version}, d.gate.leave
		}
		s := d.shares.take()
		if s == nil {
			leave()
			break
		}
		workers.Go(func() {
			if err := d.work(ctx, s, from, leave); err != nil {
				cancel(err)
			}
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
		from.ctx = ctx
		err := d.carry(s, from)
		d.finish(s)
		if err == nil {
			d.gate.faster()
		}
		leave()
		if err != nil {
			return err
		}
		if err := d.gate.enter(ctx); err != nil {
			return err
		}
		leave = d.gate.leave
		if s = d.shares.take(); s == nil {
			leave()
			return nil
		}
	}
}

// carry fetches a share.
func (d *download) carry(s *share, from *stream) error {
	buf := takeBuffer(d.buffer)
	defer giveBuffer(buf)
	for {
		left := d.shares.rest(s)
		if left.len() == 0 {
			break
		}
		from.end = max(left.end, from.pos)
		from.seek(left.start)
		n, err := io.ReadFull(from, buf[:min(int64(len(buf)), left.len())])
		if err := d.keep(s, buf[:n], left.start); err != nil {
			return err
		}
		if err != nil {
			return err
		}
	}
	from.close()
	d.shares.done(s)
	return nil
}

// keep writes those of the bytes at pos that are still the share's.
func (d *download) keep(s *share, p []byte, pos int64) error {
	p = p[:d.shares.claim(s, len(p))]
	if len(p) == 0 {
		return nil
	}
	if _, err := d.w.WriteAt(p, pos); err != nil {
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
