package s3reader

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
)

// newClient returns a client for a region. It makes no request. The clients of all
// regions share their connections.
func newClient(cfg aws.Config, region string, user func(*s3.Options), shared *connections) *s3.Client {
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.Region = region
		ours := shared.of(o.HTTPClient)
		o.HTTPClient = ours
		defer func() { o.HTTPClient = shared.withoutRedirects(o.HTTPClient, ours) }()
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
// elsewhere, it repeats the request there once. A panic of user code in it is an
// error.
func call[In, Out any](
	ctx context.Context, r *Reader,
	op func(*s3.Client, context.Context, *In, ...func(*s3.Options)) (*Out, error),
	in *In, mw ...func(*middleware.Stack) error,
) (_ *Out, err error) {
	x := &exchange{r: r}
	defer func() {
		if err != nil {
			err = &requestError{x.endpoint, err}
		}
	}()
	defer recovered(&err)
	mw = append(slices.Clip(mw), markBrokenOff, r.watchAttempts, x.add)
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
