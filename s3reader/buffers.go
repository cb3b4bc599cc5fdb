package s3reader

import (
	"math/bits"
	"sync"
	"time"
)

const (
	// A connection reads into one buffer. Of a fast one, more bytes in a call are
	// fewer calls, each of which wakes somebody: 2 MiB took a fifth less of the
	// processor than 256 KiB. Options.Memory may allow less.
	maxBufferSize = 2 << 20
	bufferSize    = 256 << 10
	minBufferSize = 32 << 10
)

// buffers are kept by size, which doubles from minBufferSize to maxBufferSize.
var buffers [bufferSizes]sync.Pool

const bufferSizes = 7

// bufferClass is the place in buffers of those that hold n bytes.
func bufferClass(n int64) int {
	return bits.Len64(uint64(max(n-1, 0) / minBufferSize))
}

// takeBuffer returns n bytes to read into, at most maxBufferSize.
func takeBuffer(n int64) []byte {
	class := bufferClass(n)
	if b, ok := buffers[class].Get().(*[]byte); ok {
		return (*b)[:n]
	}
	return make([]byte, minBufferSize<<class)[:n]
}

func giveBuffer(b []byte) {
	b = b[:cap(b)]
	buffers[bufferClass(int64(len(b)))].Put(&b)
}

// lanes are the connections that downloads share, and what they cost.
type lanes struct {
	gate   *gate
	buffer int64 // bytes of each
}

// newLanes are at most n connections; fewer if Options.Memory has no room.
func (r *Reader) newLanes(n int) *lanes {
	n = int(max(1, min(int64(n), r.memory()/minBufferSize)))
	return &lanes{newGate(n), min(maxBufferSize, max(minBufferSize, r.memory()/int64(n)))}
}

// portion is how many bytes a connection reads before it tells of them: few enough
// that a slow one is seen to be alive, and else as many as the buffer holds.
type portion int64

const (
	portionFast = 25 * time.Millisecond
	portionSlow = 100 * time.Millisecond
)

// adapt is told how long the last portion took.
func (p *portion) adapt(took time.Duration) {
	switch {
	case took < portionFast:
		*p = min(*p*2, maxBufferSize)
	case took > portionSlow:
		*p = max(*p/2, minBufferSize)
	}
}
