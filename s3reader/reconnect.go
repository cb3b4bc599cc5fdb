package s3reader

// New connections for requests whose connection breaks before a response. For what
// happens after a response of ExpiredToken, see credentials/recovery.go.

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// droppedAttempts is the maximum number of requests for one response when connections
// break before it begins.
const droppedAttempts = resumeLimit + 1

// retryer is the SDK's retryer, except for connections that break before a response
// begins. These are retried like bodies that break off: more often than other failures,
// and outside the SDK's retry quota. All requests of a client share the quota: a retry
// takes 14 of its 500 tokens until it succeeds, and without tokens a request is not
// retried. 36 connections that break at the same time would use it up.
type retryer struct{ *retry.Standard }

// setRetryer replaces the retryer in o, unless the caller has set one or the number of
// attempts.
func setRetryer(o *s3.Options) {
	if sdk, ok := o.Retryer.(*retry.Standard); ok && o.RetryMaxAttempts == 0 {
		o.Retryer = retryer{sdk}
	}
}

func (p retryer) MaxAttempts() int { return max(droppedAttempts, p.Standard.MaxAttempts()) }

// GetRetryToken takes tokens from the quota, except for broken connections.
func (p retryer) GetRetryToken(ctx context.Context, err error) (func(error) error, error) {
	if brokenConnection(err) {
		return func(error) error { return nil }, nil
	}
	return p.Standard.GetRetryToken(ctx, err)
}

// RetryDelay fails after the last attempt for this error.
func (p retryer) RetryDelay(attempt int, err error) (time.Duration, error) {
	if attempt >= p.Standard.MaxAttempts() && !brokenConnection(err) {
		return 0, &retry.MaxAttemptsError{Attempt: attempt, Err: err}
	}
	return p.Standard.RetryDelay(attempt, err)
}

// brokenConnection reports whether a request was sent and its connection broke before a
// response began: not that a server cannot be reached, or that net/http refuses its
// response.
func brokenConnection(err error) bool {
	if _, ok := errors.AsType[*smithyhttp.RequestSendError](err); !ok || hasResponse(err) {
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
