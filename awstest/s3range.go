package awstest

import (
	"math"
	"net/http"
	"strconv"
	"strings"
)

// byteRange is what a Range header asks for: first to last, which may lie beyond
// the end, or, as a suffix, the last bytes.
type byteRange struct {
	first, last int64
	suffix      bool // "-n": last is n
}

// parseRange reads a Range header. It reports false for what is no single range
// of bytes: S3 then sends the whole object, as if there were no header
// (RFC 9110, section 14.2; GetObject, "doesn't support retrieving multiple
// ranges").
func parseRange(header string) (byteRange, bool) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	from, to, dash := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok || !dash {
		return byteRange{}, false
	}
	first, firstOK := offset(from)
	last, lastOK := offset(to)
	switch {
	case firstOK && lastOK && first <= last:
		return byteRange{first: first, last: last}, true
	case firstOK && to == "":
		return byteRange{first: first, last: math.MaxInt64}, true
	case from == "" && lastOK:
		return byteRange{last: last, suffix: true}, true
	}
	return byteRange{}, false
}

// offset is the number that digits write, or the largest there is.
func offset(digits string) (int64, bool) {
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		n = math.MaxInt64 // only its size can be wrong with it
	}
	return n, true
}

// within is the half-open interval of an object of this size that the range
// means; false when the object has no byte of it.
func (r byteRange) within(size int64) (first, end int64, ok bool) {
	if r.suffix {
		first = max(0, size-r.last)
		return first, size, first < size
	}
	return r.first, min(r.last, size-1) + 1, r.first < size
}

// preconditions is the status with which the request's conditions end it, and
// the header that did; 0 when they hold. Order and combination are those of
// RFC 9110, section 13.2.2, which S3 documents as its own.
func (v *version) preconditions(h http.Header) (status int, header string) {
	if match := h.Get("If-Match"); match != "" {
		if !etagIn(match, v.ETag) {
			return http.StatusPreconditionFailed, "If-Match"
		}
	} else if t, err := http.ParseTime(h.Get("If-Unmodified-Since")); err == nil && v.LastModified.After(t) {
		return http.StatusPreconditionFailed, "If-Unmodified-Since"
	}
	if none := h.Get("If-None-Match"); none != "" {
		if etagIn(none, v.ETag) {
			return http.StatusNotModified, "If-None-Match"
		}
	} else if t, err := http.ParseTime(h.Get("If-Modified-Since")); err == nil && !v.LastModified.After(t) {
		return http.StatusNotModified, "If-Modified-Since"
	}
	return 0, ""
}

// etagIn says whether a list of entity tags has this one. S3 takes tags without
// quotes too.
func etagIn(list, etag string) bool {
	for tag := range strings.SplitSeq(list, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || strings.Trim(tag, `"`) == strings.Trim(etag, `"`) {
			return true
		}
	}
	return false
}
