package transfer_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/s3reader/internal/transfer"
)

// network is a store and the way to it, in synctest's time.
type network struct {
	firstByte time.Duration
	each, all float64 // bytes per second of one connection, and of all together
	slower    func(since time.Duration) (each, all float64)
	silent    []int // the connections, from 1, that deliver nothing for 30 seconds
	partSize  int64 // 0: none

	mu         sync.Mutex
	begun      time.Time
	free       time.Time // when the link can carry the next byte
	open, peak int
	opened     int
	delivered  int64
	used       float64 // connections × seconds since the middle of the download
	size       int64
	last       time.Time
}

// changed accounts for the connections open since the last change. n.mu is held.
func (n *network) changed(by int) {
	now := time.Now()
	if n.delivered > n.size/2 {
		n.used += float64(n.open) * now.Sub(n.last).Seconds()
	}
	n.last = now
	n.open += by
	n.peak = max(n.peak, n.open)
}

// connection is a Body whose bytes are not looked at.
type connection struct {
	n      *network
	ctx    context.Context
	r      transfer.Range
	isOpen bool
	free   time.Time // when it can carry the next byte
}

func (c *connection) Reset(ctx context.Context, r transfer.Range) {
	if c.r.Start != r.Start {
		c.Close()
	}
	c.ctx, c.r = ctx, r
}

func (c *connection) Close() {
	if c.isOpen {
		c.isOpen = false
		c.n.mu.Lock()
		defer c.n.mu.Unlock()
		c.n.changed(-1)
	}
}

func (c *connection) Read(p []byte) (int, error) {
	n := c.n
	now := time.Now()
	n.mu.Lock()
	silent := false
	if !c.isOpen {
		c.isOpen, c.free = true, now.Add(n.firstByte)
		n.changed(+1)
		n.opened++
		silent = slices.Contains(n.silent, n.opened)
	}
	if silent {
		n.mu.Unlock()
		select {
		case <-time.After(30 * time.Second): // the Body would connect again
			return c.Read(p)
		case <-c.ctx.Done():
			return 0, c.ctx.Err()
		}
	}
	slowEach, slowAll := 1.0, 1.0
	if n.slower != nil {
		slowEach, slowAll = n.slower(now.Sub(n.begun))
	}
	got := min(int64(len(p)), 64<<10, c.r.Len())
	after := func(free *time.Time, rate float64) {
		if free.Before(now) {
			*free = now
		}
		*free = free.Add(time.Duration(float64(got) / rate * 1e9))
	}
	after(&c.free, n.each*slowEach)
	after(&n.free, n.all*slowAll)
	at := c.free
	if n.free.After(at) {
		at = n.free
	}
	n.mu.Unlock()
	select {
	case <-time.After(time.Until(at)):
	case <-c.ctx.Done():
		return 0, c.ctx.Err()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.changed(0)
	n.delivered += got
	c.r.Start += got
	return int(got), nil
}

// discard is a WriterAt.
type discard struct{}

func (discard) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// fetch downloads an object over the network. It returns how many connections were used
// at most, how many on average in the second half, and how long it took.
func (n *network) fetch(t *testing.T, size int64) (peak int, mean float64, took time.Duration) {
	t.Helper()
	n.size, n.begun, n.last = size, time.Now(), time.Now()
	limits := transfer.NewLimits(32, 64*mib)
	j := &transfer.Job{
		Limits: limits, Plan: transfer.NewPlan(size, 32, n.partSize, 0), Probe: true,
		Missing: []transfer.Range{{Start: 0, End: size}}, W: discard{},
		Open:      func() transfer.Body { return &connection{n: n} },
		Recovered: recovered,
	}
	var halfway time.Time
	j.Wrote = func(int64) {
		n.mu.Lock()
		defer n.mu.Unlock()
		if halfway.IsZero() && n.delivered > size/2 {
			halfway = time.Now()
		}
	}
	parts, err := j.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := transfer.Sum(parts, size, nil); err != nil {
		t.Error(err)
	}
	return n.peak, n.used / time.Since(halfway).Seconds(), time.Since(n.begun)
}

// A download uses as many connections as raise throughput, wherever the store is.
func TestRamp(t *testing.T) {
	const s3 = 90e6 // what S3 delivers over one connection
	near, far := 300*time.Microsecond, 30*time.Millisecond
	noise := func(least float64) func(time.Duration) float64 {
		var factors [1000]float64
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range factors {
			factors[i] = least + (1-least)*rng.Float64()
		}
		return func(since time.Duration) float64 { return factors[int(since/(5*time.Millisecond))%len(factors)] }
	}
	busy, uneven := noise(0.1), noise(0.4)
	for _, tt := range []struct {
		name        string
		n           *network
		mib         int64
		least, most float64 // connections in the second half, on average
		peak        int
		took        time.Duration // at most
	}{
		{"far", &network{firstByte: far, each: s3, all: 1e11}, 1024, 30, 32, 32, 530 * time.Millisecond}, // over 32 from the first byte on: 403 ms
		{"far, 256 MiB", &network{firstByte: far, each: s3, all: 1e11}, 256, 28, 32, 32, 235 * time.Millisecond},
		{"very far", &network{firstByte: 200 * time.Millisecond, each: s3 / 4, all: 1e11}, 1024, 30, 32, 32, 2500 * time.Millisecond},
		{"near, each limited", &network{firstByte: near, each: s3, all: 1e11}, 1024, 30, 32, 32, 460 * time.Millisecond},
		{"far, each faster", &network{firstByte: far, each: 3 * s3, all: 1e11}, 2048, 26, 32, 32, 450 * time.Millisecond}, // 279 ms
		{"far, very fast, 256 MiB", &network{firstByte: far, each: 600e6, all: 1e11}, 256, 8, 32, 32, 200 * time.Millisecond},
		{"far, very fast, 300 MiB", &network{firstByte: far / 2, each: 400e6, all: 1e11}, 300, 8, 32, 32, 170 * time.Millisecond},
		{"slow", &network{firstByte: far, each: 1e6, all: 1e11}, 128, 15, 16, 16, 9500 * time.Millisecond},
		{"far, link of 5 Gbit/s", &network{firstByte: far, each: s3, all: 625e6}, 1024, 6, 32, 32, 2050 * time.Millisecond},
		{"far, link of 0.8 Gbit/s", &network{firstByte: far, each: 1e9, all: 100e6}, 1024, 3.5, 4.5, 32, 11 * time.Second},
		{"near", &network{firstByte: near, each: 1.5e9, all: 1.5e9}, 1024, 1.8, 2, 2, 730 * time.Millisecond},
		{"near, two cores", &network{firstByte: near, each: 1e9, all: 1.8e9}, 1024, 3.5, 4, 4, 700 * time.Millisecond},
		{"near, twelve cores", &network{firstByte: near, each: 0.7e9, all: 12 * 0.7e9}, 4096, 11, 32, 32, 600 * time.Millisecond},
		{"near, busy", &network{firstByte: near, each: 1.5e9, all: 1.5e9, slower: func(d time.Duration) (float64, float64) { return 1, busy(d) }}, 2048, 1.5, 8, 32, 3 * time.Second},
		{"far, noisy", &network{firstByte: far, each: s3, all: 1e11, slower: func(d time.Duration) (float64, float64) { return uneven(d), 1 }}, 1024, 28, 32, 32, 800 * time.Millisecond},
		{"first connection silent", &network{firstByte: far, each: s3, all: 1e11, silent: []int{1}}, 1024, 24, 32, 32, 1600 * time.Millisecond},
		{"near, two connections silent", &network{firstByte: near, each: 1e9, all: 1.8e9, silent: []int{3, 4}}, 8192, 1.8, 4, 32, 4850 * time.Millisecond},
		{"near, a dip", &network{firstByte: near, each: 0.5e9, all: 1.9e9, slower: func(d time.Duration) (float64, float64) {
			if d > 35*time.Millisecond && d < 110*time.Millisecond {
				return 1, 0.5
			}
			return 1, 1
		}}, 8192, 3, 8, 32, 5500 * time.Millisecond},
		{"small parts", &network{firstByte: far, each: 3 * s3, all: 1e11, partSize: mib}, 1024, 28, 32, 32, 1200 * time.Millisecond},
		{"far, a fast start", &network{firstByte: far, each: 5 * s3, all: 1e11, slower: func(d time.Duration) (float64, float64) {
			if d < 80*time.Millisecond {
				return 1, 1
			}
			return 0.2, 1
		}}, 1024, 26, 32, 32, 800 * time.Millisecond},
		// As measured on loopback: the first connection takes a while to reach its speed.
		{"near, warms up", &network{firstByte: near, each: 1.5e9, all: 1.8e9, slower: func(d time.Duration) (float64, float64) {
			return min(1, 0.1+0.9*d.Seconds()/0.1), 1
		}}, 1024, 1.8, 2, 2, 680 * time.Millisecond},
		// From 200 ms on, a store that was fast limits each connection.
		{"slows down", &network{firstByte: near, each: 1.5e9, all: 1.5e9, slower: func(d time.Duration) (float64, float64) {
			if d < 200*time.Millisecond {
				return 1, 1
			}
			return 0.02, 1
		}}, 4096, 28, 32, 32, 8 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peak, mean, took := tt.n.fetch(t, tt.mib*mib)
				t.Logf("%.1f connections, at most %d, %v", mean, peak, took)
				if mean < tt.least || mean > tt.most || peak > tt.peak || took > tt.took {
					t.Errorf("%.1f connections, at most %d, %v; want %v to %v, at most %d, %v", mean, peak, took, tt.least, tt.most, tt.peak, tt.took)
				}
			})
		})
	}
}
