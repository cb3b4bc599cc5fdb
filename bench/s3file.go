package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/minio-go/v7"
)

// The rows s3/file-*: one large object to a file, by each contender.

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

// fetcher writes an object of the given size to w.
type fetcher func(ctx context.Context, key string, size int64, w io.WriterAt) error

// The contenders that use one connection (objects that were not uploaded in parts),
// and those that use several. They take turns in this order.
var (
	fetchersOfOne  = []string{rawHTTP, sdkGetObject, tmDefault}
	fetchersOfMany = []string{ours, tmTuned, managerTuned, minioRanges}
	fetcherNames   = slices.Concat(fetchersOfOne, fetchersOfMany)
)

// fetcher returns the contender with the given name, for the objects at an endpoint.
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

// drain copies a body of the given size.
func drain(body io.ReadCloser, size int64, w io.WriterAt) error {
	defer body.Close()
	n, err := io.Copy(io.NewOffsetWriter(w, 0), body)
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// inRanges is what users of minio-go write if one connection is too slow.
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

// measureFiles writes an object to a file that already has its size.
func measureFiles(ctx context.Context, s settings, st *store, got figures) error {
	size := int64(1 << 30)
	if s.quick {
		size = 128 * mib
	}
	for row, endpoint := range map[string]string{plainRow: st.Plain, tlsRow: st.TLS} {
		r := race{row: row, endpoint: endpoint, size: size, rounds: s.rounds(3, 5), names: fetcherNames}
		if err := r.run(ctx, st.s3Addresses, got); err != nil {
			return err
		}
	}
	return nil
}

// race is a set of contenders that take turns to fetch the same object to a file.
type race struct {
	row, endpoint string
	size          int64
	rounds        int
	names         []string
}

func (r race) run(ctx context.Context, a s3Addresses, got figures) (err error) {
	f, err := r.file()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var ways []way
	for _, name := range r.names {
		fetch, err := a.fetcher(name, r.endpoint)
		if err != nil {
			return err
		}
		ways = append(ways, way{name: name, do: func() error { return fetch(ctx, bytesKey(r.size), r.size, f) }})
	}
	return takeTurns(got, r.row, float64(r.size)/1e6, r.rounds, ways)
}

// file has the object's size and no name, so that nothing is left behind by a run that
// is killed.
func (r race) file() (f *os.File, err error) {
	dir, err := scratch()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "object")
	if err := fill(path, r.size); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR, 0)
}

// fill writes a file of the given size, so that overwriting it allocates no pages.
func fill(path string, size int64) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for left := size; left > 0; left -= mib {
		if _, err := f.Write(pattern()[:min(mib, left)]); err != nil {
			return err
		}
	}
	return nil
}
