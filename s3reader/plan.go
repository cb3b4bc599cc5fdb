package s3reader

import (
	"strconv"
	"strings"
)

const (
	// minShare is what a connection gets at least: less would be spent on waiting
	// for the first byte. S3 advises ranges of 8 to 16 MiB
	// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html).
	minShare = 8 << 20

	// maxConnections fill a line of some 23 Gbit/s at the 90 MB/s that S3 gives to
	// each, if Options.Concurrency does not say.
	maxConnections = 32

	// Shares begin at multiples of this.
	shareStep = 64 << 10
)

// plan is how an object is fetched.
type plan struct {
	connections int
	step        int64 // ranges do not cross multiples of this
	fixed       bool  // ranges are Options.PartSize long, and stay whole
}

// plan divides the missing bytes of an object among at most that many
// connections. One wave of ranges of equal length keeps all of them at work to
// the end: no range waits for another, and a link that caps each connection is
// used in full.
func (r *Reader) plan(info *Info, missing int64, most int) plan {
	if r.opts.Concurrency > 0 {
		most = min(most, r.opts.Concurrency)
	}
	p := plan{fixed: r.opts.PartSize > 0}
	p.connections = int(max(1, min(int64(most), ceilDiv(missing, r.leastShare()))))
	if p.fixed {
		p.step = r.opts.PartSize
		return p
	}
	share := ceilDiv(missing, int64(p.connections))
	step := int64(shareStep)
	if stored := storedPart(info.ETag, info.Size); stored > 0 && stored <= share {
		step = stored
	}
	p.step = ceilDiv(share, step) * step
	return p
}

// leastShare is the largest object, in bytes, that comes over one connection.
func (r *Reader) leastShare() int64 {
	if r.opts.PartSize > 0 {
		return r.opts.PartSize
	}
	return minShare
}

// ceilDiv returns a/b, rounded up. a must not be negative, and b must be positive.
func ceilDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 {
		q++
	}
	return q
}

// storedPart is the size of the parts in which an object was probably uploaded;
// 0 if it was not, or if that is not to be seen. Reading along their borders is
// what S3 recommends; a wrong guess costs nothing.
//
// The ETag of such an object ends with the number of parts, all of which are
// equal but the last, and tools choose whole mebibytes.
func storedPart(etag string, size int64) int64 {
	_, n, ok := strings.Cut(strings.Trim(etag, `"`), "-")
	parts, err := strconv.ParseInt(n, 10, 64)
	if !ok || err != nil || parts < 2 || parts > 10_000 { // the most that S3 takes
		return 0
	}
	if size <= 0 { // of no parts, whatever the ETag says
		return 0
	}
	const unit = 1 << 20
	part := ceilDiv(ceilDiv(size, parts), unit) * unit
	if ceilDiv(size, part) != parts {
		return 0
	}
	return part
}
