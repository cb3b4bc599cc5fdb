package s3reader

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// contentRange is the value of a Content-Range header: the bytes [start, end) of
// total.
type contentRange struct{ start, end, total int64 }

// parseContentRange reads "bytes first-last/total" (RFC 9110, section 14.4). An
// unknown total ("*") is refused: S3 always knows it.
func parseContentRange(s string) (contentRange, error) {
	rest, ok := strings.CutPrefix(s, "bytes ")
	span, total, ok1 := strings.Cut(rest, "/")
	first, last, ok2 := strings.Cut(span, "-")
	if !ok || !ok1 || !ok2 {
		return contentRange{}, fmt.Errorf("Content-Range %q is not \"bytes first-last/total\"", s)
	}
	var n [3]int64
	for i, digits := range []string{first, last, total} {
		// ParseUint takes no sign; 63 bits leave room for an int64.
		v, err := strconv.ParseUint(digits, 10, 63)
		if err != nil {
			return contentRange{}, fmt.Errorf("Content-Range %q: %w", s, err)
		}
		n[i] = int64(v)
	}
	if n[0] > n[1] || n[1] >= n[2] {
		return contentRange{}, fmt.Errorf("Content-Range %q: no such range exists", s)
	}
	if n[2] > maxSize {
		return contentRange{}, fmt.Errorf("Content-Range %q: an object has at most 1 PiB (%d bytes)", s, int64(maxSize))
	}
	return contentRange{n[0], n[1] + 1, n[2]}, nil
}

// rangeHeader asks for the bytes [start, end).
func rangeHeader(start, end int64) *string {
	return aws.String(fmt.Sprintf("bytes=%d-%d", start, end-1))
}

// unsatisfied returns the size of the object that a 416 names: "bytes */total".
func unsatisfied(err error) (total int64, ok bool) {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || resp.HTTPStatusCode() != http.StatusRequestedRangeNotSatisfiable {
		return 0, false
	}
	digits, ok := strings.CutPrefix(resp.Response.Header.Get("Content-Range"), "bytes */")
	n, err := strconv.ParseUint(digits, 10, 63)
	return int64(n), ok && err == nil && n <= maxSize
}

func changedETag(was, is string) error {
	return &Error{Kind: ObjectChanged, Err: fmt.Errorf("asked for ETag %s, answered with %q", was, is)}
}

func changedSize(was, is int64) error {
	return &Error{Kind: ObjectChanged, Err: fmt.Errorf("the object had %d bytes and has %d", was, is)}
}

func encodedInTransit(stored, received string) error {
	return &Error{Kind: RangeMismatch, Err: fmt.Errorf("Content-Encoding is %q, of the same version it was %q before: something between here and S3 rewrites bodies", received, stored)}
}

// checkRange reports how a response differs from the bytes [start, end) of the
// version that info describes. It returns the end of the bytes that it has: a
// server may send fewer than were asked for (RFC 9110, section 15.3.7), and all of
// an object for a range that is all of it (section 14.2).
func checkRange(out *s3.GetObjectOutput, info *Info, start, end int64) (int64, error) {
	mismatch := func(format string, a ...any) (int64, error) {
		return 0, &Error{Kind: RangeMismatch, Err: fmt.Errorf("asked for bytes %d-%d of %d, "+format, append([]any{start, end - 1, info.Size}, a...)...)}
	}
	if etag := normalETag(out.ETag); etag != info.ETag {
		return 0, changedETag(info.ETag, etag)
	}
	resp, err := plainResponse(out)
	if err != nil {
		return 0, err
	}
	if encoding := aws.ToString(out.ContentEncoding); encoding != info.ContentEncoding {
		return 0, encodedInTransit(info.ContentEncoding, encoding)
	}
	if resp.StatusCode == http.StatusOK && out.ContentRange == nil && start == 0 && end == info.Size {
		if out.ContentLength != nil && *out.ContentLength != info.Size {
			return 0, changedSize(info.Size, *out.ContentLength)
		}
		return end, nil
	}
	if resp.StatusCode != http.StatusPartialContent {
		return mismatch("answered with status %d", resp.StatusCode)
	}
	got, err := parseContentRange(aws.ToString(out.ContentRange))
	if err != nil {
		return mismatch("answered with %w", err)
	}
	if got.total != info.Size && info.ContentEncoding != "" {
		return mismatch("answered with %s: with the same ETag and Content-Encoding %q, something between here and S3 may compress", *out.ContentRange, info.ContentEncoding)
	}
	if got.total != info.Size {
		return 0, changedSize(info.Size, got.total)
	}
	if got.start != start || got.end > end {
		return mismatch("answered with %s", *out.ContentRange)
	}
	if out.ContentLength != nil && *out.ContentLength != got.end-got.start {
		return mismatch("answered with %s and Content-Length %d", *out.ContentRange, *out.ContentLength)
	}
	return got.end, nil
}

// plainResponse is the HTTP answer behind out, provided that its body is what
// was stored.
func plainResponse(out *s3.GetObjectOutput) (*smithyhttp.Response, error) {
	resp, ok := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response)
	if !ok {
		return nil, &Error{Kind: RangeMismatch, Err: fmt.Errorf("the SDK keeps no HTTP answer to check: a middleware removed it")}
	}
	if resp.Uncompressed {
		return nil, &Error{Kind: RangeMismatch, Err: fmt.Errorf("the HTTP client decompressed the body in transit: set DisableCompression in its transport")}
	}
	return resp, nil
}
