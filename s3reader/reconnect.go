package s3reader

// Which failed requests are repeated, how often and when: those whose connection breaks
// before a response, and those that S3 refuses because there are too many. For what
// happens after a response of ExpiredToken, see credentials/recovery.go.

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	// burstAttempts is the maximum number of requests for one response when connections
	// break before it begins, or when S3 asks to slow down.
	burstAttempts = resumeLimit + 1

	// burstPause is the longest pause before the first repetition in a burst; it doubles.
	// The shortest is half of it, so that a store may refuse everything, or break all
	// connections, for over 7 s.
	burstPause = 500 * time.Millisecond
)

// retryer is the SDK's retryer, except in a burst: when connections break before a
// response begins, and when S3 asks to slow down. Such requests are retried like bodies
// that break off: more often than other failures, and outside the SDK's retry quota. All
// requests of a client share the quota: a retry takes 14 of its 500 tokens until it
// succeeds, and without tokens a request is not retried. 36 requests that fail at the same
// time would use it up. The load on S3 is limited by the pauses, and in downloads by the
// limiter.
//
// The SDK fetches the credentials within its retries. Their errors are not retried here:
// the provider has made its own retries, and a chain returns a remembered error at once.
type retryer struct {
	*retry.Standard
	noBursts bool // as the SDK retries
}

// setRetryer replaces the retryer in o, unless the caller has set one or the number of
// attempts.
func setRetryer(o *s3.Options) {
	if sdk, ok := o.Retryer.(*retry.Standard); ok && o.RetryMaxAttempts == 0 {
		o.Retryer = retryer{Standard: sdk}
	}
}

// withoutBursts is for requests that a caller can do without.
func withoutBursts(o *s3.Options) {
	if p, ok := o.Retryer.(retryer); ok {
		p.noBursts = true
		o.Retryer = p
	}
}

func (p retryer) MaxAttempts() int {
	if p.noBursts {
		return p.Standard.MaxAttempts()
	}
	return max(burstAttempts, p.Standard.MaxAttempts())
}

// IsErrorRetryable excludes the errors of credentials.
func (p retryer) IsErrorRetryable(err error) bool {
	return !ofOtherService(err) && p.Standard.IsErrorRetryable(err)
}

// GetRetryToken takes tokens from the quota, except in a burst.
func (p retryer) GetRetryToken(ctx context.Context, err error) (func(error) error, error) {
	if !p.noBursts && (brokenConnection(err) || slowDown(err)) {
		return func(error) error { return nil }, nil
	}
	return p.Standard.GetRetryToken(ctx, err)
}

// RetryDelay fails after the last attempt for this error.
func (p retryer) RetryDelay(attempt int, err error) (time.Duration, error) {
	if !p.noBursts && (brokenConnection(err) || slowDown(err)) {
		longest := burstPause << min(attempt-1, burstAttempts)
		return longest/2 + rand.N(longest/2), nil
	}
	if attempt >= p.Standard.MaxAttempts() {
		return 0, &retry.MaxAttemptsError{Attempt: attempt, Err: err}
	}
	return p.Standard.RetryDelay(attempt, err)
}

// slowDown reports whether S3 itself refuses a request because there are too many.
func slowDown(err error) bool {
	_, s3s := errors.AsType[interface {
		error
		ServiceHostID() string
	}](err)
	return s3s && !ofOtherService(err) && throttled(err)
}

// brokenConnection reports whether a request was sent and its connection broke before a
// response began: not that a server cannot be reached, or that net/http refuses its
// response.
func brokenConnection(err error) bool {
	if _, ok := errors.AsType[*smithyhttp.RequestSendError](err); !ok || hasResponse(err) || ofOtherService(err) {
		return false
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Op != "dial"
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return true
	}
	// Errors of net/http without a type.
	text := err.Error()
	return strings.Contains(text, "server closed idle connection") || strings.Contains(text, "connection broken") || strings.Contains(text, "http2: ")
}
