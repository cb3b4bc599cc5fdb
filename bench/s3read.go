package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/minio-go/v7"

	"github.com/crossrole/crossrole/s3reader"
)

const (
	discardRow  = "s3/discard-mbps"
	randomRow   = "s3/random-requests"
	randomBytes = "s3/random-bytes-ratio"
	listRow     = "s3/list-keys-per-s"

	rawHTTP = "raw"
)

var (
	s3Discard = group{rows: []Row{higher(discardRow, "MB/s")}, measure: withStore(measureDiscard)}
	s3Random  = group{rows: []Row{lower(randomRow, "requests"), lower(randomBytes, "ratio")}, measure: withStore(measureRandom)}
	s3List200 = group{rows: []Row{higher(listRow, "keys/s")}, measure: withStore(measureList)}
)

// timed adds what so many units a second are.
func timed(got figures, row, contender string, units float64, do func() error) error {
	start := time.Now()
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", contender, err)
	}
	got.add(row, contender, units/time.Since(start).Seconds())
	return nil
}

// measureDiscard reads a whole object and keeps nothing.
func measureDiscard(ctx context.Context, s settings, st *store, got figures) error {
	size := int64(1 << 30)
	if s.quick {
		size = 256 * mib
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
	all := func(body io.ReadCloser, err error) error {
		if err != nil {
			return err
		}
		defer body.Close()
		n, err := io.Copy(io.Discard, body)
		if err == nil && n != size {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	for range s.rounds(5, 7) {
		err := errors.Join(
			timed(got, discardRow, ours, float64(size)/1e6, func() error {
				o, err := r.Open(ctx, key)
				if err := all(o, err); err != nil {
					return err
				}
				if !o.Info().Verified {
					return errors.New("not verified")
				}
				return nil
			}),
			timed(got, discardRow, sdk, float64(size)/1e6, func() error {
				out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: &key})
				if err != nil {
					return err
				}
				return all(out.Body, nil)
			}),
			timed(got, discardRow, rawHTTP, float64(size)/1e6, func() error {
				resp, err := get(ctx, raw, st.Plain, key)
				if err != nil {
					return err
				}
				return all(resp.Body, nil)
			}),
			timed(got, discardRow, minioGo, float64(size)/1e6, func() error {
				o, err := mc.GetObject(ctx, bucketName, key, minio.GetObjectOptions{})
				return all(o, err)
			}),
		)
		if err != nil {
			return err
		}
	}
	return nil
}

func get(ctx context.Context, c *http.Client, endpoint, key string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/"+bucketName+"/"+key, nil)
	if err != nil {
		return nil, err
	}
	return c.Do(req)
}

// counting is an HTTP client that counts.
type counting struct {
	aws.HTTPClient
	requests, bytes atomic.Int64
}

func (c *counting) Do(r *http.Request) (*http.Response, error) {
	c.requests.Add(1)
	resp, err := c.HTTPClient.Do(r)
	if err == nil {
		resp.Body = countedBody{resp.Body, c}
	}
	return resp, err
}

type countedBody struct {
	io.ReadCloser
	c *counting
}

func (b countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.c.bytes.Add(int64(n))
	return n, err
}

// measureRandom reads as a reader of Parquet does: the footer's length, the
// footer, and 40 chunks of columns with gaps between them.
func measureRandom(ctx context.Context, s settings, st *store, got figures) error {
	const size = 256 * mib
	for round := range s.rounds(5, 15) {
		rng := rand.New(rand.NewPCG(uint64(round), 0))
		type read struct{ off, n int64 }
		reads := []read{{size - 8, 8}, {size - 8 - 64<<10, 64 << 10}}
		asked := int64(8 + 64<<10)
		for off := int64(4 * mib); len(reads) < 42; {
			n := 200<<10 + rng.Int64N(824<<10)
			reads = append(reads, read{off, n})
			asked += n
			off += n + rng.Int64N(256<<10)
		}
		cfg := st.config(st.Plain)
		c := &counting{HTTPClient: cfg.HTTPClient}
		cfg.HTTPClient = c
		r, err := s3reader.New(cfg, bucketName, func(o *s3reader.Options) { o.Memory = 64 * mib })
		if err != nil {
			return err
		}
		o, err := r.Open(ctx, bytesKey(size))
		if err != nil {
			return err
		}
		for _, rd := range reads {
			if _, err := o.ReadAt(make([]byte, rd.n), rd.off); err != nil {
				return err
			}
		}
		if err := o.Close(); err != nil {
			return err
		}
		// Open's own request is one of them. A plain range for each read is the
		// peer, with a HEAD for the size.
		got.add(randomRow, ours, float64(c.requests.Load()))
		got.add(randomRow, "range-a-read", float64(len(reads)+1))
		got.add(randomBytes, ours, float64(c.bytes.Load())/float64(asked))
		got.add(randomBytes, "range-a-read", 1)
	}
	return nil
}

// measureList lists many keys.
func measureList(ctx context.Context, s settings, st *store, got figures) error {
	keys := 200_000
	if s.quick {
		keys = 50_000
	}
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
	for range s.rounds(5, 7) {
		err := errors.Join(
			timed(got, listRow, ours, float64(keys), func() error {
				n := 0
				for _, err := range r.List(ctx, prefix) {
					if err != nil {
						return err
					}
					n++
				}
				return counted(n)
			}),
			timed(got, listRow, sdk, float64(keys), func() error {
				n := 0
				for p := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: aws.String(bucketName), Prefix: &prefix}); p.HasMorePages(); {
					page, err := p.NextPage(ctx)
					if err != nil {
						return err
					}
					n += len(page.Contents)
				}
				return counted(n)
			}),
			timed(got, listRow, minioGo, float64(keys), func() error {
				n := 0
				for o := range mc.ListObjects(ctx, bucketName, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
					if o.Err != nil {
						return o.Err
					}
					n++
				}
				return counted(n)
			}),
		)
		if err != nil {
			return err
		}
	}
	return nil
}
