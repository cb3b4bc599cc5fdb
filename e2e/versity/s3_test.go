package versity_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// TestVersityS3 sends the same requests as s3reader: for whole objects, for ranges, and
// pinned to a version of the object by its ETag.
func TestVersityS3(t *testing.T) {
	client := s3.NewFromConfig(gateway(t).S3)
	bucket, key, content := aws.String("pics"), aws.String("cats/indoor cat.jpg"), bytes.Repeat([]byte("cat "), 1389)
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	put, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(content)})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name        string
		rang, match *string
		want        []byte
		code        string // of the error
	}{
		{name: "whole", want: content},
		{name: "range", rang: aws.String("bytes=4-10"), want: content[4:11]},
		{name: "range to the end", rang: aws.String("bytes=5550-9999"), want: content[5550:]},
		{name: "range of the version", rang: aws.String("bytes=0-0"), match: put.ETag, want: content[:1]},
		{name: "range past the end", rang: aws.String("bytes=5556-"), code: "InvalidRange"},
		{name: "another version", match: aws.String(`"00000000000000000000000000000000"`), code: "PreconditionFailed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key, Range: test.rang, IfMatch: test.match})
			if test.code != "" {
				if refused, ok := errors.AsType[smithy.APIError](err); !ok || refused.ErrorCode() != test.code {
					t.Errorf("%v; want %s", err, test.code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer out.Body.Close()
			got, err := io.ReadAll(out.Body)
			if err != nil || !bytes.Equal(got, test.want) {
				t.Errorf("read %d bytes, %v; want %d", len(got), err, len(test.want))
			}
		})
	}
}
