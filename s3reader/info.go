package s3reader

import (
	"errors"
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

var errNoLength = errors.New("the answer does not say how long the object is (no Content-Length): something between here and S3 rewrites answers")

func storageClass(s string) string {
	if s == "" {
		return string(types.StorageClassStandard)
	}
	return s
}

// normalETag is an ETag as S3 spells it: in quotes, and without the mark of a weak
// one, which proxies add. Other stores leave the quotes out of listings or of
// every answer. It is empty if there is none.
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

func infoFromHead(key string, out *s3.HeadObjectOutput) (*Info, error) {
	if out.ContentLength == nil || *out.ContentLength < 0 {
		return nil, &Error{Kind: Truncated, Err: errNoLength}
	}
	return &Info{
		Key: key, ETag: normalETag(out.ETag), VersionID: aws.ToString(out.VersionId),
		ContentType: aws.ToString(out.ContentType), ContentEncoding: aws.ToString(out.ContentEncoding),
		StorageClass: storageClass(string(out.StorageClass)),
		Size:         *out.ContentLength, LastModified: aws.ToTime(out.LastModified),
	}, nil
}

func infoFromGet(key string, out *s3.GetObjectOutput) (*Info, error) {
	if out.ContentLength == nil || *out.ContentLength < 0 {
		return nil, &Error{Kind: Truncated, Err: errNoLength}
	}
	return &Info{
		Key: key, ETag: normalETag(out.ETag), VersionID: aws.ToString(out.VersionId),
		ContentType: aws.ToString(out.ContentType), ContentEncoding: aws.ToString(out.ContentEncoding),
		StorageClass: storageClass(string(out.StorageClass)),
		Size:         *out.ContentLength, LastModified: aws.ToTime(out.LastModified),
	}, nil
}
