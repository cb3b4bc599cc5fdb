package s3reader

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// brokenOffError is an answer of which the end is missing: a listing, or what S3
// says about an error. It is worth another attempt, which the SDK makes of its own
// only where the connection was reset.
type brokenOffError struct{ err error }

func (e *brokenOffError) Error() string      { return "the answer broke off: " + e.err.Error() }
func (e *brokenOffError) Unwrap() error      { return e.err }
func (*brokenOffError) RetryableError() bool { return true }

// markBrokenOff tells such answers from those that are complete and no use.
func markBrokenOff(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("s3reader:brokenOff",
		func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
			middleware.DeserializeOutput, middleware.Metadata, error,
		) {
			out, metadata, err := next.HandleDeserialize(ctx, in)
			if err != nil && ctx.Err() == nil && brokeOff(err) {
				err = &brokenOffError{err}
			}
			return out, metadata, err
		}), middleware.Before)
}

// brokeOff reports whether err is of an answer that had begun.
func brokeOff(err error) bool {
	if _, ok := errors.AsType[*smithyhttp.ResponseError](err); !ok || !answered(err) {
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
