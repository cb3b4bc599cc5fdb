package transfer

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/crossrole/crossrole/s3reader/internal/crc"
)

// Range is the bytes [Start, End) of an object.
type Range struct{ Start, End int64 }

// Len returns the number of bytes.
func (r Range) Len() int64 { return r.End - r.Start }

// Part is a range that was fetched and written, with its CRC.
type Part struct {
	Range
	CRC uint64
}

const (
	// MinSegment is the smallest segment that a connection is opened for, in bytes: for a
	// smaller one, most of the time is spent waiting for the first byte. S3 recommends
	// ranges of 8 to 16 MiB
	// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html).
	MinSegment = 8 << 20

	// alignment is a divisor of the borders of segments, in bytes.
	alignment = 64 << 10
)

// Plan describes how an object is divided among connections.
type Plan struct {
	Connections int   // maximum
	step        int64 // no segment crosses a multiple of this
	fixed       bool  // segments are not split later
}

// NewPlan divides the missing bytes of an object among at most that many connections. One
// segment of equal length for each keeps all of them busy to the end: no segment waits for
// another, and a network that limits each connection is used completely.
//
// partSize, unless 0, is the fixed length of the segments. storedPart, unless 0, is the size
// of the parts in which the object was uploaded: S3 recommends ranges that start and end at
// their borders.
func NewPlan(missing int64, most int, partSize, storedPart int64) Plan {
	p := Plan{fixed: partSize > 0, step: partSize}
	least := cmp.Or(partSize, MinSegment)
	p.Connections = int(max(1, min(int64(most), ceilDiv(missing, least))))
	if p.fixed {
		return p
	}
	each := ceilDiv(missing, int64(p.Connections))
	step := int64(alignment)
	if storedPart > 0 && storedPart <= each {
		step = storedPart
	}
	p.step = ceilDiv(each, step) * step
	return p
}

// ceilDiv returns a/b rounded up, for a ≥ 0 and b > 0, without overflow.
func ceilDiv(a, b int64) int64 {
	if a%b == 0 {
		return a / b
	}
	return a/b + 1
}

// StoredPart returns the size of the parts in which an object was probably uploaded; 0 if it
// was uploaded as a whole, or if the size cannot be inferred. A wrong guess does no harm.
//
// The ETag of an object that was uploaded in parts ends with their number. All of them but
// the last have the same size, and tools use whole mebibytes.
func StoredPart(etag string, size int64) int64 {
	_, n, ok := strings.Cut(strings.Trim(etag, `"`), "-")
	parts, err := strconv.ParseInt(n, 10, 64)
	if !ok || err != nil || parts < 2 || parts > 10_000 { // S3's limit
		return 0
	}
	if size <= 0 { // despite its ETag, it has no parts
		return 0
	}
	const unit = 1 << 20
	part := ceilDiv(ceilDiv(size, parts), unit) * unit
	if ceilDiv(size, part) != parts {
		return 0
	}
	return part
}

// Missing returns the ranges of an object of size bytes that no part covers. It sorts the
// parts.
func Missing(parts []Part, size int64) []Range {
	slices.SortFunc(parts, byStart)
	var missing []Range
	at := int64(0)
	for _, p := range parts {
		if p.Start > at {
			missing = append(missing, Range{at, p.Start})
		}
		at = max(at, p.End)
	}
	if at < size {
		missing = append(missing, Range{at, size})
	}
	return missing
}

// Length returns the total length of ranges.
func Length(ranges []Range) int64 {
	var n int64
	for _, r := range ranges {
		n += r.Len()
	}
	return n
}

// cut divides r at the next multiple of step. The rest is empty if step is 0.
func (r Range) cut(step int64) (first, rest Range) {
	end := r.End
	if step > 0 {
		end = r.Start + min(step-r.Start%step, r.Len())
	}
	return Range{r.Start, end}, Range{end, r.End}
}

// Sum returns the CRC of an object of size bytes; 0 if kind is nil. It fails unless the parts
// cover each byte of the object once. It sorts the parts.
func Sum(parts []Part, size int64, kind *crc.Kind) (uint64, error) {
	slices.SortFunc(parts, byStart)
	var at int64
	var sum uint64
	combiner := crc.Combiner{Kind: kind}
	for _, p := range parts {
		if p.Start != at {
			return 0, fmt.Errorf("the bytes from %d to %d were fetched twice or not at all: a bug in this package", min(at, p.Start), max(at, p.Start))
		}
		at = p.End
		if kind != nil {
			sum = combiner.Combine(sum, p.CRC, p.Len())
		}
	}
	if at != size {
		return 0, fmt.Errorf("%d of %d bytes were fetched: a bug in this package", at, size)
	}
	return sum, nil
}

func byStart(a, b Part) int { return cmp.Compare(a.Start, b.Start) }
