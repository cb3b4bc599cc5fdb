package s3reader

import (
	"io"
	"sync"
)

// serial lets one write at a time reach a file. File systems do so anyway, by a
// lock for which a processor spins.
type serial struct {
	mu sync.Mutex
	io.WriterAt
}

func (s *serial) WriteAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.WriterAt.WriteAt(p, off)
}
