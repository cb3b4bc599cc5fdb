package s3reader

import (
	"context"
	"math/rand/v2"
	"testing"
)

// Whatever is asked for, the limit is kept and the books are right.
func TestCacheKeepsItsLimit(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // every piece fails, or waits to: only the books matter here
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 0))
		c := &cache{ctx: ctx, limit: 1 << 20, of: &version{info: Info{Size: 1 << 30}}}
		c.mu.Lock()
		for range 200 {
			off := rng.Int64N(1 << 30)
			if s, _ := c.spans.at(off); s == nil {
				if buf := c.room(1 + rng.Int64N(300<<10)); buf != nil {
					_, i := c.spans.at(off)
					if i < len(c.spans) {
						buf = buf[:min(int64(len(buf)), c.spans[i].off-off)]
					}
					s = &span{off: off, buf: buf, filled: len(buf)}
					s.place = c.used.PushFront(s)
					if rng.IntN(2) == 0 {
						c.passing = append(c.passing, s)
					}
					if rng.IntN(10) == 0 {
						s.refs = 1 // in use: never given up
					}
					c.spans = append(c.spans[:i:i], append(spans{s}, c.spans[i:]...)...)
				}
			}
			if rng.IntN(5) == 0 {
				c.mu.Unlock()
				c.forget(rng.Int64N(1 << 30))
				c.mu.Lock()
			}
			held, last := int64(cap(c.spare)), int64(-1)
			for _, s := range c.spans {
				held += s.cost()
				if s.off < last {
					t.Fatalf("seed %d: pieces overlap", seed)
				}
				last = s.end()
			}
			if held != c.held || held > c.limit {
				t.Fatalf("seed %d: holds %d, the books say %d, the limit is %d", seed, held, c.held, c.limit)
			}
		}
		c.mu.Unlock()
	}
}
