package main

import (
	"context"
	"sync"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
)

// target is the bucket to scan in one account, and the role to use.
type target struct {
	account, bucket string
	role            credentials.Role
}

type result struct {
	account string
	objects int
	bytes   int64
	err     error
}

// scan lists the bucket of each target, at most atOnce at the same time.
func scan(ctx context.Context, pool *credentials.Pool, targets []target, atOnce int) []result {
	results := make([]result, len(targets))
	next := make(chan int)
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for i := range next {
				results[i] = list(ctx, pool, targets[i])
			}
		})
	}
	for i := range targets {
		next <- i
	}
	close(next)
	workers.Wait()
	return results
}

func list(ctx context.Context, pool *credentials.Pool, t target) result {
	r := result{account: t.account}
	cfg, err := pool.Config(t.role)
	if err != nil {
		r.err = err
		return r
	}
	bucket, err := s3reader.New(cfg, t.bucket)
	if err != nil {
		r.err = err
		return r
	}
	for info, err := range bucket.List(ctx, "") {
		if err != nil {
			r.err = err
			return r
		}
		r.objects++
		r.bytes += info.Size
	}
	return r
}
