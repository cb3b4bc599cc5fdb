package s3reader

import "sync"

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// takeBuffer returns n bytes to read into, at most bufferSize.
func takeBuffer(n int64) []byte {
	if n <= minBufferSize {
		return make([]byte, n)
	}
	return buffers.Get().(*[bufferSize]byte)[:n]
}

func giveBuffer(b []byte) {
	if cap(b) == bufferSize {
		buffers.Put((*[bufferSize]byte)(b[:bufferSize]))
	}
}
