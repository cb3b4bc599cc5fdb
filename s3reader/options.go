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
	// Region of the bucket. If it is set, a bucket in another region is a
	// [WrongRegion] error. Empty: cfg.Region, and if S3 responds that the bucket is
	// in another region, that one from then on.
	Region string

	// ExpectedBucketOwner is the 12-digit ID of the account that must own the
	// bucket; S3 denies every request if another one does ([AccessDenied]). Empty:
	// not checked.
	ExpectedBucketOwner string

	// CustomerKey is the key of objects that are encrypted with a customer-provided
	// key (SSE-C). It is sent with every GET and HEAD, and over plain HTTP only to
	// this machine. S3 rejects it for objects that are encrypted in another way.
	// Presign returns an error: a link does not open without the key. Zero: none.
	CustomerKey CustomerKey

	// RequestPayer says with every request that you agree to pay for requests and
	// transfer, as requester-pays buckets demand. False: you do not.
	RequestPayer bool

	// PathStyle puts the bucket into the path of every URL, for stores behind one
	// host name. False: the host is "bucket.host", as with S3, unless no name can
	// be put in front of the endpoint's host (see Endpoints in the package comment).
	// It cannot be used with access-point ARNs.
	PathStyle bool

	// PartSize is the size in bytes of a ranged request of a download, unless
	// DownloadOptions.PartSize is set. 0: chosen for the object.
	PartSize int64

	// Concurrency is how many connections a download uses at most, unless
	// DownloadOptions.Concurrency is set. 0: up to 32, as many as make the object
	// arrive faster. An open object reads ahead over that many, but never over more
	// than 8.
	Concurrency int

	// Memory limits the bytes that an open object holds, read ahead or kept for
	// another ReadAt, and the buffers of a download. 0: 64 MiB.
	Memory int64

	// Verify says whether complete objects are compared with their checksums. Zero:
	// they are (VerifyAuto).
	Verify Verify

	// StallTimeout is how long a connection may deliver nothing before it is closed
	// and another one is tried. 0: 30 s.
	StallTimeout time.Duration

	// Progress, if set, is called during downloads that set no Progress of their own
	// (DownloadOptions, DirOptions); downloads at the same time may call it
	// concurrently. Each calls it at most ten times a second, one call after the
	// other, and once at its end if it succeeds. Only the end of a download waits for
	// it, at most a second. nil: nothing is reported.
	Progress func(Progress)

	// S3, if set, changes the options of the S3 client after this package has set
	// them. A Region that it sets is final, like Options.Region; a BaseEndpoint is
	// treated like cfg.BaseEndpoint.
	S3 func(*s3.Options)

	// Logger receives resumed downloads and a bucket found in another region (Info),
	// and keys that FS leaves out of a directory (Warn). nil: silent.
	Logger *slog.Logger
}

// Verify says when the bytes of a complete object are compared with its checksum.
type Verify int

const (
	// VerifyAuto compares if the object has a full-object checksum, of any algorithm
	// of S3's; if it has several, with all of them. Objects stored in S3 since 2025
	// have one, unless they were uploaded in parts with another.
	//
	// An object that has only a composite checksum, which S3 computes over those of
	// the parts of its upload, is compared part by part. The parts take one
	// GetObjectAttributes request per 1,000 of them, when the first bytes of the object
	// have arrived (with OpenOptions.Random and from FS, more than 16 KiB in order), and
	// the permission s3:GetObjectAttributes. Without it, or if the store does not know
	// that request, Info.Verified is false, which is no error, and a Reader asks again
	// after an hour.
	//
	// See [Checksum], and Download for what it can compare.
	VerifyAuto Verify = iota

	// VerifyOff compares no checksum; length, range and ETag are still checked.
	VerifyOff
)

// Progress reports how much of a download has arrived, for a bar or a log line.
type Progress struct {
	Key          string // of the object; for DownloadDir: the prefix
	Bytes, Total int64  // received, and of all; Bytes does not exceed Total
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

// apply returns a function that changes the S3 client's options as o says. Their
// retryer is replaced if sdkRetryer, that is if it is the SDK's choice.
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
			return opts, fmt.Errorf("optFns[%d] is nil: leave out what sets no option", i)
		}
		fn(&opts)
	}
	return opts, nil
}
