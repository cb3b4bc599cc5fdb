package main

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/minio-go/v7"
)

const listRow = "s3/list-keys-per-s"

var s3List200 = group{rows: []Row{higher(listRow, "keys/s")}, measure: withStore(measureList)}

// measureList lists many keys.
func measureList(ctx context.Context, s settings, st *store, got figures) error {
	keys := s.rounds(20_000, 200_000)
	prefix := fmt.Sprintf("%s%d/", manyPrefix, keys)
	r, err := st.reader(st.Plain)
	if err != nil {
		return err
	}
	client := st.sdkClient(st.Plain)
	mc, err := st.minioClient(st.Plain)
	if err != nil {
		return err
	}
	counted := func(n int) error {
		if n != keys {
			return fmt.Errorf("listed %d keys of %d", n, keys)
		}
		return nil
	}
	return takeTurns(got, listRow, float64(keys), s.rounds(5, 7), []way{
		{name: ours, do: func() error {
			n := 0
			for _, err := range r.List(ctx, prefix) {
				if err != nil {
					return err
				}
				n++
			}
			return counted(n)
		}},
		{name: sdk, do: func() error {
			n := 0
			for p := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: aws.String(bucketName), Prefix: &prefix}); p.HasMorePages(); {
				page, err := p.NextPage(ctx)
				if err != nil {
					return err
				}
				n += len(page.Contents)
			}
			return counted(n)
		}},
		{name: minioGo, do: func() error {
			n := 0
			for o := range mc.ListObjects(ctx, bucketName, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
				if o.Err != nil {
					return o.Err
				}
				n++
			}
			return counted(n)
		}},
	})
}
