package s3reader

import "sync"

const (
	// A connection reads into one buffer, whose size is this unless Options.Memory
	// allows less.
	bufferSize    = 256 << 10
	minBufferSize = 32 << 10
)

var (
	buffers      = sync.Pool{New: func() any { return new([bufferSize]byte) }}
	smallBuffers = sync.Pool{New: func() any { return new([minBufferSize]byte) }}
)

// takeBuffer returns n bytes to read into, at most bufferSize.
func takeBuffer(n int64) []byte {
	if n <= minBufferSize {
		return smallBuffers.Get().(*[minBufferSize]byte)[:n]
	}
	return buffers.Get().(*[bufferSize]byte)[:n]
}

func giveBuffer(b []byte) {
	if cap(b) == minBufferSize {
		smallBuffers.Put((*[minBufferSize]byte)(b[:minBufferSize]))
		return
	}
	buffers.Put((*[bufferSize]byte)(b[:bufferSize]))
}

// lanes are the connections that downloads share, and what they cost.
type lanes struct {
	gate   *gate
	buffer int64 // bytes of each
}

// newLanes are at most n connections; fewer if Options.Memory has no room.
func (r *Reader) newLanes(n int) *lanes {
	n = int(max(1, min(int64(n), r.memory()/minBufferSize)))
	return &lanes{newGate(n), min(bufferSize, max(minBufferSize, r.memory()/int64(n)))}
}
