package s3reader

import (
	"cmp"
	"slices"
)

// extent is the bytes [start, end).
type extent struct{ start, end int64 }

func (e extent) len() int64 { return e.end - e.start }

// piece is an extent that has been written, and its checksum.
type piece struct {
	extent
	crc uint64
}

// gaps are what the pieces leave of an object. It sorts them.
func gaps(pieces []piece, size int64) []extent {
	slices.SortFunc(pieces, func(a, b piece) int { return cmp.Compare(a.start, b.start) })
	var missing []extent
	at := int64(0)
	for _, p := range pieces {
		if p.start > at {
			missing = append(missing, extent{at, p.start})
		}
		at = max(at, p.end)
	}
	if at < size {
		missing = append(missing, extent{at, size})
	}
	return missing
}

// cut divides extents into such that hold no multiple of step inside.
func cut(es []extent, step int64) []extent {
	var parts []extent
	for _, e := range es {
		for e.len() > 0 {
			end := min(e.end, (e.start/step+1)*step)
			parts = append(parts, extent{e.start, end})
			e.start = end
		}
	}
	return parts
}

func total(es []extent) int64 {
	var n int64
	for _, e := range es {
		n += e.len()
	}
	return n
}
