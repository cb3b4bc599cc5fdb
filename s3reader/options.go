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
	// Region of the bucket. If set, it is final: a bucket in another region is a
	// [WrongRegion] error. Empty: cfg.Region and, if S3 responds that the bucket is in
	// another region, that one from then on.
	Region string

	// ExpectedBucketOwner is the 12-digit ID of the account that must own the bucket;
	// S3 denies every request if another account does. Empty: not checked.
	ExpectedBucketOwner string

	// CustomerKey decrypts objects that are encrypted with a customer-provided key
	// (SSE-C). It is sent with every GET and HEAD, only over HTTPS or to this machine.
	// S3 refuses it for objects that are encrypted otherwise. Presign returns an error:
	// a link does not work without the key. Zero: none.
	CustomerKey CustomerKey

	// RequestPayer agrees, in every request, to pay for the request and the transfer,
	// as requester-pays buckets require. It costs money. Default: false.
	RequestPayer bool

	// PathStyle puts the bucket into the path of every URL, as stores with a single
	// host name need it. False: "bucket.host", as S3 has it, except where the endpoint's
	// host can have no such prefix (see Endpoints in the package comment). It does not
	// work with access-point ARNs.
	PathStyle bool

	// PartSize is the bytes of one ranged request of a download, unless
	// DownloadOptions.PartSize is set. 0: chosen for the object.
	PartSize int64

	// Concurrency is how many connections a download uses at most, unless
	// DownloadOptions.Concurrency is set. 0: up to 32, as many as make the object
	// arrive faster. An open object reads ahead over that many, but never over more
	// than 8.
	Concurrency int

	// Memory limits, in bytes, what an open object keeps in memory (read ahead, or for
	// another ReadAt), and what a download does. 0: 64 MiB.
	Memory int64

	Verify Verify // zero: VerifyAuto, which verifies objects that have a suitable checksum

	// StallTimeout is how long a connection may deliver nothing before it is abandoned
	// for a new one. 0: 30 s.
	StallTimeout time.Duration

	// Progress, if set, is called during downloads, at most ten times a second, one
	// call at a time. Only the end of a download waits for it, for at most a second. It
	// reports the downloads that set no Progress of their own (DownloadOptions,
	// DirOptions); those that run at the same time share it.
	Progress func(Progress)

	// S3, if set, changes the options of the S3 client after all others. A Region that
	// it sets is final, as Region is; a BaseEndpoint is treated like that of cfg.
	S3 func(*s3.Options)

	Logger *slog.Logger // nil: silent
}

// Verify selects whether the bytes of a complete object are compared with its
// checksum.
type Verify int

const (
	// VerifyAuto compares if the object has a checksum of all its bytes (CRC64NVME,
	// CRC32C, CRC32, SHA-256 or SHA-1). Objects stored since 2025 have one, unless they
	// were uploaded in parts with a composite checksum: S3 computes that over the
	// checksums of the parts, so it cannot be compared and is ignored.
	VerifyAuto Verify = iota

	// VerifyOff compares no checksum. Length, range and ETag are still checked.
	VerifyOff
)

// Progress reports how far a download is, in bytes, for a progress bar or a log line.
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
