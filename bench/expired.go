package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	minio "github.com/minio/minio-go/v7"

	"github.com/crossrole/crossrole/s3reader"
)

// The expired rows: what happens to requests when a role's sessions are revoked half way.

const (
	recoveredRow = "expired/recovered"
	refreshesRow = "expired/refreshes"
)

var expired = group{
	rows:    []Row{higher(recoveredRow, "fraction"), lower(refreshesRow, "refreshes")},
	measure: inVirtualTime(recoveredRow, 3),
}

const (
	workers   = 8
	headEvery = 10
)

// reads are the two requests of the measurement, by one contender.
type reads struct {
	get  func(ctx context.Context) error
	head func(ctx context.Context) error
}

// playExpired makes the workers read while the role's sessions are revoked.
func playExpired(ctx context.Context, set settings, c contender, dir string, add func(string, float64)) error {
	readsOf := map[string]func(pod) (reads, error){ours: ourReads, sdk: sdkReads, minioGo: minioReads}[c.name]
	if readsOf == nil { // sdk-window behaves like sdk here
		return nil
	}
	w := newWorld(filepath.Join(dir, "volume"))
	r, err := readsOf(pod{client: &http.Client{Transport: inMemory{w.cloud.Config().HTTPClient}}, tokenFile: w.pod.TokenFile()})
	if err != nil {
		return err
	}
	// If a contender cannot read at all, there is nothing to measure.
	if err := errors.Join(r.get(ctx), r.head(ctx)); err != nil {
		return err
	}
	add(recoveredRow, revokeHalfWay(ctx, w, r, set.rounds(250, 1000)))
	add(refreshesRow, float64(sessionsOf(w)-1))
	return nil
}

// revokeHalfWay returns the fraction of the workers' requests that succeed, of
// gets GETs each and the HEADs between them.
func revokeHalfWay(ctx context.Context, w *world, r reads, gets int) float64 {
	var sent, ok atomic.Int64
	half := int64(workers * (gets + gets/headEvery) / 2)
	count := func(request func(context.Context) error) {
		if sent.Add(1) == half {
			w.target.RevokeSessions()
		}
		if request(ctx) == nil {
			ok.Add(1)
		}
	}
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for n := range gets {
				count(r.get)
				if n%headEvery == headEvery-1 {
					count(r.head)
				}
			}
		})
	}
	running.Wait()
	return float64(ok.Load()) / float64(sent.Load())
}

// sessionsOf counts the sessions of the target role that STS issued.
func sessionsOf(w *world) int {
	n := 0
	for _, call := range w.cloud.Calls() {
		if call.Operation == "AssumeRole" && call.Code == "" {
			n++
		}
	}
	return n
}

func ourReads(p pod) (reads, error) {
	chain, err := ourChain(p)
	if err != nil {
		return reads{}, err
	}
	reader, err := s3reader.New(chain.Config(), bucketName)
	return reads{
		func(ctx context.Context) error { _, err := reader.Get(ctx, objectKey); return err },
		func(ctx context.Context) error { _, err := reader.Stat(ctx, objectKey); return err },
	}, err
}

func sdkReads(p pod) (reads, error) {
	client := s3.NewFromConfig(aws.Config{Region: region, HTTPClient: p.client, Credentials: sdkChain(p, 0)})
	return reads{
		func(ctx context.Context) error {
			out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: aws.String(objectKey)})
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, out.Body)
			return errors.Join(err, out.Body.Close())
		},
		func(ctx context.Context) error {
			_, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String(bucketName), Key: aws.String(objectKey)})
			return err
		},
	}, nil
}

func minioReads(p pod) (reads, error) {
	creds, err := minioChain(p)
	if err != nil {
		return reads{}, err
	}
	client, err := minio.New("s3.us-east-1.amazonaws.com", &minio.Options{
		Creds: creds, Secure: true, Region: region, Transport: p.client.Transport, BucketLookup: minio.BucketLookupDNS,
	})
	return reads{
		func(ctx context.Context) error {
			o, err := client.GetObject(ctx, bucketName, objectKey, minio.GetObjectOptions{})
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, o)
			return errors.Join(err, o.Close())
		},
		func(ctx context.Context) error {
			_, err := client.StatObject(ctx, bucketName, objectKey, minio.StatObjectOptions{})
			return err
		},
	}, err
}

// inMemory is the cloud as an http.RoundTripper, which minio-go requires.
type inMemory struct{ client aws.HTTPClient }

// RoundTrip implements http.RoundTripper.
func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) { return m.client.Do(r) }
