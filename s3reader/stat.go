package s3reader

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crossrole/crossrole/s3reader/internal/httprange"
)

// Stat describes an object without reading it, with one HEAD request. If the
// response does not say how long the object is, a GET of one byte follows. A HEAD that
// is denied is repeated without asking for the checksum: for an object that is
// encrypted with KMS, S3 returns it only to a role with kms:Decrypt.
//
// S3 responds to a HEAD that fails with nothing but a status. To learn why, a HEAD
// that is denied is followed by a GET of one byte. So is one of a missing object,
// as long as no response has shown that the bucket exists. A missing object is
// [NotFound], or [AccessDenied] if the role has no s3:ListBucket on the bucket.
func (r *Reader) Stat(ctx context.Context, key string) (_ *Info, err error) {
	const op = "stat"
	defer r.recovered(op, key, &err)
	info, err := r.stat(ctx, key)
	if err != nil {
		return nil, r.fail(op, key, err)
	}
	return info, nil
}

// stat returns the facts of an object, or why S3 refuses them.
func (c *client) stat(ctx context.Context, key string) (*Info, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, err := c.headExplained(ctx, key, c.headForStat, false)
	if err != nil {
		return nil, err
	}
	return c.describe(ctx, key, out)
}

// headExplained sends a HEAD. If the refusal can mean several things, the error is
// that of a GET, whose response has a body. With missing, the caller finds out why
// there is no such object.
func (c *client) headExplained(ctx context.Context, key string, head func(context.Context, string) (*s3.HeadObjectOutput, error), missing bool) (*s3.HeadObjectOutput, error) {
	out, err := head(ctx, key)
	if err != nil && c.unexplained(err) && !(missing && kindOf(err) == NotFound) {
		switch why := c.probe(ctx, key); {
		case why == nil:
			return head(ctx, key) // the GET got through, perhaps with fresher credentials
		case hasResponse(why):
			err = why
		}
	}
	return out, err
}

// describe returns the facts in the response to a HEAD. If a proxy has removed its
// Content-Length, the size is from a GET of the first byte.
func (c *client) describe(ctx context.Context, key string, out *s3.HeadObjectOutput) (*Info, error) {
	info := infoOf(key, out)
	if out.ContentLength != nil {
		info.Size = *out.ContentLength
		return info, checkSize(info.Size)
	}
	var err error
	info.Size, err = c.sizeByRange(ctx, key, info.ETag)
	return info, err
}

// sizeByRange returns the size of the version with that ETag, from the response to a
// GET of its first byte.
func (c *client) sizeByRange(ctx context.Context, key, etag string) (int64, error) {
	unknown := &Error{Kind: Truncated, Err: errNoLength}
	if etag == "" { // a second request could get another version
		return 0, unknown
	}
	in := c.getInput(key)
	in.Range, in.IfMatch = rangeHeader(0, 1), &etag
	out, body, err := c.get(ctx, in)
	if total, ok := unsatisfied(err); ok && total == 0 {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	body.Close()
	if got := aws.ToString(out.ETag); got != etag {
		return 0, changedETag(etag, got)
	}
	if out.ContentRange != nil {
		got, err := httprange.ParseContent(*out.ContentRange)
		if err != nil || got.Start != 0 {
			return 0, unknown
		}
		return got.Total, nil
	}
	if resp, err := plainResponse(out); err != nil || resp.StatusCode != http.StatusOK || out.ContentLength == nil {
		return 0, unknown
	}
	return *out.ContentLength, checkSize(*out.ContentLength) // the range was ignored
}

// sizeByHead returns the size of the version that got describes, for a GET whose
// response has no length.
func (c *client) sizeByHead(ctx context.Context, got *Info) (int64, error) {
	if got.ETag == "" {
		return 0, &Error{Kind: Truncated, Err: errNoLength}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, err := c.head(ctx, got.Key)
	if err != nil {
		return 0, err
	}
	info, err := c.describe(ctx, got.Key, out)
	if err != nil {
		return 0, err
	}
	if info.ETag != got.ETag {
		return 0, changedETag(got.ETag, info.ETag)
	}
	if info.ContentEncoding != got.ContentEncoding {
		return 0, encodedInTransit(info.ContentEncoding, got.ContentEncoding)
	}
	return info.Size, nil
}

// headOnly is stat for a caller that makes another request next: it does not explain
// a refusal, unless the credentials may have expired.
func (c *client) headOnly(ctx context.Context, key string) (*Info, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, err := c.head(ctx, key)
	if err == nil {
		return c.describe(ctx, key, out)
	}
	if isBadRequest(err) {
		return c.stat(ctx, key)
	}
	return nil, err
}

// isBadRequest reports whether err is a status 400. After a HEAD, that may mean that
// the session has expired.
func isBadRequest(err error) bool {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	return ok && resp.HTTPStatusCode() == http.StatusBadRequest
}

func (c *client) head(ctx context.Context, key string) (*s3.HeadObjectOutput, error) {
	return call(ctx, c, (*s3.Client).HeadObject, c.headInput(key))
}

// headWithChecksum is head with the checksum of the whole object, if that is to be
// compared.
func (c *client) headWithChecksum(ctx context.Context, key string) (*s3.HeadObjectOutput, error) {
	in := c.headInput(key)
	if c.opts.Verify == VerifyAuto {
		in.ChecksumMode = types.ChecksumModeEnabled
	}
	return call(ctx, c, (*s3.Client).HeadObject, in)
}

// headForStat is headWithChecksum, and head if that is denied: S3 does not return the
// checksum of an object that is encrypted with KMS to a role without kms:Decrypt.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html, ChecksumMode
func (c *client) headForStat(ctx context.Context, key string) (*s3.HeadObjectOutput, error) {
	out, err := c.headWithChecksum(ctx, key)
	if c.opts.Verify == VerifyAuto && kindOf(err) == AccessDenied {
		return c.head(ctx, key)
	}
	return out, err
}

func (c *client) headInput(key string) *s3.HeadObjectInput {
	in := &s3.HeadObjectInput{
		Bucket: &c.bucket.name, Key: &key,
		RequestPayer: c.payer(), ExpectedBucketOwner: c.owner(),
	}
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = c.opts.CustomerKey.headers()
	return in
}

// unexplained reports whether the refusal of a HEAD can mean several things.
func (c *client) unexplained(err error) bool {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok {
		return false
	}
	switch resp.HTTPStatusCode() {
	case http.StatusBadRequest, http.StatusForbidden:
		return true
	case http.StatusNotFound:
		return !c.bucketSeen.Load()
	}
	return false
}

// probe sends a GET of one byte for its error: unlike that of a HEAD, it has a body.
func (c *client) probe(ctx context.Context, key string) error {
	in := c.getInput(key)
	in.Range = rangeHeader(0, 1)
	_, body, err := c.get(ctx, in)
	if err == nil {
		body.Close()
		return nil
	}
	switch api, _ := apiErrorOf(err); {
	case api == nil:
	case api.ErrorCode() == "InvalidRange": // an empty object
		return nil
	case kindOf(err) == NotFound:
		c.bucketSeen.Store(true)
	}
	return err
}

// hasResponse reports whether err is a response, from S3 or another server.
func hasResponse(err error) bool {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	return ok && resp.HTTPStatusCode() != 0 // without a response, the SDK makes one up
}

// Info describes one version of an object or, from [Reader.List] with a delimiter,
// a common prefix of keys.
type Info struct {
	Key      string
	IsPrefix bool // Key is a common prefix, and all other fields are zero

	ETag      string // in quotes, as S3 sends it, even if a store omits them
	VersionID string // empty in a bucket without versions, and in a listing

	// ContentType and the like are headers as the writer of the object set them, such
	// as a file server sends them on. They are empty in a listing.
	ContentType, ContentEncoding, ContentDisposition, CacheControl string

	StorageClass string // "STANDARD" if S3 names none
	Size         int64  // stored bytes
	LastModified time.Time

	// Checksum is of all bytes. It is zero in a listing, from FS.Stat and with
	// VerifyOff, and if S3 has none or only one of the parts of an upload. If S3 has
	// several, it is the one that is the fastest to compute.
	Checksum Checksum

	// Verified is true once all bytes have been read and matched the object's
	// checksum, or all of them if S3 has several, or those of the parts of its upload.
	// It is false in a listing, and after Stat.
	Verified bool
}

var errNoLength = errors.New("no response has the length of the object (no Content-Length, and no Content-Range for its first byte): something between here and S3 rewrites responses")

func storageClass(s string) string {
	if s == "" {
		return string(types.StorageClassStandard)
	}
	return s
}

// normalETag returns an ETag as S3 spells it: in quotes, and without the "W/" of weak
// ETags that proxies add. Other stores omit the quotes in listings or everywhere. It
// returns an empty string if there is none.
func normalETag(s *string) string {
	tag := aws.ToString(s)
	if n := len(tag); n > 2 && tag[0] == '"' && tag[n-1] == '"' {
		return tag // as S3 sends it
	}
	tag = strings.TrimSpace(tag)
	tag = strings.TrimPrefix(strings.TrimPrefix(tag, "W/"), "w/")
	if inner, ok := strings.CutPrefix(tag, `"`); ok {
		tag = strings.TrimSuffix(inner, `"`)
	}
	if tag == "" {
		return ""
	}
	return `"` + tag + `"`
}

// isETag reports whether a normal ETag is one that a request can name: without quotes
// inside, which would make a list of it, and without control characters (RFC 9110,
// section 8.8.3).
func isETag(normal string) bool {
	return !strings.ContainsFunc(normal[1:len(normal)-1], func(c rune) bool { return c == '"' || unicode.IsControl(c) })
}

// maxSize is the size of the largest object that is read, in bytes: 1 PiB, while S3
// stores up to 50 TB. Within it, sums of positions and lengths fit an int64.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
const maxSize = httprange.MaxSize

// checkSize returns an error for a length that no object can have.
func checkSize(size int64) error {
	if size < 0 || size > maxSize {
		return &Error{Kind: Truncated, Err: fmt.Errorf("the response says that the object has %d bytes; the limit is 1 PiB (%d bytes)", size, int64(maxSize))}
	}
	return nil
}

// infoOf returns the facts of an object in a response, except for Size.
func infoOf(key string, out *s3.HeadObjectOutput) *Info {
	return &Info{
		Key: key, ETag: normalETag(out.ETag), VersionID: aws.ToString(out.VersionId),
		ContentType: aws.ToString(out.ContentType), ContentEncoding: aws.ToString(out.ContentEncoding),
		ContentDisposition: aws.ToString(out.ContentDisposition), CacheControl: aws.ToString(out.CacheControl),
		StorageClass: storageClass(string(out.StorageClass)), LastModified: aws.ToTime(out.LastModified),
		Checksum: wholeChecksums(out).first(),
	}
}

// headOf returns the facts in the response to a GET as those of a HEAD.
func headOf(out *s3.GetObjectOutput) *s3.HeadObjectOutput {
	return &s3.HeadObjectOutput{
		ETag: out.ETag, VersionId: out.VersionId, ContentType: out.ContentType, ContentEncoding: out.ContentEncoding,
		ContentDisposition: out.ContentDisposition, CacheControl: out.CacheControl,
		StorageClass: out.StorageClass, LastModified: out.LastModified, ChecksumType: out.ChecksumType,
		ChecksumCRC64NVME: out.ChecksumCRC64NVME, ChecksumCRC32: out.ChecksumCRC32, ChecksumCRC32C: out.ChecksumCRC32C,
		ChecksumSHA256: out.ChecksumSHA256, ChecksumSHA1: out.ChecksumSHA1, ChecksumSHA512: out.ChecksumSHA512, ChecksumMD5: out.ChecksumMD5,
		ChecksumXXHASH64: out.ChecksumXXHASH64, ChecksumXXHASH3: out.ChecksumXXHASH3, ChecksumXXHASH128: out.ChecksumXXHASH128,
	}
}
