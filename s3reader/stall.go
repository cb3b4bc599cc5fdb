package s3reader

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/smithy-go/middleware"
)

// stallError is a server that says nothing. It is worth another attempt on
// another connection, which the SDK learns from RetryableError.
type stallError struct{ after time.Duration }

func (e *stallError) Error() string      { return fmt.Sprintf("the server sent nothing for %v", e.after) }
func (*stallError) Timeout() bool        { return true }
func (*stallError) RetryableError() bool { return true }

func stalled(ctx context.Context) (*stallError, bool) {
	return errors.AsType[*stallError](context.Cause(ctx))
}

// watchAttempts gives up an attempt whose answer does not begin within the stall
// timeout. It sits around the transport alone, so that neither the wait for
// credentials nor the pause before a retry counts.
func (r *Reader) watchAttempts(stack *middleware.Stack) error {
	return stack.Deserialize.Add(attemptWatch{r.opts.StallTimeout}, middleware.Before)
}

type attemptWatch struct{ after time.Duration }

func (attemptWatch) ID() string { return "s3reader:attemptWatch" }

func (w attemptWatch) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	middleware.DeserializeOutput, middleware.Metadata, error,
) {
	// A body is read under this context long after the return, so that only
	// failure cancels it here; else it ends with its parent, which whoever made
	// the call cancels.
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(w.after, func() { cancel(&stallError{w.after}) })
	defer timer.Stop()
	out, metadata, err := next.HandleDeserialize(ctx, in)
	timer.Stop()
	if err == nil {
		return out, metadata, nil
	}
	if stall, ok := stalled(ctx); ok {
		// Not wrapped: the SDK does not repeat what was cancelled.
		err = stall
	}
	cancel(err)
	return out, metadata, err
}
