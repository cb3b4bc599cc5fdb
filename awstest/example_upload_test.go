package awstest_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crossrole/crossrole/awstest"
)

// A test of a program that uploads in parts need not upload 5 MiB for each.
func ExampleBucket_SetMinPartSize() {
	cloud := awstest.New()
	account := cloud.Account("444455556666")
	account.CreateBucket("films").SetMinPartSize(1)
	cfg := cloud.Config()
	cfg.Credentials = provider(account.UserCredentials("uploader", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::films/*"}]}`))
	client, ctx := s3.NewFromConfig(cfg), context.Background()

	upload, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String("films"), Key: aws.String("cat.mp4")})
	if err != nil {
		fmt.Println(err)
		return
	}
	var parts []types.CompletedPart
	for i, data := range []string{"one", "two", "three"} {
		number := aws.Int32(int32(i + 1))
		part, err := client.UploadPart(ctx, &s3.UploadPartInput{Bucket: upload.Bucket, Key: upload.Key, UploadId: upload.UploadId, PartNumber: number, Body: strings.NewReader(data)})
		if err != nil {
			fmt.Println(err)
			return
		}
		parts = append(parts, types.CompletedPart{PartNumber: number, ETag: part.ETag})
	}
	done, err := client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: upload.Bucket, Key: upload.Key, UploadId: upload.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(*done.Location, *done.ETag)
	// Output: https://films.s3.us-east-1.amazonaws.com/cat.mp4 "1742aed2976bd6a0871db76d97698c8b-3"
}
