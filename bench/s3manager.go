//lint:file-ignore SA1019 programs that were not rewritten use it

package main

import (
	"context"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// managerFetcher is the SDK's older downloader, tuned.
func (a s3Addresses) managerFetcher(endpoint string) fetcher {
	d := manager.NewDownloader(a.sdkClient(endpoint), func(d *manager.Downloader) { d.PartSize, d.Concurrency = tunedPart, tunedParts })
	return func(ctx context.Context, key string, _ int64, w io.WriterAt) error {
		_, err := d.Download(ctx, w, &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: &key})
		return err
	}
}
