// Package httprange reads and writes the headers of range requests (RFC 9110,
// section 14).
package httprange

import (
	"fmt"
	"strconv"
	"strings"
)

// MaxSize is the size of the largest object that is accepted, in bytes: 1 PiB.
const MaxSize = 1 << 50

// Content is the value of a Content-Range header: the bytes [Start, End) of an
// object of Total bytes.
type Content struct{ Start, End, Total int64 }

// ParseContent parses "bytes first-last/total" (RFC 9110, section 14.4). An unknown total
// ("*") is an error: S3 always sends it.
func ParseContent(s string) (Content, error) {
	rest, ok := strings.CutPrefix(s, "bytes ")
	span, total, ok1 := strings.Cut(rest, "/")
	first, last, ok2 := strings.Cut(span, "-")
	if !ok || !ok1 || !ok2 {
		return Content{}, fmt.Errorf("Content-Range %q is not \"bytes first-last/total\"", s)
	}
	var n [3]int64
	for i, digits := range []string{first, last, total} {
		// ParseUint accepts no sign; 63 bits fit an int64.
		v, err := strconv.ParseUint(digits, 10, 63)
		if err != nil {
			return Content{}, fmt.Errorf("Content-Range %q: %w", s, err)
		}
		n[i] = int64(v)
	}
	if n[0] > n[1] || n[1] >= n[2] {
		return Content{}, fmt.Errorf("Content-Range %q: no such range exists", s)
	}
	if n[2] > MaxSize {
		return Content{}, fmt.Errorf("Content-Range %q: an object has at most 1 PiB (%d bytes)", s, int64(MaxSize))
	}
	return Content{n[0], n[1] + 1, n[2]}, nil
}

// Header returns the value of a Range header for the bytes [start, end).
func Header(start, end int64) string { return fmt.Sprintf("bytes=%d-%d", start, end-1) }

// ParseUnsatisfied returns the size of the object from the Content-Range of a response
// with status 416: "bytes */total".
func ParseUnsatisfied(s string) (total int64, ok bool) {
	digits, ok := strings.CutPrefix(s, "bytes */")
	n, err := strconv.ParseUint(digits, 10, 63)
	return int64(n), ok && err == nil && n <= MaxSize
}
