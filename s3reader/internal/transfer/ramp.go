package transfer

import (
	"context"
	"math"
	"time"
)

// How many connections a download uses.
//
// A Job with Probe measures what its first connection delivers. If that is slow, the store
// or the network limits each connection, as S3 does, and all are opened at once. If it is
// fast, the processors may be the limit, and more connections would only cost time and
// memory. So two are opened, four if two pay, and all if four pay.
//
//	one ─► slow ─► all ─► if each became much slower: four; all again if that was worse
//	  └──► fast ─► two ─► if they pay: four ─► if they pay: all; fewer again if they do not
//	                └─── from time to time twice as many, on trial ───┘
//
// A connection that is closed wastes what was sent over it. So connections are closed, and
// opened on trial, only if the rest of the download takes long enough to make up for it.

const (
	// Throughput is measured over whole windows.
	window = 10 * time.Millisecond

	// A connection is slow if it delivers less than fast bytes per second in firstWindows.
	// S3 delivers 85 to 90 MB/s over each
	// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-design-patterns.html).
	// One from a near store delivers more, even on a busy machine.
	fast         = 110e6
	firstWindows = 2

	// A fast connection is measured again, up to warmTries times, until it is less than
	// growing times as fast as before.
	growing   = 1.1
	warmTries = 5

	// Several connections are measured over patience windows, and until each has
	// delivered leastBytes on average, or for tooLong.
	patience   = 5
	leastBytes = 64 << 10

	// few is how many connections are opened step by step, and how many the slow path
	// keeps. If no more are allowed, all are opened at once.
	few = 4

	// Twice as many connections pay if they are stepGain times as fast; all, opened after
	// four, if they are gain times as fast.
	stepGain = 1.5
	gain     = 2.0

	// All connections hinder each other if each delivers less than 1/slower of what the
	// first delivered alone.
	slower = 4

	// After all connections, a few are kept if they are nearly as fast.
	nearly = 0.9

	// worthwhile is the time that the rest of a download takes at least if connections are
	// opened on trial or closed.
	worthwhile = time.Second

	// firstPause is the number of windows until twice as many connections are tried again.
	// It doubles.
	firstPause = 100
)

// ramp opens as many connections as pay. One is open when it is called. open opens more
// until there are n, and reports whether it could.
func (j *Job) ramp(ctx context.Context, open func(n int) bool) {
	all := j.Plan.Connections
	one, ok := j.measure(ctx, 1, firstWindows, fast)
	if !ok || all == 1 {
		return
	}
	if one < fast || all <= few {
		if !open(all) {
			return
		}
		rate, ok := j.measure(ctx, all, patience, math.Inf(1))
		if !ok || all <= few || rate*slower >= one*float64(all) || !j.worthwhile(rate) {
			return
		}
		j.scheduler.limit(few)
		if now, ok := j.measure(ctx, few, patience, math.Inf(1)); ok && now < nearly*rate {
			open(all)
		}
		return
	}
	if one, ok = j.warm(ctx, one); !ok {
		return
	}
	n, rate, try := 1, one, true
	for try && n < few {
		n *= 2
		if !open(n) {
			return
		}
		var now float64
		if now, ok = j.measure(ctx, n, patience, rate*stepGain); !ok {
			return
		}
		// If more connections together deliver less than half of what fewer did, the store
		// has slowed down, and the comparison says nothing.
		try = now >= rate*stepGain || now < rate/2 && j.worthwhile(now)
		if !try && n == few && now < rate*growing && j.worthwhile(now) {
			n /= 2
			j.scheduler.limit(n)
		}
		rate = now
	}
	next, need := all, gain
	for pause := firstPause; ok; {
		if try {
			if !open(next) {
				return
			}
			now, ok := j.measure(ctx, next, patience, math.Inf(1))
			if !ok {
				return
			}
			if now < rate*need {
				j.scheduler.limit(n)
				// These may have become slower since they were measured.
				if rate, ok = j.measure(ctx, n, patience, math.Inf(1)); !ok || now >= rate*need && !open(next) {
					return
				}
			}
			if now >= rate*need {
				if n, rate = next, now; n == all {
					return
				}
				next = min(2*n, all)
				continue
			}
		}
		rate, ok = j.measure(ctx, n, pause, math.Inf(1))
		pause *= 2
		try, next, need = j.worthwhile(rate), min(2*n, all), stepGain
	}
}

// worthwhile reports whether the rest of the download takes long enough, at that many bytes
// per second, for connections to be opened on trial or closed.
func (j *Job) worthwhile(rate float64) bool {
	left := float64(Length(j.Missing) - j.received.Load())
	return left >= rate*worthwhile.Seconds()
}

// warm returns the throughput of the one open connection, which was rate, once it has stopped
// growing: at first, TCP's windows are small and nothing is in the processors' caches.
func (j *Job) warm(ctx context.Context, rate float64) (_ float64, ok bool) {
	for range warmTries {
		now, ok := j.measure(ctx, 1, firstWindows, math.Inf(1))
		if !ok {
			return 0, false
		}
		if now < rate*growing {
			return now, true // rate may not have the pause between two segments
		}
		rate = now
	}
	return rate, true
}

// measure returns the throughput of n connections in bytes per second, over a number of
// windows, the first of which begins when each of them has delivered something. It
// returns after any window in which the throughput is enough. Connections that deliver
// nothing do not hold it up: after tooLong it measures those that do. ok is false if the
// download ends.
func (j *Job) measure(ctx context.Context, n, windows int, enough float64) (rate float64, ok bool) {
	began := time.Now()
	start, earlier := began, j.received.Load()
	for w := 1; ; w++ {
		late := time.Since(began) >= tooLong
		waiting := !late && j.scheduler.waiting()
		select {
		case <-time.After(window):
		case <-j.scheduler.done:
			return 0, false
		case <-ctx.Done():
			return 0, false
		}
		got := j.received.Load() - earlier
		rate = float64(got) / time.Since(start).Seconds()
		if n == 1 || late || got >= int64(n)*leastBytes {
			if rate >= enough || w >= windows && !waiting {
				return rate, true
			}
		}
		if waiting {
			start, earlier, w = time.Now(), j.received.Load(), 0
		}
	}
}
