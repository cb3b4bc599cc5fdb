package s3reader

import (
	"container/list"
	"context"
	"io"
	"slices"
	"sync"
)

// cache holds pieces of one version of an object, within a limit of memory. It
// is safe for concurrent use. What several readers want is asked for once.
type cache struct {
	of    *version
	ctx   context.Context // the handle's: a piece serves every reader, not only the first
	limit int64           // bytes

	frugal bool // ask for little more than what is read

	mu      sync.Mutex // guards what follows
	spans   spans
	used    list.List // the spans, the one read last at the front
	passing []*span   // those of a reader in order, who does not come back to them
	held    int64     // what spans and spare cost
	spare   []byte
	tick    uint64
	trails  trails
}

// readAt fills p with the bytes at off, all of which exist. Where a request is
// needed, it asks for [from, until), which contains them, as far as there is
// room.
func (c *cache) readAt(p []byte, off, from, until int64) (int, error) {
	n := 0
	for n < len(p) {
		m, _, err := c.readSome(p[n:], off+int64(n), from, until)
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// readSome reads at least one byte and reports whether that took waiting. A
// failure of a piece that another reader asked for is not ours yet.
func (c *cache) readSome(p []byte, off, from, until int64) (n int, waited bool, err error) {
	p = p[:min(int64(len(p)), c.of.info.Size-off)]
	c.mu.Lock()
	s, _ := c.spans.at(off)
	ours := s == nil
	if ours {
		s = c.fetch(off, int64(len(p)), from, until)
	}
	if s == nil {
		c.mu.Unlock()
		n, err := c.readPast(p, off)
		return n, true, err
	}
	n, waited, err = c.await(s, p, off)
	if err != nil && !ours && c.ctx.Err() == nil {
		return c.readSome(p, off, from, until)
	}
	return n, waited, err
}

// await reads from a piece what has arrived at off, at least one byte. It unlocks
// c.mu.
func (c *cache) await(s *span, p []byte, off int64) (n int, waited bool, err error) {
	c.used.MoveToFront(s.place)
	s.refs++
	for err == nil && s.off+int64(s.filled) <= off && s.err == nil {
		waited = true
		grown := s.wait()
		c.mu.Unlock()
		select {
		case <-grown:
		case <-c.ctx.Done():
			err = endOf(c.ctx)
		}
		c.mu.Lock()
	}
	have := s.buf[:s.filled]
	if err == nil && s.off+int64(s.filled) <= off {
		err = s.err
	}
	c.mu.Unlock()

	if err == nil {
		n = copy(p, have[off-s.off:])
	}
	c.mu.Lock()
	s.refs--
	c.mu.Unlock()
	return n, waited, err
}

// readPast fills p without keeping anything: there is no room.
func (c *cache) readPast(p []byte, off int64) (int, error) {
	s := resumer{of: c.of, ctx: c.ctx, pos: off, end: off + int64(len(p))}
	defer s.Close()
	return io.ReadFull(&s, p)
}

// prefetch asks for [off, until) ahead of a reader. It returns how far bytes are
// held or on their way from off on; off if there is no room.
func (c *cache) prefetch(off, until int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, _ := c.spans.at(off)
	if s == nil {
		if s = c.fetch(off, until-off, off, until); s == nil {
			return off
		}
		c.passing = append(c.passing, s)
	}
	return s.end()
}

// fetch starts to ask for a new piece that holds off, up to the pieces there
// are: [from, until) or, if there is no room for that, the n bytes at off. It
// returns nil if there is no room for them either. c.mu is held.
func (c *cache) fetch(off, n, from, until int64) *span {
	_, i := c.spans.at(off)
	lo, hi := int64(0), c.of.info.Size
	if i > 0 {
		lo = c.spans[i-1].end()
	}
	if i < len(c.spans) {
		hi = c.spans[i].off
	}
	from, until = max(lo, min(from, off)), min(hi, max(until, off+n))
	buf := c.room(until - from)
	if buf == nil {
		from, until = off, min(hi, off+n)
		buf = c.room(until - from)
	}
	if buf == nil {
		return nil
	}
	_, i = c.spans.at(off) // making room moved the others
	s := &span{off: from, buf: buf}
	s.place = c.used.PushFront(s)
	c.spans = slices.Insert(c.spans, i, s)
	go c.fill(s)
	return s
}

// fill brings a piece in. A failure takes it out again: a reader that needs the
// bytes then asks anew, and gets an error of its own if need be.
func (c *cache) fill(s *span) {
	from := resumer{of: c.of, ctx: c.ctx, pos: s.off, end: s.end()}
	filled, err := 0, errExited
	defer func() {
		if filled < len(s.buf) {
			c.arrived(s, filled, err)
		}
	}()
	defer recovered(&err)
	defer from.Close()
	for filled < len(s.buf) {
		n, readErr := from.Read(s.buf[filled:])
		filled += n
		if readErr != nil {
			err = readErr
			return
		}
		c.arrived(s, filled, nil)
	}
}

// arrived notes how much of a piece is there, and why there will be no more.
func (c *cache) arrived(s *span, filled int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.filled, s.err = filled, err
	if err != nil {
		c.remove(s)
	}
	s.wake()
}

// room returns n bytes of memory, giving up what was read longest ago; nil if
// what is left is in use. c.mu is held.
func (c *cache) room(n int64) []byte {
	if n > c.limit-spanCost {
		return nil
	}
	if spare := c.spare; int64(cap(spare)) >= n && int64(cap(spare)) <= 2*n && c.held+spanCost <= c.limit {
		c.spare = nil
		c.held += spanCost
		return spare[:n]
	}
	for c.held+n+spanCost > c.limit {
		if c.spare != nil {
			c.held -= int64(cap(c.spare))
			c.spare = nil
			continue
		}
		oldest := c.used.Back()
		for oldest != nil && !oldest.Value.(*span).evictable() {
			oldest = oldest.Prev()
		}
		if oldest == nil {
			return nil
		}
		c.remove(oldest.Value.(*span))
	}
	c.held += n + spanCost
	return make([]byte, n)
}

// remove takes a piece out. c.mu is held.
func (c *cache) remove(s *span) {
	if held, i := c.spans.at(s.off); held == s {
		c.spans = slices.Delete(c.spans, i, i+1)
		c.used.Remove(s.place)
		c.held -= s.cost()
		if i := slices.Index(c.passing, s); i >= 0 {
			c.passing = slices.Delete(c.passing, i, i+1)
		}
	}
}

// clear gives everything up. What is still on its way is dropped when it comes.
func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spans, c.passing, c.spare, c.held = nil, nil, nil, 0
	c.used.Init()
}

// forget discards the pieces that a reader in order has behind it, up to off, and
// keeps the memory of one of them for the next.
func (c *cache) forget(off int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.passing) > 0 && c.passing[0].end() <= off && c.passing[0].evictable() {
		s := c.passing[0]
		if c.remove(s); c.spare == nil {
			c.spare = s.buf
			c.held += int64(cap(s.buf))
		}
	}
}

// span is a piece of an object that is held in memory or on its way there. Its
// fields are guarded by the cache's lock, but for buf[:filled], which never
// changes while a reader has a reference.
type span struct {
	off    int64
	buf    []byte        // as long as the piece
	filled int           // bytes that have arrived
	err    error         // why no more of them will
	grown  chan struct{} // closed when filled or err changes; nil: no reader waits
	refs   int           // readers that wait for it or copy from it
	place  *list.Element // in the order of use
}

// spanCost is what a span takes besides its bytes, roughly.
const spanCost = 256

func (s *span) end() int64      { return s.off + int64(len(s.buf)) }
func (s *span) cost() int64     { return int64(cap(s.buf)) + spanCost }
func (s *span) evictable() bool { return s.refs == 0 && s.filled == len(s.buf) }

func (s *span) wait() <-chan struct{} {
	if s.grown == nil {
		s.grown = make(chan struct{})
	}
	return s.grown
}

func (s *span) wake() {
	if s.grown != nil {
		close(s.grown)
		s.grown = nil
	}
}

// spans are in the order of their offsets and do not overlap.
type spans []*span

// at returns the span that holds the byte at off, or nil and where a span that
// begins there belongs.
func (ss spans) at(off int64) (*span, int) {
	i, found := slices.BinarySearchFunc(ss, off, func(s *span, off int64) int {
		switch {
		case s.end() <= off:
			return -1
		case s.off > off:
			return 1
		}
		return 0
	})
	if found {
		return ss[i], i
	}
	return nil, i
}
