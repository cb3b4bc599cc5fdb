package s3reader

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Info describes one version of an object.
type Info struct {
	Key       string
	ETag      string // in quotes, as S3 sends it, even where a store leaves them out
	VersionID string // empty in a bucket without versions, and in a listing

	// ContentType and ContentEncoding are what whoever stored the object said of
	// its bytes. They are empty in a listing.
	ContentType, ContentEncoding string

	StorageClass string // "STANDARD" where S3 names none
	Size         int64  // stored bytes
	LastModified time.Time

	// Verified says that all bytes were read and matched the object's checksum.
	Verified bool
}

var errNoLength = errors.New("no response says how long the object is (no Content-Length, and no Content-Range for its first byte): something between here and S3 rewrites responses")

func storageClass(s string) string {
	if s == "" {
		return string(types.StorageClassStandard)
	}
	return s
}

// normalETag is an ETag as S3 spells it: in quotes, and without the mark of a weak
// one, which proxies add. Other stores leave the quotes out of listings or of
// every response. It is empty if there is none.
func normalETag(s *string) string {
	tag := strings.TrimSpace(aws.ToString(s))
	tag = strings.TrimPrefix(strings.TrimPrefix(tag, "W/"), "w/")
	if inner, ok := strings.CutPrefix(tag, `"`); ok {
		tag = strings.TrimSuffix(inner, `"`)
	}
	if tag == "" {
		return ""
	}
	return `"` + tag + `"`
}

// maxSize is the longest object that is read, in bytes: 1 PiB, where S3 stores up
// to 50 TB. With it, sums of positions and lengths fit an int64.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
const maxSize = 1 << 50

// checkSize refuses a length that no object has, whatever a server claims.
func checkSize(size int64) error {
	if size < 0 || size > maxSize {
		return &Error{Kind: Truncated, Err: fmt.Errorf("the response says that the object has %d bytes; the limit is 1 PiB (%d bytes)", size, int64(maxSize))}
	}
	return nil
}

// infoFromHead and infoFromGet leave Size to the caller.
func infoFromHead(key string, out *s3.HeadObjectOutput) *Info {
	return &Info{
		Key: key, ETag: normalETag(out.ETag), VersionID: aws.ToString(out.VersionId),
		ContentType: aws.ToString(out.ContentType), ContentEncoding: aws.ToString(out.ContentEncoding),
		StorageClass: storageClass(string(out.StorageClass)), LastModified: aws.ToTime(out.LastModified),
	}
}

func infoFromGet(key string, out *s3.GetObjectOutput) *Info {
	return &Info{
		Key: key, ETag: normalETag(out.ETag), VersionID: aws.ToString(out.VersionId),
		ContentType: aws.ToString(out.ContentType), ContentEncoding: aws.ToString(out.ContentEncoding),
		StorageClass: storageClass(string(out.StorageClass)), LastModified: aws.ToTime(out.LastModified),
	}
}
