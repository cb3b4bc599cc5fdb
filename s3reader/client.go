package s3reader

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// client makes the requests of a [Reader] to one bucket, in the bucket's region,
// and checks the responses. call sends any request; get.go has the GETs, stat.go
// the HEADs, and explain.go turns a failure into an *Error. It is safe for
// concurrent use.
type client struct {
	bucket bucketRef
	opts   Options
	pinned bool // the caller has set the region: do not follow the bucket
	creds  aws.CredentialsProvider

	clientFor  func(region string) *s3.Client
	current    atomic.Pointer[regionalClient]
	switching  sync.Mutex  // held while a client for another region is made
	bucketSeen atomic.Bool // a response has shown that the bucket exists
	secrets    secrets
	parts      partsAccess
}

// newS3Client returns the SDK's client for a region. It makes no request. The clients of all
// regions share their connections.
func newS3Client(cfg aws.Config, region string, user func(*s3.Options), shared *connections) *s3.Client {
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.Region = region
		ours := shared.of(o.HTTPClient)
		o.HTTPClient = ours
		defer func() { o.HTTPClient = shared.withoutRedirects(o.HTTPClient, ours) }()
		// The SDK's own check does not work with bodies that are resumed, and reports
		// a mismatch when the response to a range has the complete object's checksum.
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

// call makes one request in the bucket's region. If S3 says that the bucket is in
// another region, it repeats the request there, once. A panic of user code becomes
// an error.
func call[In, Out any](
	ctx context.Context, c *client,
	op func(*s3.Client, context.Context, *In, ...func(*s3.Options)) (*Out, error),
	in *In, mw ...func(*middleware.Stack) error,
) (_ *Out, err error) {
	x := &exchange{stall: c.opts.StallTimeout, secrets: &c.secrets}
	defer func() {
		if err != nil {
			err = &requestError{x.endpoint, err}
		}
	}()
	defer recovered(&err)
	mw = append(slices.Clip(mw), x.add)
	optFn := func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions, mw...) // a copy: these are the options of this call only
	}
	at := c.current.Load()
	out, err := op(at.Client, ctx, in, optFn)
	if err != nil {
		if next, ok := c.redirect(at, err); ok {
			out, err = op(next.Client, ctx, in, optFn)
		}
	}
	if err != nil {
		return out, c.explain(ctx, in, err)
	}
	c.bucketSeen.Store(true)
	return out, nil
}

// payer and owner return the fields of every input that the Options set.
func (c *client) payer() types.RequestPayer {
	if c.opts.RequestPayer {
		return types.RequestPayerRequester
	}
	return ""
}

func (c *client) owner() *string {
	if c.opts.ExpectedBucketOwner == "" {
		return nil
	}
	return &c.opts.ExpectedBucketOwner
}

// validRegion reports whether s is a host label: a region becomes part of a host
// name.
func validRegion(s string) bool {
	return len(s) <= 63 && isLabel(s, lowerLetters+upperLetters+digits, "-")
}

func regionError(name, region string) error {
	return fmt.Errorf("%s %q is not a region: give one such as \"eu-west-1\"", name, region)
}

// regionalClient is the SDK's client for one region.
type regionalClient struct {
	region string
	*s3.Client
}

// bucketRegion returns the region of the bucket according to a refusal; empty if it
// names none. It trusts only the header: an Endpoint element in the body could name
// any host.
func bucketRegion(err error) string {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || resp.Response == nil {
		return ""
	}
	switch resp.HTTPStatusCode() {
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect, http.StatusBadRequest, http.StatusForbidden:
	default:
		return ""
	}
	region := resp.Response.Header.Get("X-Amz-Bucket-Region")
	if !validRegion(region) {
		return ""
	}
	return region
}

// partition returns what the regions of a partition have in common: another
// partition has other domains, where this one's credentials must not be sent.
// https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html
func partition(region string) string {
	for _, prefix := range []string{"cn-", "us-gov-", "us-iso-", "us-isob-", "us-isof-", "eu-isoe-", "eusc-"} {
		if strings.HasPrefix(strings.ToLower(region), prefix) {
			return prefix
		}
	}
	return ""
}

// redirect returns the client with which to repeat a request that failed with from,
// if the failure names another region and the caller has not set the region.
func (c *client) redirect(from *regionalClient, err error) (*regionalClient, bool) {
	region := bucketRegion(err)
	if region == "" || region == from.region || c.pinned || partition(region) != partition(from.region) {
		return nil, false
	}
	c.switching.Lock()
	defer c.switching.Unlock()
	if now := c.current.Load(); now.region == region {
		return now, true
	}
	next := &regionalClient{region, c.clientFor(region)}
	if next.Options().Region != region {
		return nil, false // Options.S3 has set another region
	}
	c.current.Store(next)
	c.opts.Logger.Info("s3reader: the bucket is in another region than configured", "bucket", c.bucket.name, "configured", from.region, "region", region)
	return next, true
}

// learnRegion makes a request, unless there was one, so that the current client is
// one for the bucket's region: a link cannot be corrected later. A refusal is enough,
// since it names the region too.
func (c *client) learnRegion(ctx context.Context, key string) error {
	if c.pinned || c.bucketSeen.Load() {
		return nil
	}
	var mw []func(*middleware.Stack) error
	if payer := c.payer(); payer != "" { // HeadBucketInput has no field for it
		mw = append(mw, smithyhttp.SetHeaderValue("X-Amz-Request-Payer", string(payer)))
	}
	_, err := call(ctx, c, (*s3.Client).HeadBucket, &s3.HeadBucketInput{Bucket: &c.bucket.name, ExpectedBucketOwner: c.owner()}, mw...)
	switch {
	case err == nil:
	case !hasResponse(err):
		return err
	case kindOf(err) == AccessDenied:
		c.bucketSeen.Store(true)
	case isBadRequest(err):
		// The session may have expired. A chain recognizes that only in a response with
		// a body.
		if why := c.probe(ctx, key); why != nil && !hasResponse(why) {
			return why
		}
	}
	return nil
}
