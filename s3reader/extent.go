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

// cut returns the first part of e, up to the next multiple of step, and the rest.
// There is no rest if step is 0.
func (e extent) cut(step int64) (first, rest extent) {
	end := e.end
	if step > 0 {
		end = e.start + min(step-e.start%step, e.len())
	}
	return extent{e.start, end}, extent{end, e.end}
}

func total(es []extent) int64 {
	var n int64
	for _, e := range es {
		n += e.len()
	}
	return n
}
