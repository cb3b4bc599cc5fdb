package s3reader

import (
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
	return contentRange{n[0], n[1] + 1, n[2]}, nil
}

// rangeHeader asks for the bytes [start, end).
func rangeHeader(start, end int64) *string {
	return aws.String(fmt.Sprintf("bytes=%d-%d", start, end-1))
}

// checkRange reports how an answer differs from the bytes [start, end) of the
// version that info describes.
func checkRange(out *s3.GetObjectOutput, info *Info, start, end int64) error {
	mismatch := func(format string, a ...any) error {
		return &Error{Kind: RangeMismatch, Err: fmt.Errorf("asked for bytes %d-%d of %d, "+format, append([]any{start, end - 1, info.Size}, a...)...)}
	}
	if etag := normalETag(out.ETag); etag != info.ETag {
		return &Error{Kind: ObjectChanged, Err: fmt.Errorf("asked for ETag %s, answered with %q", info.ETag, etag)}
	}
	resp, err := plainResponse(out)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusPartialContent {
		return mismatch("answered with status %d", resp.StatusCode)
	}
	got, err := parseContentRange(aws.ToString(out.ContentRange))
	if err != nil {
		return mismatch("answered with %w", err)
	}
	if got != (contentRange{start, end, info.Size}) {
		return mismatch("answered with %s", *out.ContentRange)
	}
	if out.ContentLength != nil && *out.ContentLength != end-start {
		return mismatch("answered with Content-Length %d", *out.ContentLength)
	}
	return nil
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
