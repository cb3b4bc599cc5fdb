package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	minio "github.com/minio/minio-go/v7/pkg/credentials"
)

// The hot rows: Retrieve on a session that is fresh.

const (
	hotNsRow     = "hot/ns"
	hotAllocsRow = "hot/allocs"
)

var hot = group{rows: []Row{lower(hotNsRow, "ns"), lower(hotAllocsRow, "allocs")}, measure: measureHot}

func measureHot(ctx context.Context, s settings) (got figures, err error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	tokenFile, err := writeToken(dir)
	if err != nil {
		return nil, err
	}
	p := pod{client: newSTS(0, hourLife).client(), tokenFile: tokenFile}
	chain, err := ourChain(p)
	if err != nil {
		return nil, err
	}
	minioCreds, err := minioChain(p)
	if err != nil {
		return nil, err
	}
	benchmarks := []struct {
		name string
		run  func(b *testing.B)
	}{
		{ours, retrieving(ctx, chain)},
		{sdk, retrieving(ctx, sdkChain(p, 0))},
		{minioGo, getting(&minio.CredContext{Client: p.client, Context: ctx}, minioCreds)},
	}
	testing.Init()
	if err := flag.Set("test.benchtime", "150ms"); err != nil {
		return nil, err
	}
	got = figures{}
	for range s.rounds(5, 21) {
		for _, bench := range benchmarks {
			result := testing.Benchmark(bench.run)
			if result.N == 0 || ctx.Err() != nil {
				return nil, fmt.Errorf("%s: the benchmark failed: %w", bench.name, errors.Join(ctx.Err(), errNoSession))
			}
			got.add(hotNsRow, bench.name, float64(result.T.Nanoseconds())/float64(result.N))
			got.add(hotAllocsRow, bench.name, float64(result.AllocsPerOp()))
		}
	}
	return got, nil
}

var errNoSession = errors.New("no session")

func retrieving(ctx context.Context, p aws.CredentialsProvider) func(*testing.B) {
	return func(b *testing.B) {
		if _, err := p.Retrieve(ctx); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := p.Retrieve(ctx); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func getting(cc *minio.CredContext, creds *minio.Credentials) func(*testing.B) {
	return func(b *testing.B) {
		if _, err := creds.GetWithContext(cc); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := creds.GetWithContext(cc); err != nil {
				b.Fatal(err)
			}
		}
	}
}
