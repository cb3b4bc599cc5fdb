package main

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/minio-go/v7"
)

// The row s3/discard-mbps: one large object, read in order and discarded.

const (
	discardRow = "s3/discard-mbps"

	rawHTTP = "raw"
)

var s3Discard = group{rows: []Row{higher(discardRow, "MB/s")}, measure: withStore(measureDiscard)}

// measureDiscard reads a whole object and discards it.
func measureDiscard(ctx context.Context, s settings, st *store, got figures) error {
	size := int64(1 << 30)
	if s.quick {
		size = 128 * mib
	}
	key := bytesKey(size)
	r, err := st.reader(st.Plain)
	if err != nil {
		return err
	}
	client, raw := st.sdkClient(st.Plain), st.rawClient()
	mc, err := st.minioClient(st.Plain)
	if err != nil {
		return err
	}
	all := func(body io.ReadCloser) error {
		n, err := io.Copy(io.Discard, body)
		if err == nil && n != size {
			err = io.ErrUnexpectedEOF
		}
		return errors.Join(err, body.Close())
	}
	return takeTurns(got, discardRow, float64(size)/1e6, s.rounds(5, 7), []way{
		{name: ours, do: func() error {
			o, err := r.Open(ctx, key)
			if err != nil {
				return err
			}
			if err := all(o); err != nil {
				return err
			}
			if !o.Info().Verified {
				return errors.New("not verified")
			}
			return nil
		}},
		{name: sdk, do: func() error {
			out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: &key})
			if err != nil {
				return err
			}
			return all(out.Body)
		}},
		{name: rawHTTP, do: func() error {
			resp, err := get(ctx, raw, st.Plain, key)
			if err != nil {
				return err
			}
			return all(resp.Body)
		}},
		{name: minioGo, do: func() error {
			o, err := mc.GetObject(ctx, bucketName, key, minio.GetObjectOptions{})
			if err != nil {
				return err
			}
			return all(o)
		}},
	})
}

func get(ctx context.Context, c *http.Client, endpoint, key string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/"+bucketName+"/"+key, nil)
	if err != nil {
		return nil, err
	}
	return c.Do(req)
}
