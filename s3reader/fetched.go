package s3reader

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
)

// fetched are the pieces of an object that have been written. It is safe for
// concurrent use.
type fetched struct {
	mu     sync.Mutex
	pieces []piece
}

func (f *fetched) add(p piece) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pieces = append(f.pieces, p)
}

// whole is the checksum of an object of that size. It fails unless the pieces are
// that object, each byte of it once.
func (f *fetched) whole(kind *crcKind, size int64) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.SortFunc(f.pieces, func(a, b piece) int { return cmp.Compare(a.start, b.start) })
	var at int64
	var sum uint64
	shift := shifter{kind: kind}
	for _, p := range f.pieces {
		if p.start != at {
			return 0, fmt.Errorf("the bytes from %d to %d were fetched twice, or not at all: a defect of this package", min(at, p.start), max(at, p.start))
		}
		at = p.end
		if kind != nil {
			sum = shift.combine(sum, p.crc, p.len())
		}
	}
	if at != size {
		return 0, fmt.Errorf("%d of %d bytes were fetched: a defect of this package", at, size)
	}
	return sum, nil
}
