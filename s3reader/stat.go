package s3reader

import (
	"context"
	"errors"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Stat describes an object without reading it, with one HEAD request.
//
// S3 says nothing but a status when it refuses a HEAD. To learn why, a refusal
// is followed by a GET that delivers at most one byte, and a missing object is
// followed by one as long as nothing has shown that the bucket exists.
func (r *Reader) Stat(ctx context.Context, key string) (*Info, error) {
	const op = "stat"
	if err := checkKey(key); err != nil {
		return nil, r.fail(op, key, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, err := r.head(ctx, key)
	if err != nil && r.unexplained(err) {
		switch why := r.ask(ctx, key); {
		case why == nil:
			// The GET got through, perhaps with fresher credentials.
			out, err = r.head(ctx, key)
		case answered(why):
			err = why
		}
	}
	if err != nil {
		return nil, r.fail(op, key, err)
	}
	info, err := infoFromHead(key, out)
	if err != nil {
		return nil, r.fail(op, key, err)
	}
	return info, nil
}

// statHead is Stat for who asks S3 something else next: a refusal remains
// unexplained, unless it may be that the credentials have to be renewed.
func (r *Reader) statHead(ctx context.Context, key string) (*Info, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, err := r.head(ctx, key)
	if err == nil {
		return infoFromHead(key, out)
	}
	if isBadRequest(err) {
		return r.Stat(ctx, key)
	}
	return nil, err
}

// isBadRequest reports whether err may be of a session that has ended: a HEAD says
// no more than the status.
func isBadRequest(err error) bool {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	return ok && resp.HTTPStatusCode() == http.StatusBadRequest
}

func (r *Reader) head(ctx context.Context, key string) (*s3.HeadObjectOutput, error) {
	return call(ctx, r, (*s3.Client).HeadObject, r.headInput(key))
}

func (r *Reader) headInput(key string) *s3.HeadObjectInput {
	in := &s3.HeadObjectInput{
		Bucket: &r.bucket.name, Key: &key,
		RequestPayer: r.payer(), ExpectedBucketOwner: r.owner(),
	}
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = r.opts.CustomerKey.headers()
	return in
}

// unexplained reports whether the refusal of a HEAD can mean several things.
func (r *Reader) unexplained(err error) bool {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok {
		return false
	}
	switch resp.HTTPStatusCode() {
	case http.StatusBadRequest, http.StatusForbidden:
		return true
	case http.StatusNotFound:
		return !r.bucketSeen.Load()
	}
	return false
}

// ask sends a GET for the sake of its error, which has a body.
func (r *Reader) ask(ctx context.Context, key string) error {
	in := r.getInput(key)
	in.Range = rangeHeader(0, 1)
	_, body, err := r.get(ctx, in)
	if err == nil {
		body.Close()
		return nil
	}
	switch api, _ := answerOf(err); {
	case api == nil:
	case api.ErrorCode() == "InvalidRange": // an empty object
		return nil
	case kindOf(err) == NotFound:
		r.bucketSeen.Store(true)
	}
	return err
}

// answered reports whether err is what a server said, be it S3 or not.
func answered(err error) bool {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	return ok && resp.HTTPStatusCode() != 0 // the SDK makes one up where there was no answer
}
