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
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crossrole/crossrole/s3reader/internal/transfer"
)

// What watches one attempt of a request, inside the SDK's retries: stalls, truncated
// bodies, throttling, and the length and the secrets of error documents.

const (
	// maxErrorBody is how much is read of an error document, in bytes. S3's have
	// a few hundred.
	maxErrorBody = 1 << 20

	// longDocument is the length of an error document of which only some elements
	// are kept.
	longDocument = 32 << 10

	// maxPageBody is how much is read of one page of a listing, in bytes. A page
	// has at most 1,000 keys of at most 1,024 bytes, each of which takes at most 6
	// in XML ("&quot;"), and some 2 KiB of other elements with each key:
	// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
	maxPageBody = 16 << 20

	// maxPageTags is how many XML tags a page may have: the SDK allocates a
	// structure for each key, however short its element is.
	maxPageTags = 1 << 18

	// peekedForError is where the root element of a document begins at the latest.
	peekedForError = 1 << 10

	// maxDrain is how much of a body is read for the sake of its connection alone.
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
	timer := time.AfterFunc(x.stall, func() { cancel(&stallError{x.stall}) })
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

// send sends one request. A panic in the HTTP client, or in the body
// of its response, is an error.
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

// receive checks a response and bounds what is read of it. The SDK reads error
// documents whole, and discards what is left of any body to its end.
func (x *exchange) receive(operation string, sent *smithyhttp.Request, resp *smithyhttp.Response) error {
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	// Where net/http followed a redirect, the request that was answered refers to it.
	if r := resp.Request; r != nil && r.Response != nil && r.URL != nil {
		_ = resp.Body.Close() // nothing of it is of use
		return followedError(sent.URL, r.URL)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		x.refused(resp)
		return nil
	}
	switch {
	case sent.Method == http.MethodHead:
		_ = resp.Body.Close() // there is none, unless the server is no HTTP server
		resp.Body = http.NoBody
		return nil
	case operation == "ListObjectsV2":
		page := bufio.NewReader(resp.Body)
		resp.Body = &pageBody{Reader: page, Closer: resp.Body}
		if head, _ := page.Peek(peekedForError); bytes.Contains(head, []byte("<Error")) && !bytes.Contains(head, []byte("<ListBucketResult")) {
			x.refused(resp) // the SDK takes it for an error whatever the status
			return nil
		}
	}
	resp.Body = &drained{ReadCloser: resp.Body, endpoint: x.endpoint}
	return nil
}

// refused reads an error document, at most maxErrorBody of it, and removes from it
// and from the headers what must not be printed. The SDK would read all of it.
func (x *exchange) refused(resp *smithyhttp.Response) {
	content := resp.Body
	doc, err := io.ReadAll(io.LimitReader(content, maxErrorBody+1))
	_ = content.Close() // what counts has been read
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

// shortened returns the elements of an error document that are of use, at a usual
// length. If the document is not complete, it is nothing: the SDK then takes the
// status for the code.
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

// drained is a body of which little is read only to be discarded. The SDK does
// that with what is left of a body, so that the connection can be used again; of
// a large or endless one a new connection costs less.
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

// pageBody is a page of a listing, within the limits of one.
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
		return 0, &Error{Kind: Truncated, Err: fmt.Errorf("the page of the listing is longer than S3's 1,000 keys can be: over %d bytes or %d XML tags", maxPageBody, maxPageTags)}
	}
	return n, err
}

// errBadRead is a body that breaks the contract of io.Reader.
var errBadRead = errors.New("the response body reports more bytes than it was asked for: a defect of the HTTP client")

// requestError is an error of a request, with where it was sent.
type requestError struct {
	endpoint string // scheme and host
	err      error
}

func (e *requestError) Error() string { return e.err.Error() }
func (e *requestError) Unwrap() error { return e.err }

// origin returns the scheme and the host of a URL.
func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// redirectNote says where a response redirects to; empty if it does not.
func redirectNote(e *Error) string {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](e.Err)
	if !ok || resp.Response == nil || resp.Response.Response == nil || resp.HTTPStatusCode()/100 != 3 {
		return ""
	}
	from := "the endpoint"
	if at, ok := errors.AsType[*requestError](e.Err); ok {
		from = at.endpoint
	}
	to := "without saying where to (no Location)"
	if location := resp.Response.Header.Get("Location"); location != "" && !strings.HasPrefix(location, sdkLocation) {
		to = "to an address that cannot be read"
		if u, err := url.Parse(location); err == nil {
			if base, err := url.Parse(from); err == nil {
				u = base.ResolveReference(u)
			}
			to = "to " + origin(u)
		}
	}
	return fmt.Sprintf("%s redirects %s, which is not followed: a request is signed for one host", from, to)
}

// sdkLocation is the Location that the SDK's own HTTP client gives to a redirect
// that has none.
const sdkLocation = "https://amazonaws.com/badhttpredirectlocation"

// stallError is a server that says nothing. It is worth another attempt on
// another connection, which the SDK learns from RetryableError.
type stallError struct{ after time.Duration }

func (e *stallError) Error() string      { return fmt.Sprintf("the server sent nothing for %v", e.after) }
func (*stallError) Timeout() bool        { return true }
func (*stallError) RetryableError() bool { return true }

func stalled(ctx context.Context) (*stallError, bool) {
	return errors.AsType[*stallError](context.Cause(ctx))
}

// truncatedError is a response whose end is missing: a listing, or what S3
// says about an error. It is worth another attempt, which the SDK makes of its own
// only where the connection was reset.
type truncatedError struct{ err error }

func (e *truncatedError) Error() string      { return "the answer broke off: " + e.err.Error() }
func (e *truncatedError) Unwrap() error      { return e.err }
func (*truncatedError) RetryableError() bool { return true }

// isTruncated reports whether err is of an answer that had begun.
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
	// A body without Content-Length ends in any case.
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
