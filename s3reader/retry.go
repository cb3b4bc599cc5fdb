package s3reader

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

// droppedAttempts is how many requests are made at most for one response when
// connections break before it begins.
const droppedAttempts = resumeLimit + 1

// retryer is the SDK's retryer, but for connections that break before a response
// begins. These are repeated like bodies that break off: more often than other
// failures, and without regard to the SDK's retry quota. The quota is one for all
// requests of a client, a retry costs 14 of its 500 tokens until it succeeds, and
// without tokens a request fails at its first mishap: 36 broken connections at a
// time are enough.
type retryer struct{ *retry.Standard }

// setRetryer replaces the retryer in o unless it is the user's, or the user has
// said how many attempts to make.
func setRetryer(o *s3.Options) {
	if sdk, ok := o.Retryer.(*retry.Standard); ok && o.RetryMaxAttempts == 0 {
		o.Retryer = retryer{sdk}
	}
}

func (p retryer) MaxAttempts() int { return max(droppedAttempts, p.Standard.MaxAttempts()) }

// GetRetryToken asks the quota, but not for broken connections.
func (p retryer) GetRetryToken(ctx context.Context, err error) (func(error) error, error) {
	if brokenConnection(err) {
		return func(error) error { return nil }, nil
	}
	return p.Standard.GetRetryToken(ctx, err)
}

// RetryDelay fails when there have been enough attempts for this error.
func (p retryer) RetryDelay(attempt int, err error) (time.Duration, error) {
	if attempt >= p.Standard.MaxAttempts() && !brokenConnection(err) {
		return 0, &retry.MaxAttemptsError{Attempt: attempt, Err: err}
	}
	return p.Standard.RetryDelay(attempt, err)
}

// brokenConnection reports whether a request went out and its connection broke
// before a response began. A server that cannot be reached is not one of those, nor
// is a response that net/http refuses.
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
	// Errors of net/http that have no type.
	text := err.Error()
	return strings.Contains(text, "server closed idle connection") || strings.Contains(text, "connection broken") || strings.Contains(text, "http2: ")
}
