package s3reader

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crossrole/crossrole/s3reader/internal/transfer"
)

// The middleware of each attempt of a request, inside the SDK's retries. It detects
// stalls, truncated responses and throttling, limits the length of documents, and
// removes secrets from them.

const (
	// maxErrorBody is how much of an error document is read, in bytes. S3's have a few
	// hundred.
	maxErrorBody = 1 << 20

	// longDocument is the length, in bytes, beyond which only some elements of an error
	// document are kept.
	longDocument = 32 << 10

	// maxPageBody is how much of one page of a listing is read, in bytes. A page has at
	// most 1,000 keys of at most 1,024 bytes. In XML, a byte takes up to 6 ("&quot;"),
	// and each key has about 2 KiB of other elements:
	// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
	maxPageBody = 16 << 20

	// maxPageTags is how many XML tags a page may have. The SDK allocates a structure
	// for each key, however short its element is.
	maxPageTags = 1 << 18

	// peekedForError is how many bytes are searched for the root element of a document.
	peekedForError = 1 << 10

	// maxDrain is how much of a body is read only to reuse its connection.
	maxDrain = 64 << 10
)

// exchange is one call of an S3 operation: a request, and its retries by the SDK.
// For each of them, the SDK calls watch, which calls the SDK's own reading of the
// response, which calls send, next to the HTTP client.
type exchange struct {
	stall     time.Duration // after which an attempt without a response is abandoned
	secrets   *secrets
	endpoint  string // scheme and host of the latest request
	signature string // its signature; empty: not signed
}

func (x *exchange) add(stack *middleware.Stack) error {
	return errors.Join(
		stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("s3reader:watch", x.watch), middleware.Before),
		stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("s3reader:send", x.send), middleware.After))
}

// watch abandons an attempt whose response does not begin within the stall timeout,
// marks a truncated response, and reports to the limiter of ctx that S3 refuses an
// attempt because there are too many requests: the SDK's own retries would hide
// that. It sits around the transport alone: neither the wait for credentials nor the
// pause before a retry counts.
func (x *exchange) watch(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	middleware.DeserializeOutput, middleware.Metadata, error,
) {
	// The body is read under this context after the return. So only a failure cancels
	// it here; otherwise it ends with its parent, which the caller cancels.
	attempt, cancel := context.WithCancelCause(ctx)
	var waits atomic.Bool // for a connection; net/http's transport reports that
	attempt = httptrace.WithClientTrace(attempt, &httptrace.ClientTrace{
		GetConn: func(string) { waits.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { waits.Store(false) },
	})
	timer := time.AfterFunc(x.stall, func() { cancel(&stallError{after: x.stall, unconnected: waits.Load()}) })
	defer timer.Stop()
	out, metadata, err := next.HandleDeserialize(attempt, in)
	timer.Stop()
	if err == nil {
		return out, metadata, nil
	}
	if limiter, ok := ctx.Value(throttling{}).(*transfer.Limiter); ok && throttled(err) {
		limiter.Throttled()
	}
	if stall, ok := stalled(attempt); ok {
		err = stall // not wrapped: the SDK does not retry what was canceled
	} else if attempt.Err() == nil && isTruncated(err) {
		err = &truncatedError{err}
	}
	cancel(err)
	return out, metadata, err
}

// throttling is the key of the limiter in a context.
type throttling struct{}

// reportThrottling returns a context for requests whose throttling is reported to
// the limiter.
func reportThrottling(ctx context.Context, limiter *transfer.Limiter) context.Context {
	return context.WithValue(ctx, throttling{}, limiter)
}

// send sends one request. A panic in the HTTP client, or in the body of its response,
// becomes an error.
func (x *exchange) send(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	out middleware.DeserializeOutput, metadata middleware.Metadata, err error,
) {
	defer recovered(&err)
	sent, ok := in.Request.(*smithyhttp.Request)
	if !ok || sent.Request == nil || sent.URL == nil {
		return next.HandleDeserialize(ctx, in)
	}
	x.endpoint = sent.URL.Scheme + "://" + sent.URL.Host
	x.signature = x.secrets.add(sent)
	out, metadata, err = next.HandleDeserialize(ctx, in)
	resp, ok := out.RawResponse.(*smithyhttp.Response)
	if err != nil || !ok || resp.Response == nil {
		return out, metadata, err
	}
	return out, metadata, x.receive(middleware.GetOperationName(ctx), sent, resp)
}

// receive checks a response and limits how much of it is read. The SDK would read a
// complete error document, and every body to its end.
func (x *exchange) receive(operation string, sent *smithyhttp.Request, resp *smithyhttp.Response) error {
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	// If net/http has followed a redirect, the request of the response refers to it.
	if r := resp.Request; r != nil && r.Response != nil && r.URL != nil {
		_ = resp.Body.Close() // the response is not used
		return followedError(sent.URL, r.URL)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		x.refused(resp)
		return nil
	}
	switch {
	case sent.Method == http.MethodHead:
		_ = resp.Body.Close() // HTTP allows none
		resp.Body = http.NoBody
		return nil
	case operation == "ListObjectsV2":
		page := bufio.NewReader(resp.Body)
		resp.Body = &pageBody{Reader: page, Closer: resp.Body}
		if head, _ := page.Peek(peekedForError); bytes.Contains(head, []byte("<Error")) && !bytes.Contains(head, []byte("<ListBucketResult")) {
			x.refused(resp) // to the SDK, this is an error despite the status
			return nil
		}
	}
	if operation == "GetObjectAttributes" {
		resp.Body = &pageBody{Reader: resp.Body, Closer: resp.Body}
	}
	resp.Body = &drained{ReadCloser: resp.Body, endpoint: x.endpoint}
	return nil
}

// refused reads up to maxErrorBody of an error document and removes secrets from it and
// from the headers.
func (x *exchange) refused(resp *smithyhttp.Response) {
	content := resp.Body
	doc, err := io.ReadAll(io.LimitReader(content, maxErrorBody+1))
	_ = content.Close() // the document has been read
	if len(doc) > longDocument {
		doc = shortened(doc[:min(len(doc), maxErrorBody)])
	}
	var rest io.Reader = http.NoBody
	if err != nil {
		rest = failing{err}
	}
	resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(x.secrets.redactedOf(string(doc), x.signature)), rest))
	x.secrets.redactHeader(resp.Header, x.signature)
}

// shortened returns an error document with the useful elements only, each cut to
// maxCause. It returns nil for a document that is not complete: the SDK then uses the
// status as code.
func shortened(doc []byte) []byte {
	var e struct {
		XMLName                  xml.Name `xml:"Error"`
		Code, Message            string
		StorageClass, AccessTier string `xml:",omitempty"`
		RequestID                string `xml:"RequestId,omitempty"`
		HostID                   string `xml:"HostId,omitempty"`
	}
	if err := xml.NewDecoder(bytes.NewReader(doc)).Decode(&e); err != nil {
		return nil
	}
	for _, element := range []*string{&e.Code, &e.Message, &e.StorageClass, &e.AccessTier, &e.RequestID, &e.HostID} {
		if len(*element) > maxCause {
			*element = strings.ToValidUTF8((*element)[:maxCause], "") + "…"
		}
	}
	short, err := xml.Marshal(e)
	if err != nil {
		return nil
	}
	return short
}

// failing is a reader that fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// drained is a body of which at most maxDrain is read in order to be discarded. The SDK
// discards the rest of a body so that its connection can be reused; if the rest is
// large, a new connection costs less.
type drained struct {
	io.ReadCloser
	endpoint string // scheme and host
}

func (b *drained) WriteTo(w io.Writer) (int64, error) {
	if w == io.Discard {
		return io.Copy(w, io.LimitReader(b.ReadCloser, maxDrain))
	}
	return io.Copy(w, b.ReadCloser)
}

// pageBody is one page of a listing, or of the parts of an object. It fails if the page
// exceeds the limits.
type pageBody struct {
	io.Reader
	io.Closer
	bytes, tags int
}

func (b *pageBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if n < 0 || n > len(p) {
		return 0, errBadRead
	}
	b.bytes += n
	b.tags += bytes.Count(p[:n], []byte("<"))
	if b.bytes > maxPageBody || b.tags > maxPageTags {
		return 0, &Error{Kind: Truncated, Err: fmt.Errorf("the page is longer than S3's 1,000 keys or parts can be: over %d bytes or %d XML tags", maxPageBody, maxPageTags)}
	}
	return n, err
}

// errBadRead reports a body that violates the contract of io.Reader.
var errBadRead = errors.New("the response body returned more bytes than there was room for: a bug in the HTTP client")

// requestError is the error of a request, with the endpoint that it was sent to.
type requestError struct {
	endpoint string // scheme and host
	err      error
}

func (e *requestError) Error() string { return e.err.Error() }
func (e *requestError) Unwrap() error { return e.err }

// origin returns the scheme and the host of a URL.
func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// redirectHint says where a response redirects to; empty if it does not.
func redirectHint(e *Error) string {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](e.Err)
	if !ok || resp.Response == nil || resp.Response.Response == nil || resp.HTTPStatusCode()/100 != 3 {
		return ""
	}
	from := "the endpoint"
	if at, ok := errors.AsType[*requestError](e.Err); ok {
		from = at.endpoint
	}
	to := "without a target (no Location)"
	if location := resp.Response.Header.Get("Location"); location != "" && !strings.HasPrefix(location, sdkLocation) {
		to = "to an invalid address"
		if u, err := url.Parse(location); err == nil {
			if base, err := url.Parse(from); err == nil {
				u = base.ResolveReference(u)
			}
			to = "to " + origin(u)
		}
	}
	return fmt.Sprintf("%s redirects %s, which is not followed: a request is signed for one host", from, to)
}

// sdkLocation is the Location that the SDK's HTTP client adds to a redirect that has
// none.
const sdkLocation = "https://amazonaws.com/badhttpredirectlocation"

// stallError is the error of an attempt that the server does not respond to. The SDK
// retries it, on another connection, because of RetryableError.
type stallError struct {
	after       time.Duration
	unconnected bool // there was no connection either
}

func (e *stallError) Error() string {
	if e.unconnected {
		return fmt.Sprintf("there was no connection to the server for %v: it accepts none, or all that the HTTP client may open (MaxConnsPerHost; 2048 by default in the SDK) are in use: an open Object keeps one until it is read to its end or closed", e.after)
	}
	return fmt.Sprintf("the server sent nothing for %v", e.after)
}

func (*stallError) Timeout() bool        { return true }
func (*stallError) RetryableError() bool { return true }

func stalled(ctx context.Context) (*stallError, bool) {
	return errors.AsType[*stallError](context.Cause(ctx))
}

// truncatedError is the error of a response whose end is missing: a listing or an error
// document. Without RetryableError, the SDK would retry it only if the connection was
// reset.
type truncatedError struct{ err error }

func (e *truncatedError) Error() string      { return "the response was truncated: " + e.err.Error() }
func (e *truncatedError) Unwrap() error      { return e.err }
func (*truncatedError) RetryableError() bool { return true }

// isTruncated reports whether err is of a response that had begun and did not end.
func isTruncated(err error) bool {
	if _, ok := errors.AsType[*smithyhttp.ResponseError](err); !ok || !hasResponse(err) {
		return false
	}
	if _, ok := errors.AsType[smithy.APIError](err); ok {
		return false
	}
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, io.ErrUnexpectedEOF) {
		return true
	}
	// Without a Content-Length, every end of a body looks complete.
	syntax, ok := errors.AsType[*xml.SyntaxError](err)
	return ok && syntax.Msg == "unexpected EOF"
}

var throttles = retry.IsErrorThrottles(retry.DefaultThrottles)

func throttled(err error) bool {
	if err == nil {
		return false
	}
	if throttles.IsErrorThrottle(err) == aws.TrueTernary {
		return true
	}
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok {
		return false
	}
	switch resp.HTTPStatusCode() {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return true
	}
	return false
}
