package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/minio-go/v7"
)

const (
	plainRow = "s3/file-plain-mbps"
	tlsRow   = "s3/file-tls-mbps"

	sdkGetObject = "sdk-getobject"
	tmDefault    = "transfermanager"
	tmTuned      = "transfermanager-tuned"
	managerTuned = "manager-tuned"
	minioRanges  = "minio-parallel"

	tunedPart, tunedParts = 16 * mib, 16
)

// fetcher brings an object of that size to w.
type fetcher func(ctx context.Context, key string, size int64, w io.WriterAt) error

// fetcherNames are in the order of their turns.
var fetcherNames = []string{ours, rawHTTP, sdkGetObject, tmDefault, tmTuned, managerTuned, minioRanges}

// fetcher makes the contender of that name, for the objects at an endpoint.
func (a s3Addresses) fetcher(name, endpoint string) (fetcher, error) {
	switch name {
	case ours:
		r, err := a.reader(endpoint)
		return func(ctx context.Context, key string, size int64, w io.WriterAt) error {
			info, err := r.Download(ctx, key, w)
			if err == nil && (!info.Verified || info.Size != size) {
				err = fmt.Errorf("not verified: %+v", info)
			}
			return err
		}, err
	case rawHTTP:
		c := a.rawClient()
		return func(ctx context.Context, key string, size int64, w io.WriterAt) error {
			resp, err := get(ctx, c, endpoint, key)
			if err != nil {
				return err
			}
			return drain(resp.Body, size, w)
		}, nil
	case sdkGetObject:
		c := a.sdkClient(endpoint)
		return func(ctx context.Context, key string, size int64, w io.WriterAt) error {
			out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: &key})
			if err != nil {
				return err
			}
			return drain(out.Body, size, w)
		}, nil
	case tmDefault, tmTuned:
		c := transfermanager.New(a.sdkClient(endpoint), func(o *transfermanager.Options) {
			o.DisableChecksumValidation = true
			if name == tmTuned {
				o.PartSizeBytes, o.Concurrency = tunedPart, tunedParts
				o.GetObjectType = "RANGE"
			}
		})
		return func(ctx context.Context, key string, _ int64, w io.WriterAt) error {
			_, err := c.DownloadObject(ctx, &transfermanager.DownloadObjectInput{Bucket: aws.String(bucketName), Key: &key, WriterAt: w})
			return err
		}, nil
	case managerTuned:
		return a.managerFetcher(endpoint), nil
	case minioRanges:
		c, err := a.minioClient(endpoint)
		return func(ctx context.Context, key string, size int64, w io.WriterAt) error {
			return inRanges(ctx, c, key, size, w)
		}, err
	}
	return nil, fmt.Errorf("no contender %q", name)
}

// drain copies a body of that size.
func drain(body io.ReadCloser, size int64, w io.WriterAt) error {
	defer body.Close()
	n, err := io.Copy(io.NewOffsetWriter(w, 0), body)
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// inRanges is what minio-go's users write where one connection is too slow.
func inRanges(ctx context.Context, c *minio.Client, key string, size int64, w io.WriterAt) error {
	offsets := make(chan int64)
	errs := make([]error, tunedParts)
	var running sync.WaitGroup
	for i := range tunedParts {
		running.Go(func() {
			buf := make([]byte, tunedPart)
			for off := range offsets {
				if errs[i] == nil {
					errs[i] = minioRange(ctx, c, key, buf[:min(tunedPart, size-off)], off, w)
				}
			}
		})
	}
	for off := int64(0); off < size; off += tunedPart {
		offsets <- off
	}
	close(offsets)
	running.Wait()
	return errors.Join(errs...)
}

func minioRange(ctx context.Context, c *minio.Client, key string, buf []byte, off int64, w io.WriterAt) error {
	var opts minio.GetObjectOptions
	if err := opts.SetRange(off, off+int64(len(buf))-1); err != nil {
		return err
	}
	body, _, _, err := (&minio.Core{Client: c}).GetObject(ctx, bucketName, key, opts)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.ReadFull(body, buf); err != nil {
		return err
	}
	_, err = w.WriteAt(buf, off)
	return err
}

var s3Files = group{
	rows:    []Row{higher(plainRow, "MB/s"), higher(tlsRow, "MB/s")},
	measure: withStore(measureFiles),
}

// measureFiles writes an object to a file that has its size already.
func measureFiles(ctx context.Context, s settings, st *store, got figures) error {
	size, rounds := int64(1<<30), s.rounds(3, 5)
	if s.quick {
		size = 128 * mib
	}
	return errors.Join(
		fetchAll(ctx, st.s3Addresses, plainRow, st.Plain, size, rounds, got),
		fetchAll(ctx, st.s3Addresses, tlsRow, st.TLS, size, rounds, got),
	)
}

// fetchAll has all contenders fetch an object of that size in turn.
func fetchAll(ctx context.Context, a s3Addresses, row, endpoint string, size int64, rounds int, got figures) (err error) {
	dir, err := scratch()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	f, err := os.Create(filepath.Join(dir, "object"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// Written once before, so that nobody pays for its pages.
	for off := int64(0); off < size; off += mib {
		if _, err := f.WriteAt(pattern(), off); err != nil {
			return err
		}
	}
	fetchers := map[string]fetcher{}
	for _, name := range fetcherNames {
		if fetchers[name], err = a.fetcher(name, endpoint); err != nil {
			return err
		}
	}
	for range rounds {
		for _, name := range fetcherNames {
			err := timed(got, row, name, float64(size)/1e6, func() error { return fetchers[name](ctx, bytesKey(size), size, f) })
			if err != nil {
				return err
			}
		}
	}
	return nil
}
