package s3reader

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Reader reads one bucket. Make one with [New]. It is safe for concurrent use,
// and there is nothing to close.
type Reader struct {
	*client // makes the requests
}

// New returns a Reader of bucket, which is one of
//
//   - a bucket name ("pics"),
//   - an access-point alias ("pics-ap-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias"),
//   - an access-point ARN ("arn:aws:s3:eu-west-1:444455556666:accesspoint/pics"),
//     which includes the region,
//   - a bucket ARN ("arn:aws:s3:::pics").
//
// New makes no request, and changes neither cfg nor anything that cfg refers to.
// Requests are signed with cfg.Credentials, which must be set; for public buckets,
// set aws.AnonymousCredentials{}. The region is that of the access-point ARN, else
// Options.Region, else cfg.Region. An access-point ARN in a region other than
// cfg.Region is a [WrongRegion] error, unless Options.Region repeats it.
//
// An error names the setting, the rule and what to do.
func New(cfg aws.Config, bucket string, optFns ...func(*Options)) (_ *Reader, err error) {
	fail := func(kind Kind, err error) error {
		return &Error{Op: "new", Bucket: bucket, Kind: kind, Err: err}
	}
	defer func() { // an option has panicked
		if p, ok := errors.AsType[*PanicError](err); ok {
			err = fail(Panicked, p)
		}
	}()
	defer recovered(&err)
	opts, err := optionsOf(optFns)
	if err != nil {
		return nil, fail("", err)
	}
	ref, err := parseBucket(bucket)
	if err != nil {
		return nil, fail("", err)
	}
	if err := opts.validate(); err != nil {
		return nil, fail("", err)
	}
	if cfg.Credentials == nil {
		return nil, fail("", errors.New("cfg.Credentials is nil: take cfg from credentials.Wrap or config.LoadDefaultConfig, or set aws.AnonymousCredentials{} for a public bucket"))
	}
	region := opts.Region
	if region == "" {
		region = cfg.Region
	}
	switch {
	case ref.region == "" && region == "":
		return nil, fail("", errors.New("no region: set cfg.Region (AWS_REGION) or Options.Region to the bucket's"))
	case ref.region == "" && !validRegion(region):
		return nil, fail("", regionError("cfg.Region", region))
	case ref.region != "" && region != "" && region != ref.region:
		return nil, fail(WrongRegion, fmt.Errorf("the access point is in %s, the configuration says %s: set Options.Region to %q if that is intended", ref.region, region, ref.region))
	case ref.region != "":
		region = ref.region
	}
	if opts.StallTimeout == 0 {
		opts.StallTimeout = defaultStallTimeout
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	c := &client{
		bucket: ref, opts: opts, creds: cfg.Credentials,
		pinned: opts.Region != "" || ref.region != "",
		parts:  newPartsAccess(),
	}
	var connections connections
	c.clientFor = func(region string) *s3.Client {
		return newS3Client(cfg, region, opts.apply(cfg.Retryer == nil), &connections)
	}
	first := c.clientFor(region)
	settled := first.Options()
	c.current.Store(&regionalClient{settled.Region, first})
	if ref.isARN() && settled.UsePathStyle {
		return nil, fail("", errors.New("an access-point ARN cannot be used with path-style URLs, which the endpoint, Options.PathStyle or Options.S3 requires: use the access point's alias"))
	}
	return &Reader{c}, nil
}

// Client returns the S3 client that the reader uses, for operations that this package
// does not have. Once the bucket was found in another region than configured, it is a
// client for that region.
func (r *Reader) Client() *s3.Client { return r.current.Load().Client }
