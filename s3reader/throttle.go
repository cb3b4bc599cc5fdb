package s3reader

import (
	"context"
	"errors"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// throttleWatch tells a gate of each attempt that S3 refuses for there being too
// many requests, of which the SDK's own retries would keep silent.
type throttleWatch struct{ gate *gate }

func (throttleWatch) ID() string { return "s3reader:throttleWatch" }

func (w throttleWatch) add(stack *middleware.Stack) error {
	return stack.Deserialize.Add(w, middleware.Before)
}

func (w throttleWatch) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	middleware.DeserializeOutput, middleware.Metadata, error,
) {
	out, metadata, err := next.HandleDeserialize(ctx, in)
	if throttled(err) {
		w.gate.slower()
	}
	return out, metadata, err
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
