// Package blockcache keeps ranges of one version of an object in memory: for reads
// at any offset, and for read-ahead.
//
// # How it works
//
//	Cache.ReadAt ─► sequences: how much to request beyond what is read
//	     │
//	     ├─► block ◄─ fill ◄─ Config.Open   one request for each block
//	     │     ▲
//	     │     └─ prefetch ◄─ Readahead     several blocks ahead of a reader in order
//	     │
//	     └─► readUncached                   where there is no room for a block
//
// The first reader that needs a byte adds a block that contains it, and a goroutine
// fills the block (fill). All readers copy what has arrived of it, or wait (await).
// Blocks do not overlap, so that a byte is requested once, however many readers want
// it. A block whose request fails is removed; a reader that did not start that
// request then makes one of its own, and gets its own error if need be.
//
// allocate keeps the blocks within Config.Limit: it evicts the complete block that
// was used least recently and from which no reader is copying. Blocks that a
// Readahead has requested are discarded as soon as its reader has passed them.
//
// Cache.mu guards everything except the bytes of a block, which never change once
// they have arrived. No lock is held during a request.
package blockcache

import (
	"container/list"
	"context"
	"io"
	"slices"
	"sync"
)

// Body delivers the bytes of one range, and resumes by itself when a connection
// breaks. One goroutine uses it.
type Body interface {
	io.Reader
	Close()
}

// Config of a [Cache]. All fields but Exact are required.
type Config struct {
	Size  int64 // of the object, in bytes
	Limit int64 // on the memory of all blocks, in bytes

	// Exact requests little more than what is read; see [Cache.ReadAt].
	Exact bool

	// Open returns a body for the bytes [start, end). It makes no request: Read does.
	Open func(ctx context.Context, start, end int64) Body

	// Recovered returns the error for a panic with value v in a Body. v is nil where
	// the code ended the goroutine with runtime.Goexit.
	Recovered func(v any) error
}

// Cache holds blocks of one version of an object. It is safe for concurrent use.
type Cache struct {
	cfg Config
	ctx context.Context // of the requests: a block serves every reader, not only the first

	mu         sync.Mutex // guards what follows
	blocks     blocks
	lru        list.List // the blocks, the most recently used at the front
	sequential []*block  // those of a Readahead, in order
	held       int64     // memory of the blocks and of spareBuf, in bytes
	spareBuf   []byte    // of a discarded block, for the next one
	clock      uint64    // counts the calls of ReadAt
	sequences  sequences
}

// New returns an empty cache. Requests and waiting readers end when ctx does.
func New(ctx context.Context, cfg Config) *Cache {
	return &Cache{cfg: cfg, ctx: ctx}
}

// ReadAt fills p with the bytes at off, all of which must exist. Where it needs a
// request, it decides how many bytes to request beyond p.
func (c *Cache) ReadAt(p []byte, off int64) (int, error) {
	n := int64(len(p))
	if n > c.cfg.Limit/4 {
		return c.readUncached(p, off)
	}
	c.mu.Lock()
	c.clock++
	ahead := c.sequences.ahead(off, n, c.clock, c.cfg.Exact)
	c.mu.Unlock()
	from := off
	if off+n == c.cfg.Size && !c.cfg.Exact {
		from = min(off, max(0, c.cfg.Size-tailSize))
	}
	until := min(c.cfg.Size, off+n+min(ahead, c.cfg.Limit/4))
	read := 0
	for read < len(p) {
		m, _, err := c.read(p[read:], off+int64(read), from, until)
		read += m
		if err != nil {
			return read, err
		}
	}
	return read, nil
}

// read reads at least one byte at off and reports whether it had to wait. If there
// is no block with that byte, it requests [from, until), which contains it, as far
// as there is room.
func (c *Cache) read(p []byte, off, from, until int64) (n int, waited bool, err error) {
	p = p[:min(int64(len(p)), c.cfg.Size-off)]
	c.mu.Lock()
	b, _ := c.blocks.at(off)
	ours := b == nil
	if ours {
		b = c.request(off, int64(len(p)), from, until)
	}
	if b == nil {
		c.mu.Unlock()
		n, err := c.readUncached(p, off)
		return n, true, err
	}
	n, waited, err = c.await(b, p, off)
	if err != nil && !ours && c.ctx.Err() == nil {
		return c.read(p, off, from, until) // the failure of another reader's request is not ours yet
	}
	return n, waited, err
}

// await copies what has arrived of a block at off, at least one byte. It unlocks
// c.mu.
func (c *Cache) await(b *block, p []byte, off int64) (n int, waited bool, err error) {
	c.lru.MoveToFront(b.elem)
	b.readers++
	for err == nil && b.off+int64(b.filled) <= off && b.err == nil {
		waited = true
		grown := b.wait()
		c.mu.Unlock()
		select {
		case <-grown:
		case <-c.ctx.Done():
			err = c.ctx.Err()
		}
		c.mu.Lock()
	}
	arrived := b.buf[:b.filled]
	if err == nil && b.off+int64(b.filled) <= off {
		err = b.err
	}
	c.mu.Unlock()

	if err == nil {
		n = copy(p, arrived[off-b.off:])
	}
	c.mu.Lock()
	b.readers--
	c.mu.Unlock()
	return n, waited, err
}

// readUncached fills p without keeping anything.
func (c *Cache) readUncached(p []byte, off int64) (int, error) {
	body := c.cfg.Open(c.ctx, off, off+int64(len(p)))
	defer body.Close()
	return io.ReadFull(body, p)
}

// prefetch requests [off, until) for a reader in order. It returns the end of the
// block at off; off if there is no room for one.
func (c *Cache) prefetch(off, until int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, _ := c.blocks.at(off)
	if b == nil {
		if b = c.request(off, until-off, off, until); b == nil {
			return off
		}
		c.sequential = append(c.sequential, b)
	}
	return b.end()
}

// request adds a block that contains off, between the blocks that there are, and
// starts its request: [from, until) or, if there is no room for that, the n bytes at
// off. It returns nil if there is no room for them either. c.mu is held.
func (c *Cache) request(off, n, from, until int64) *block {
	_, i := c.blocks.at(off)
	lo, hi := int64(0), c.cfg.Size
	if i > 0 {
		lo = c.blocks[i-1].end()
	}
	if i < len(c.blocks) {
		hi = c.blocks[i].off
	}
	from, until = max(lo, min(from, off)), min(hi, max(until, off+n))
	buf := c.allocate(until - from)
	if buf == nil {
		from, until = off, min(hi, off+n)
		buf = c.allocate(until - from)
	}
	if buf == nil {
		return nil
	}
	b := &block{off: from, buf: buf}
	c.insert(b)
	go c.fill(b)
	return b
}

// fill receives the bytes of a block.
func (c *Cache) fill(b *block) {
	body := c.cfg.Open(c.ctx, b.off, b.end())
	filled, err := 0, error(nil)
	defer func() {
		v := recover()
		if filled == len(b.buf) {
			return
		}
		if v != nil || err == nil {
			err = c.cfg.Recovered(v)
		}
		c.arrived(b, filled, err)
	}()
	defer body.Close()
	for filled < len(b.buf) {
		var n int
		n, err = body.Read(b.buf[filled:])
		if filled += n; filled < len(b.buf) && err != nil {
			return
		}
		c.arrived(b, filled, nil)
	}
}

// arrived records how much of a block has arrived, and the error that ended its
// request. A block that failed is removed.
func (c *Cache) arrived(b *block, filled int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b.filled, b.err = filled, err
	if err != nil {
		c.remove(b)
	}
	b.wake()
}

// allocate returns n bytes of memory, and evicts blocks for them. It returns nil if
// the rest is in use. c.mu is held.
func (c *Cache) allocate(n int64) []byte {
	if n > c.cfg.Limit-blockCost {
		return nil
	}
	if spare := c.spareBuf; int64(cap(spare)) >= n && int64(cap(spare)) <= 2*n && c.held+blockCost <= c.cfg.Limit {
		c.spareBuf = nil
		c.held += blockCost
		return spare[:n]
	}
	for c.held+n+blockCost > c.cfg.Limit {
		if c.spareBuf != nil {
			c.held -= int64(cap(c.spareBuf))
			c.spareBuf = nil
			continue
		}
		oldest := c.lru.Back()
		for oldest != nil && !oldest.Value.(*block).evictable() {
			oldest = oldest.Prev()
		}
		if oldest == nil {
			return nil
		}
		c.remove(oldest.Value.(*block))
	}
	c.held += n + blockCost
	return make([]byte, n)
}

// insert adds a block whose memory was allocated. c.mu is held.
func (c *Cache) insert(b *block) {
	_, i := c.blocks.at(b.off)
	c.blocks = slices.Insert(c.blocks, i, b)
	b.elem = c.lru.PushFront(b)
}

// remove removes a block, unless Clear has done so. c.mu is held.
func (c *Cache) remove(b *block) {
	if held, i := c.blocks.at(b.off); held == b {
		c.blocks = slices.Delete(c.blocks, i, i+1)
		c.lru.Remove(b.elem)
		c.held -= b.cost()
		if i := slices.Index(c.sequential, b); i >= 0 {
			c.sequential = slices.Delete(c.sequential, i, i+1)
		}
	}
}

// Clear removes all blocks. Bytes that are still arriving are dropped.
func (c *Cache) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blocks, c.sequential, c.spareBuf, c.held = nil, nil, nil, 0
	c.lru.Init()
}

// discard removes the blocks of a Readahead that end before off, and keeps the
// memory of one of them for the next block.
func (c *Cache) discard(off int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.sequential) > 0 && c.sequential[0].end() <= off && c.sequential[0].evictable() {
		b := c.sequential[0]
		if c.remove(b); c.spareBuf == nil {
			c.spareBuf = b.buf
			c.held += int64(cap(b.buf))
		}
	}
}

// block is a range of an object that is in memory, or arriving. The cache's lock
// guards its fields, except for buf[:filled].
type block struct {
	off     int64
	buf     []byte        // as long as the range
	filled  int           // bytes that have arrived
	err     error         // why no more of them will arrive
	grown   chan struct{} // closed when filled or err changes; nil: no reader waits
	readers int           // that wait for it or copy from it
	elem    *list.Element // of Cache.lru
}

// blockCost is roughly what a block takes in addition to its bytes.
const blockCost = 256

func (b *block) end() int64      { return b.off + int64(len(b.buf)) }
func (b *block) cost() int64     { return int64(cap(b.buf)) + blockCost }
func (b *block) evictable() bool { return b.readers == 0 && b.filled == len(b.buf) }

func (b *block) wait() <-chan struct{} {
	if b.grown == nil {
		b.grown = make(chan struct{})
	}
	return b.grown
}

func (b *block) wake() {
	if b.grown != nil {
		close(b.grown)
		b.grown = nil
	}
}

// blocks are in the order of their offsets and do not overlap.
type blocks []*block

// at returns the block with the byte at off, or nil and the index at which to insert
// one that begins there.
func (bs blocks) at(off int64) (*block, int) {
	i, found := slices.BinarySearchFunc(bs, off, func(b *block, off int64) int {
		switch {
		case b.end() <= off:
			return -1
		case b.off > off:
			return 1
		}
		return 0
	})
	if found {
		return bs[i], i
	}
	return nil, i
}
