package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/minio/minio-go/v7"

	"github.com/crossrole/crossrole/s3reader"
)

// The row s3/small-files-per-s: a directory of many small objects.

const smallRow = "s3/small-files-per-s"

var s3Small = group{rows: []Row{higher(smallRow, "files/s")}, measure: withStore(measureSmall)}

// measureSmall downloads a directory of small files.
func measureSmall(ctx context.Context, s settings, st *store, got figures) (err error) {
	files := s.rounds(1000, 10_000)
	prefix := fmt.Sprintf("%s%d/", smallPrefix, files)
	dir, err := scratch()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r, err := st.reader(st.Plain)
	if err != nil {
		return err
	}
	tm := transfermanager.New(st.sdkClient(st.Plain), func(o *transfermanager.Options) { o.DisableChecksumValidation = true })
	tuned := transfermanager.New(st.sdkClient(st.Plain), func(o *transfermanager.Options) {
		o.DisableChecksumValidation, o.Concurrency = true, tunedParts
	})
	mc, err := st.minioClient(st.Plain)
	if err != nil {
		return err
	}
	directory := func(c *transfermanager.Client) func(string) (int, error) {
		return func(to string) (int, error) {
			out, err := c.DownloadDirectory(ctx, &transfermanager.DownloadDirectoryInput{Bucket: aws.String(bucketName), Destination: &to, KeyPrefix: &prefix})
			if err != nil {
				return 0, err
			}
			return int(out.ObjectsDownloaded), nil
		}
	}
	to := filepath.Join(dir, "files")
	in := func(name string, do func(to string) (int, error)) way {
		return way{name: name, do: func() error {
			if err := os.Mkdir(to, 0o700); err != nil {
				return err
			}
			n, err := do(to)
			if err == nil && n != files {
				err = fmt.Errorf("%d files of %d are in place", n, files)
			}
			return err
		}, after: func() error { return os.RemoveAll(to) }}
	}
	return takeTurns(got, smallRow, float64(files), s.rounds(3, 5), []way{
		in(ours, func(to string) (int, error) {
			verified := 0
			_, err := r.DownloadDir(ctx, prefix, to, func(o *s3reader.DirOptions) {
				o.Each = func(file s3reader.Outcome) {
					if file.Err == nil && file.Info.Verified {
						verified++
					}
				}
			})
			return verified, err
		}),
		in(tmDefault, directory(tm)),
		in(tmTuned, directory(tuned)),
		in(minioGo, func(to string) (int, error) { return minioDirectory(ctx, mc, prefix, to) }),
	})
}

// minioDirectory is the loop that users of minio-go write, with as many workers as
// the tuned peer.
func minioDirectory(ctx context.Context, c *minio.Client, prefix, to string) (int, error) {
	keys := make(chan string)
	errs := make([]error, tunedParts)
	var running sync.WaitGroup
	for i := range tunedParts {
		running.Go(func() {
			for key := range keys {
				if errs[i] == nil {
					errs[i] = c.FGetObject(ctx, bucketName, key, filepath.Join(to, key[len(prefix):]), minio.GetObjectOptions{})
				}
			}
		})
	}
	n := 0
	var listing error
	for o := range c.ListObjects(ctx, bucketName, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if listing = o.Err; listing != nil {
			break
		}
		n++
		keys <- o.Key
	}
	close(keys)
	running.Wait()
	return n, errors.Join(append(errs, listing)...)
}
