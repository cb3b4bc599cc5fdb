package transfer

import (
	"context"
	"math/bits"
	"slices"
	"sync"
	"time"
)

// Limiter limits how many connections are used at the same time. When S3 asks to slow down,
// it halves the limit; each segment that arrives raises the limit by one again. It is safe
// for concurrent use.
type Limiter struct {
	max int

	mu      sync.Mutex // guards what follows
	limit   int
	inUse   int
	waiting []chan struct{} // in the order of arrival
	slowed  time.Time       // when the limit was last halved
}

// slowPause is how long the limit stays after it was halved: S3 refuses all requests in
// flight at the same time, for the same reason.
const slowPause = time.Second

// NewLimiter returns a limiter of max connections.
func NewLimiter(max int) *Limiter { return &Limiter{max: max, limit: max} }

// Max returns the maximum number of connections.
func (l *Limiter) Max() int { return l.max }

// Acquire waits for a place, in the order of arrival. If there is no error, call Release.
// The error is the cause of ctx's end.
func (l *Limiter) Acquire(ctx context.Context) error {
	l.mu.Lock()
	if l.inUse < l.limit && len(l.waiting) == 0 {
		l.inUse++
		l.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	i := slices.Index(l.waiting, turn)
	if i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
	l.mu.Unlock()
	if i < 0 { // it was its turn at the same moment
		l.Release()
	}
	return context.Cause(ctx)
}

// Release frees a place.
func (l *Limiter) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inUse--
	l.admit()
}

// admit gives the free places to those that wait. l.mu is held.
func (l *Limiter) admit() {
	for l.inUse < l.limit && len(l.waiting) > 0 {
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
		l.inUse++
	}
}

// Throttled records that S3 refused a request because there are too many.
func (l *Limiter) Throttled() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.slowed) >= slowPause {
		l.slowed = now
		l.limit = max(1, l.limit/2)
	}
}

// Succeeded records that a segment has arrived.
func (l *Limiter) Succeeded() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit < l.max && time.Since(l.slowed) >= slowPause {
		l.limit++
		l.admit()
	}
}

const (
	// A connection reads into one buffer. With a larger one it makes fewer calls, each of
	// which wakes a goroutine: on two cores, 512 KiB took a fifth less CPU time than
	// 256 KiB, and 1 MiB no less. The memory limit may allow less.
	maxBuffer = 512 << 10
	minBuffer = 32 << 10

	// allBuffers is the size of the buffers of all connections in use. More do not fit
	// into the processors' caches: 64 MiB took half as much CPU time again as 8 MiB.
	allBuffers = 4 << 20

	// BufferSize is the size of a buffer for reading in order over one connection.
	BufferSize = 256 << 10
)

// Limits are shared by downloads: the number of connections, and the memory of each.
type Limits struct {
	*Limiter
	Buffer int64 // bytes that a connection may buffer, however few there are
}

// NewLimits returns limits of n connections that buffer at most memory bytes together. If
// that is not enough, buffers are smaller and connections fewer.
func NewLimits(n int, memory int64) *Limits {
	n = int(max(1, min(int64(n), memory/minBuffer)))
	return &Limits{NewLimiter(n), min(maxBuffer, max(minBuffer, memory/int64(n)))}
}

// buffer returns how many bytes each of the connections in use may buffer.
func (l *Limits) buffer() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	share := uint64(max(minBuffer, allBuffers/max(1, l.inUse)))
	return min(l.Buffer, 1<<(bits.Len64(share)-1)) // a size that is pooled
}

// buffers are pooled by size, which doubles from minBuffer to maxBuffer.
var buffers [5]sync.Pool

// bufferClass returns the index in buffers for n bytes.
func bufferClass(n int64) int {
	return bits.Len64(uint64(max(n-1, 0) / minBuffer))
}

// Buffer returns a buffer of n bytes, at most 512 KiB. Return it with PutBuffer.
func Buffer(n int64) []byte {
	class := bufferClass(n)
	if b, ok := buffers[class].Get().(*[]byte); ok {
		return (*b)[:n]
	}
	return make([]byte, minBuffer<<class)[:n]
}

// fit returns a buffer for up to n bytes in place of b, which may be nil: b itself if it has
// that size. The contents are lost.
func fit(b []byte, n int64) []byte {
	if b != nil && bufferClass(int64(cap(b))) == bufferClass(n) {
		return b[:n]
	}
	PutBuffer(b)
	return Buffer(n)
}

// PutBuffer makes a buffer available to other callers of Buffer.
func PutBuffer(b []byte) {
	if b == nil {
		return
	}
	b = b[:cap(b)]
	buffers[bufferClass(int64(len(b)))].Put(&b)
}
