package blockcache

import (
	"math/rand/v2"
	"testing"
)

// Whatever is requested, the limit is kept and the memory in use is counted right.
func TestCacheKeepsItsLimit(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 0))
		c := New(t.Context(), Config{Size: 1 << 30, Limit: 1 << 20})
		c.mu.Lock()
		for range 200 {
			off := rng.Int64N(1 << 30)
			if b, _ := c.blocks.at(off); b == nil {
				if buf := c.allocate(1 + rng.Int64N(300<<10)); buf != nil {
					if _, i := c.blocks.at(off); i < len(c.blocks) {
						buf = buf[:min(int64(len(buf)), c.blocks[i].off-off)]
					}
					b = &block{off: off, buf: buf, filled: len(buf)}
					c.insert(b)
					if rng.IntN(2) == 0 {
						c.sequential = append(c.sequential, b)
					}
					if rng.IntN(10) == 0 {
						b.readers = 1 // in use: never evicted
					}
				}
			}
			if rng.IntN(5) == 0 {
				c.mu.Unlock()
				c.discard(rng.Int64N(1 << 30))
				c.mu.Lock()
			}
			held, last := int64(cap(c.spareBuf)), int64(-1)
			for _, b := range c.blocks {
				held += b.cost()
				if b.off < last {
					t.Fatalf("seed %d: blocks overlap", seed)
				}
				last = b.end()
			}
			if held != c.held || held > c.cfg.Limit {
				t.Fatalf("seed %d: holds %d bytes, counted are %d, the limit is %d", seed, held, c.held, c.cfg.Limit)
			}
		}
		c.mu.Unlock()
	}
}
