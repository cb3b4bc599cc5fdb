package s3reader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crossrole/crossrole/s3reader/internal/httprange"
)

// # How an object is requested
//
//	client.getWhole   all bytes of the current version: an open, a download's first GET
//	version.getRange  a range of the version that is open, with If-Match: its ETag
//	        └─► client.get ─► call (client.go) ─► body
//
// Every response is compared with the request: status, Content-Range, length, ETag
// and Content-Encoding (infoOfWhole, checkRange). A mismatch is an *Error, which is
// not retried. After a 412 or 416, whyRefused finds out with a HEAD whether the object
// was overwritten. body delivers the bytes and ends when it stalls.

// getInput returns the input of a GET of the object's current version.
func (c *client) getInput(key string) *s3.GetObjectInput {
	in := &s3.GetObjectInput{
		Bucket: &c.bucket.name, Key: &key,
		RequestPayer: c.payer(), ExpectedBucketOwner: c.owner(),
	}
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = c.opts.CustomerKey.headers()
	return in
}

// body is the body of one response. A Read that gets nothing for the stall timeout
// cancels the request.
type body struct {
	content  io.ReadCloser
	endpoint string // scheme and host of the server
	end      int64  // position in the object up to which it delivers

	// exact marks a body whose response has no length: it must end exactly at end,
	// since the end of a chunked body, or of its connection, proves nothing. encoded
	// marks one with a Content-Encoding, which a proxy may have applied.
	exact, encoded bool

	ctx    context.Context // of the request; the transport watches it while the body is read
	cancel context.CancelCauseFunc
	stall  time.Duration
	timer  *time.Timer
}

// get sends one GET. The body can be read until it is closed or ctx ends.
func (c *client) get(ctx context.Context, in *s3.GetObjectInput, mw ...func(*middleware.Stack) error) (*s3.GetObjectOutput, *body, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	out, err := call(ctx, c, (*s3.Client).GetObject, in, mw...)
	if err != nil {
		cancel(err)
		return nil, nil, err
	}
	b := &body{
		content: out.Body, ctx: ctx, cancel: cancel, stall: c.opts.StallTimeout,
	}
	if out.ContentLength == nil {
		b.encoded = aws.ToString(out.ContentEncoding) != ""
		b.exact = b.encoded || out.ContentRange == nil
	}
	if from, ok := out.Body.(*drained); ok {
		b.endpoint = from.endpoint
	}
	return out, b, nil
}

// getWhole requests all bytes of an object's current version, and its checksum if
// that is to be compared. It returns what the response says of the object.
func (c *client) getWhole(ctx context.Context, in *s3.GetObjectInput) (*s3.HeadObjectOutput, *Info, *body, error) {
	if err := checkKey(*in.Key); err != nil {
		return nil, nil, nil, err
	}
	var mw []func(*middleware.Stack) error
	if c.opts.Verify == VerifyAuto {
		// By header: with ChecksumMode, the SDK would compare too.
		mw = append(mw, smithyhttp.SetHeaderValue("X-Amz-Checksum-Mode", "ENABLED"))
	}
	out, body, err := c.get(ctx, in, mw...)
	if err != nil {
		return nil, nil, nil, err
	}
	head := headOf(out)
	info, err := c.infoOfWhole(ctx, out, infoOf(*in.Key, head))
	if err != nil {
		body.Close()
		return nil, nil, nil, body.addEndpoint(err)
	}
	body.end = info.Size
	if info.Size == 0 && body.exact {
		if err := body.checkEnd(); err != nil {
			body.Close()
			return nil, nil, nil, err
		}
	}
	return head, info, body, nil
}

// infoOfWhole checks the response to a GET of a whole object and completes info by
// its size. A chunked response has no length: then the size is from a HEAD, of the
// version with the same ETag.
func (c *client) infoOfWhole(ctx context.Context, out *s3.GetObjectOutput, info *Info) (*Info, error) {
	resp, err := plainResponse(out)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK || out.ContentRange != nil {
		return nil, &Error{Kind: RangeMismatch, Err: fmt.Errorf("requested the whole object, got status %d and a part of it", resp.StatusCode)}
	}
	if out.ContentLength == nil {
		info.Size, err = c.sizeByHead(ctx, info)
		return info, err
	}
	info.Size = *out.ContentLength
	return info, checkSize(info.Size)
}

func (b *body) Read(p []byte) (n int, err error) {
	defer recovered(&err)
	if b.timer == nil {
		b.timer = time.AfterFunc(b.stall, func() { b.cancel(&stallError{after: b.stall}) })
	} else {
		b.timer.Reset(b.stall)
	}
	defer b.timer.Stop()
	n, err = b.content.Read(p)
	if n < 0 || n > len(p) {
		return 0, errBadRead
	}
	if err != nil && err != io.EOF {
		if stall, ok := stalled(b.ctx); ok {
			err = stall
		}
	}
	return n, err
}

// addEndpoint adds the endpoint to an error that describes what is wrong with the
// response.
func (b *body) addEndpoint(err error) error {
	if known, ok := errors.AsType[*Error](err); ok && known.Op == "" && known.Endpoint == "" {
		known.Endpoint = b.endpoint
	}
	return err
}

// checkEnd returns an error unless the body ends here.
func (b *body) checkEnd() error {
	var more [1]byte
	for range maxIdleReads {
		n, err := b.Read(more[:])
		switch {
		case n > 0:
			return &Error{Kind: RangeMismatch, Endpoint: b.endpoint, Err: fmt.Errorf("the body continues beyond byte %d, where it should end", b.end)}
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// maxIdleReads is how many times in a row a body may deliver nothing, which io.Reader
// allows.
const maxIdleReads = 100

// Close releases the connection. An error from closing an abandoned body does not
// matter: all bytes that were delivered have been checked.
func (b *body) Close() {
	b.cancel(errBodyDone)
	_ = safely(b.content.Close)
}

var errBodyDone = errors.New("s3reader: body done")

// version is one version of an object, and the client to request its bytes with. It
// is safe for concurrent use.
type version struct {
	client *client
	info   Info        // never changes
	byID   atomic.Bool // it is no longer the current version: request it by its ID
}

// getRange requests the bytes [start, end) of the version.
//
// If-Match is enough to tell versions apart. The version ID is sent only after the
// object was overwritten or deleted, because it requires s3:GetObjectVersion, which a
// role that may read the object need not have.
func (v *version) getRange(ctx context.Context, start, end int64) (*body, error) {
	if v.info.ETag == "" {
		return nil, &Error{Kind: RangeMismatch, Err: errors.New("the object has no ETag, so that a second request cannot be tied to the same version")}
	}
	in := v.client.getInput(v.info.Key)
	in.Range, in.IfMatch = rangeHeader(start, end), &v.info.ETag
	pinned := v.byID.Load()
	if pinned {
		in.VersionId = &v.info.VersionID
	}
	out, body, err := v.client.get(ctx, in)
	if err != nil && !pinned && v.info.VersionID != "" && mayBeGone(err) {
		in.VersionId = &v.info.VersionID
		var again error
		if out, body, again = v.client.get(ctx, in); again == nil {
			v.byID.Store(true)
			err = nil
		}
	}
	if err != nil {
		if !pinned {
			err = v.whyRefused(ctx, err)
		}
		return nil, err
	}
	body.end, err = checkRange(out, &v.info, start, end)
	if err != nil {
		body.Close()
		return nil, body.addEndpoint(err)
	}
	return body, nil
}

// whyRefused finds out why a request got a 412 or a 416: the object has changed, or
// the server contradicts itself. The refusal has neither the current ETag nor, usually,
// the size; a HEAD has both.
func (v *version) whyRefused(ctx context.Context, err error) error {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok {
		return err
	}
	status := resp.HTTPStatusCode()
	if status != http.StatusPreconditionFailed && status != http.StatusRequestedRangeNotSatisfiable {
		return err
	}
	endpoint := ""
	if at, ok := errors.AsType[*requestError](err); ok {
		endpoint = at.endpoint
	}
	changed := func(hint string) error {
		return &Error{Kind: ObjectChanged, Endpoint: endpoint, Err: err, hint: hint}
	}
	if total, ok := unsatisfied(err); ok && v.sized() && total != v.info.Size {
		return changed(fmt.Sprintf("the object with ETag %s had %d bytes and now has %d: open it again", v.info.ETag, v.info.Size, total))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, headErr := v.client.head(ctx, v.info.Key)
	if headErr != nil {
		if kindOf(headErr) == NotFound {
			return &Error{Kind: NotFound, Endpoint: endpoint, Err: headErr, hint: fmt.Sprintf("it was deleted after it was opened, when its ETag was %s", v.info.ETag)}
		}
		if status == http.StatusPreconditionFailed {
			return changed(fmt.Sprintf("it is no longer the version with ETag %s: open it again", v.info.ETag))
		}
		return err
	}
	etag := aws.ToString(out.ETag)
	switch {
	case etag != v.info.ETag:
		return changed(fmt.Sprintf("it had ETag %s and now has %s: it was overwritten after it was opened: open it again", v.info.ETag, orNone(etag)))
	case v.sized() && out.ContentLength != nil && *out.ContentLength != v.info.Size:
		return changed(fmt.Sprintf("the object with ETag %s had %d bytes and now has %d: open it again", v.info.ETag, v.info.Size, *out.ContentLength))
	case status == http.StatusPreconditionFailed:
		return &Error{Kind: RangeMismatch, Endpoint: endpoint, Err: err, hint: fmt.Sprintf(
			"the object has not changed: HEAD still says ETag %s, but a GET with If-Match: %[1]s was refused. The store, or a proxy before it, does not compare ETags as it should", etag)}
	}
	return &Error{Kind: RangeMismatch, Endpoint: endpoint, Err: err, hint: fmt.Sprintf(
		"the object has not changed: HEAD still says ETag %s and %d bytes, but a range within them was refused", etag, v.info.Size)}
}

// isNotModified reports whether err is a status 304.
func isNotModified(err error) bool {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	return ok && resp.HTTPStatusCode() == http.StatusNotModified
}

// notModified returns the result of a GET with If-None-Match whose response is the 304
// in err. The response must not name another ETag.
func notModified(c *client, op string, in *s3.GetObjectInput, err error) error {
	if resp, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		if got := normalETag(aws.String(resp.Response.Header.Get("ETag"))); got != "" && got != *in.IfNoneMatch {
			return c.fail(op, *in.Key, &Error{Kind: RangeMismatch, Err: fmt.Errorf(
				"status 304 (Not Modified) names ETag %s, but the request asked whether it is still %s: something between here and S3 caches responses", got, *in.IfNoneMatch)})
		}
	}
	c.bucketSeen.Store(true)
	return ErrNotModified
}

// sized reports whether the version's size is known.
func (v *version) sized() bool { return v.info.Size >= 0 }

func orNone(etag string) string {
	if etag == "" {
		return "none"
	}
	return etag
}

// mayBeGone reports whether err can mean that the object was overwritten or deleted.
// Without s3:ListBucket, S3 responds to a request for a deleted object with a 403.
func mayBeGone(err error) bool {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok {
		return false
	}
	switch resp.HTTPStatusCode() {
	case http.StatusPreconditionFailed, http.StatusNotFound, http.StatusForbidden:
		return true
	}
	return false
}

// rangeHeader returns the Range header for the bytes [start, end).
func rangeHeader(start, end int64) *string {
	return aws.String(httprange.Header(start, end))
}

// unsatisfied returns the object's size from a response with status 416.
func unsatisfied(err error) (total int64, ok bool) {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || resp.HTTPStatusCode() != http.StatusRequestedRangeNotSatisfiable {
		return 0, false
	}
	return httprange.ParseUnsatisfied(resp.Response.Header.Get("Content-Range"))
}

func changedETag(was, is string) error {
	return &Error{Kind: ObjectChanged, Err: fmt.Errorf("requested ETag %s, got %q", was, is)}
}

func changedSize(was, is int64) error {
	return &Error{Kind: ObjectChanged, Err: fmt.Errorf("the object had %d bytes and now has %d", was, is)}
}

func encodedInTransit(stored, received string) error {
	return &Error{Kind: RangeMismatch, Err: fmt.Errorf("Content-Encoding is %q, but was %q before for the same version: something between here and S3 rewrites bodies", received, stored)}
}

// checkRange checks that a response is one for the bytes [start, end) of the version
// that info describes. It returns the end of the bytes in the response: a server may
// send fewer than requested (RFC 9110, section 15.3.7), and the complete object without
// Content-Range for a range that covers it (section 14.2).
func checkRange(out *s3.GetObjectOutput, info *Info, start, end int64) (int64, error) {
	mismatch := func(format string, a ...any) (int64, error) {
		return 0, &Error{Kind: RangeMismatch, Err: fmt.Errorf("requested bytes %d-%d of %d, "+format, append([]any{start, end - 1, info.Size}, a...)...)}
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
		return mismatch("got status %d", resp.StatusCode)
	}
	got, err := httprange.ParseContent(aws.ToString(out.ContentRange))
	if err != nil {
		return mismatch("got an invalid response: %w", err)
	}
	if got.Total != info.Size && info.ContentEncoding != "" {
		return mismatch("got %s: with the same ETag and Content-Encoding %q, something between here and S3 may compress", *out.ContentRange, info.ContentEncoding)
	}
	if got.Total != info.Size {
		return 0, changedSize(info.Size, got.Total)
	}
	if got.Start != start || got.End > end {
		return mismatch("got %s", *out.ContentRange)
	}
	if out.ContentLength != nil && *out.ContentLength != got.End-got.Start {
		return mismatch("got %s and Content-Length %d", *out.ContentRange, *out.ContentLength)
	}
	return got.End, nil
}

// plainResponse returns the HTTP response of out. It fails if the body is not as it
// was stored.
func plainResponse(out *s3.GetObjectOutput) (*smithyhttp.Response, error) {
	resp, ok := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response)
	if !ok {
		return nil, &Error{Kind: RangeMismatch, Err: fmt.Errorf("the SDK has no HTTP response to check: a middleware removed it")}
	}
	if resp.Uncompressed {
		return nil, &Error{Kind: RangeMismatch, Err: fmt.Errorf("the HTTP client decompressed the body in transit: set DisableCompression in its transport")}
	}
	return resp, nil
}
