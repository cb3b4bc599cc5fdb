package s3reader

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
)

// newClient makes the client for a region. It makes no request.
func newClient(cfg aws.Config, region string, user func(*s3.Options)) *s3.Client {
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.Region = region
		o.HTTPClient = manyConnections(o.HTTPClient)
		// The SDK's own check knows nothing of bodies that are resumed, and takes
		// a whole object's checksum on a range for a mismatch.
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		configured := aws.ToString(o.BaseEndpoint)
		if configured != "" && needsPath(configured) {
			o.UsePathStyle = true
		}
		if user == nil {
			return
		}
		user(o)
		if e := aws.ToString(o.BaseEndpoint); e != configured && e != "" && needsPath(e) {
			o.UsePathStyle = true
		}
	})
}

// call makes one request, at the bucket's region. If S3 says that the bucket is
// elsewhere, it repeats the request there once.
func call[In, Out any](
	ctx context.Context, r *Reader,
	op func(*s3.Client, context.Context, *In, ...func(*s3.Options)) (*Out, error),
	in *In, mw ...func(*middleware.Stack) error,
) (*Out, error) {
	mw = append(mw, markBrokenOff, r.watchAttempts)
	optFn := func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions, mw...) // of this call's own options
	}
	at := r.at.Load()
	out, err := op(at.client, ctx, in, optFn)
	if err != nil {
		if next, ok := r.follow(at, err); ok {
			out, err = op(next.client, ctx, in, optFn)
		}
	}
	if err != nil {
		return out, r.explain(ctx, in, err)
	}
	r.bucketSeen.Store(true)
	return out, nil
}

func (r *Reader) payer() types.RequestPayer {
	if r.opts.RequestPayer {
		return types.RequestPayerRequester
	}
	return ""
}

func (r *Reader) owner() *string {
	if r.opts.ExpectedBucketOwner == "" {
		return nil
	}
	return &r.opts.ExpectedBucketOwner
}
