package s3reader

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Options of a [Reader]. The zero value is ready to use.
type Options struct {
	// Region of the bucket. Set, it is final: a bucket found elsewhere is a
	// [WrongRegion] error. Empty: cfg.Region, and if S3 answers that the bucket
	// is in another region, that one from then on.
	Region string

	// ExpectedBucketOwner is the 12-digit id of the account that must own the
	// bucket; S3 refuses every request if another one does. Empty: not checked.
	ExpectedBucketOwner string

	// CustomerKey is the key of objects that are encrypted with a key of the
	// customer (SSE-C). It is sent with every GET and HEAD, over https alone or to
	// this machine, and S3 refuses it for objects that are encrypted otherwise.
	// Presign is refused: a link does not open without the key. Zero: none.
	CustomerKey CustomerKey

	// RequestPayer agrees to pay for requests and transfer, on every request, as
	// requester-pays buckets demand. It costs money: off unless set.
	RequestPayer bool

	// PathStyle puts the bucket into the path of every URL, as stores behind one
	// host name need it. False: S3's own host names, "bucket.host", except where no
	// name can stand in front of the endpoint's host (see Endpoints in the package
	// comment). Access-point ARNs cannot be asked for in this way.
	PathStyle bool

	// PartSize is the bytes of one ranged request of a download, unless
	// DownloadOptions.PartSize is set. 0: chosen for the object.
	PartSize int64

	// Concurrency is how many connections a download uses at most, unless
	// DownloadOptions.Concurrency is set. 0: up to 32, as many as make the object
	// arrive faster. An open object reads ahead over that many, but never over more
	// than 8.
	Concurrency int

	// Memory bounds the bytes that an open object holds, read ahead or kept for
	// another ReadAt, and those that a download has in memory. 0: 64 MiB.
	Memory int64

	Verify Verify // the zero value compares where there is something to compare with

	// StallTimeout is how long a connection may deliver nothing before it is
	// given up and another one is tried. 0: 30 s.
	StallTimeout time.Duration

	// Progress, if set, is called during downloads, at most ten times a second and
	// one call after the other. Nothing waits for it but the end of a download, a
	// second at most. It is for the downloads that set no Progress of their own
	// (DownloadOptions, DirOptions); those that run at the same time share it.
	Progress func(Progress)

	// S3, if set, has the last word on the options of the S3 client. A Region that
	// it sets is final, as Region is; a BaseEndpoint is treated as one of cfg.
	S3 func(*s3.Options)

	Logger *slog.Logger // nil: silent
}

// Verify says when the bytes of a whole object are compared with its checksum.
type Verify int

const (
	// VerifyAuto compares where the object has a full-object checksum
	// (CRC64NVME, CRC32C, CRC32, SHA-256 or SHA-1), as objects do that were stored
	// in S3 since 2025, unless they were uploaded in parts with another. Composite checksums, which S3 computes over the
	// parts of an upload, cannot be compared and are ignored.
	VerifyAuto Verify = iota

	// VerifyOff compares nothing; length, range and ETag are checked all the same.
	VerifyOff
)

// Progress is how far a download is, in bytes: for a bar or a log line.
type Progress struct {
	Key          string
	Bytes, Total int64
}

const (
	defaultStallTimeout = 30 * time.Second
	defaultMemory       = 64 << 20
)

func (o *Options) memory() int64 {
	if o.Memory == 0 {
		return defaultMemory
	}
	return o.Memory
}

func (o *Options) validate() error {
	switch {
	case o.Region != "" && !validRegion(o.Region):
		return regionError("Options.Region", o.Region)
	case o.ExpectedBucketOwner != "" && !isAccount(o.ExpectedBucketOwner):
		return fmt.Errorf("Options.ExpectedBucketOwner %q is not an account id: give its 12 digits", o.ExpectedBucketOwner)
	case o.PartSize < 0, o.Memory < 0, o.Concurrency < 0:
		return fmt.Errorf("Options.PartSize %d, Memory %d and Concurrency %d must not be negative: leave them 0 to have them chosen", o.PartSize, o.Memory, o.Concurrency)
	case o.StallTimeout < 0:
		return fmt.Errorf("Options.StallTimeout %v is negative: leave it 0 for %v", o.StallTimeout, defaultStallTimeout)
	case o.Verify != VerifyAuto && o.Verify != VerifyOff:
		return fmt.Errorf("Options.Verify %d is unknown: use VerifyAuto or VerifyOff", o.Verify)
	}
	return nil
}

// apply changes the S3 client's options as o says. sdkRetryer reports whether
// their retryer is the SDK's choice.
func (o *Options) apply(sdkRetryer bool) func(*s3.Options) {
	return func(to *s3.Options) {
		if o.PathStyle {
			to.UsePathStyle = true
		}
		if o.CustomerKey.bytes != nil {
			to.APIOptions = append(slices.Clip(to.APIOptions), onlyEncrypted)
		}
		retryer := to.Retryer
		if o.S3 != nil {
			o.S3(to)
		}
		if sdkRetryer && to.Retryer == retryer {
			setRetryer(to)
		}
	}
}

// optionsOf returns the options of one call. A function that panics is an error of
// Kind Panicked.
func optionsOf[T any](optFns []func(*T)) (opts T, err error) {
	defer recovered(&err)
	for i, fn := range optFns {
		if fn == nil {
			return opts, nilOption(i)
		}
		fn(&opts)
	}
	return opts, nil
}

// nilOption reports an option function that is nil.
func nilOption(i int) error {
	return fmt.Errorf("optFns[%d] is nil: leave out what sets no option", i)
}
