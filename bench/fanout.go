package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/credentials"
)

// The fanout rows: 5,000 targets through one hub, by a Pool and by one SDK chain each.

const (
	fanoutCalls = "fanout/sts-calls"
	fanoutBytes = "fanout/bytes-per-target"
	fanoutHot   = "fanout/hot-ns"
	warmRow     = "fanout/warm-ratio"
	warmFailed  = "fanout/warm-failed"

	// single is a single chain of ours, listed as a peer.
	single = "single"
)

var (
	fanoutIdle = group{rows: []Row{lower(fanoutCalls, "requests"), lower(fanoutBytes, "bytes"), lower(fanoutHot, "ns")}, measure: measureFanout}
	fanoutWarm = group{rows: []Row{lower(warmRow, "ratio"), lower(warmFailed, "calls")}, measure: inVirtualTime(warmRow, 3)}
)

const (
	targets      = 5000
	sessionToken = 1024 // bytes, about as long as those of STS
	warmQuota    = 600
	warmWorkers  = 128
)

func targetOf(i int) string { return fmt.Sprintf("arn:aws:iam::%012d:role/audit", 200_000_000_000+i) }

// measureFanout makes each contender use every target once.
func measureFanout(ctx context.Context, s settings) (got figures, err error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	tokenFile, err := writeToken(dir)
	if err != nil {
		return nil, err
	}
	got = figures{}
	for range s.rounds(1, 3) {
		hot := map[string][]aws.CredentialsProvider{}
		for _, name := range []string{ours, sdk} {
			if hot[name], err = fanOnce(ctx, name, tokenFile, got); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		chain, err := ourChain(pod{client: newSTS(0, hourLife).client(), tokenFile: tokenFile})
		if err != nil {
			return nil, err
		}
		hot[single] = []aws.CredentialsProvider{chain}
		if err := addHot(ctx, hot, got); err != nil {
			return nil, err
		}
	}
	return got, nil
}

// fanOnce returns the providers after it has used each once.
func fanOnce(ctx context.Context, name, tokenFile string, got figures) ([]aws.CredentialsProvider, error) {
	server := newSTS(0, hourLife)
	server.token = strings.Repeat("T", sessionToken)
	provider, err := fan(name, pod{client: server.client(), tokenFile: tokenFile})
	if err != nil {
		return nil, err
	}
	all := make([]aws.CredentialsProvider, targets)
	use := func(i int) error {
		p, err := provider(i)
		if err == nil {
			_, err = p.Retrieve(ctx)
		}
		all[i] = p
		return err
	}
	if err := use(0); err != nil { // creates what is shared
		return nil, err
	}
	before := heap()
	for i := 1; i < targets; i++ {
		if err := use(i); err != nil {
			return nil, err
		}
	}
	got.add(fanoutBytes, name, float64(heap()-before)/(targets-1))
	got.add(fanoutCalls, name, float64(server.requests.Load()))
	return all, nil
}

// hotTurns is how many turns each contender takes, each of hotCalls calls.
const (
	hotTurns = 40
	hotCalls = 20 * targets
)

// addHot measures Retrieve on one of the providers after the other, in a random
// order that is the same for all contenders. They take turns, each of some ten
// milliseconds, and the lower quartile counts: what other programs do to the
// caches in the meantime affects contenders with many providers more.
func addHot(ctx context.Context, hot map[string][]aws.CredentialsProvider, got figures) error {
	for _, all := range hot {
		rng := rand.New(rand.NewPCG(1, 2))
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if _, err := all[0].Retrieve(ctx); err != nil { // gets its session
			return err
		}
	}
	turns := map[string][]float64{}
	for range hotTurns {
		for name, all := range hot {
			start, i := time.Now(), 0
			for range hotCalls {
				if _, err := all[i].Retrieve(ctx); err != nil {
					return err
				}
				if i++; i == len(all) {
					i = 0
				}
			}
			turns[name] = append(turns[name], float64(time.Since(start).Nanoseconds())/hotCalls)
		}
	}
	for name, list := range turns {
		slices.Sort(list)
		got.add(fanoutHot, name, list[len(list)/4])
	}
	return nil
}

// fan returns the provider of each target.
func fan(name string, p pod) (func(i int) (aws.CredentialsProvider, error), error) {
	if name == sdk {
		return func(i int) (aws.CredentialsProvider, error) { return sdkChainTo(targetOf(i), p, 0), nil }, nil
	}
	pool, err := ourPool(p, warmQuota)
	return func(i int) (aws.CredentialsProvider, error) { return pool.Chain(credentials.Role{ARN: targetOf(i)}) }, err
}

func ourPool(p pod, rate float64) (*credentials.Pool, error) {
	return credentials.NewPool(aws.Config{Region: region, HTTPClient: p.client}, func(o *credentials.PoolOptions) {
		o.Source = credentials.WebIdentity{RoleARN: hubARN, TokenFile: p.tokenFile, SessionName: sessionName}
		o.MaxChains, o.STSRate, o.STSConcurrency = targets, rate, warmWorkers
	})
}

// heap returns the bytes in use after a garbage collection.
func heap() int64 {
	runtime.GC()
	runtime.GC() // frees what the cleanups of the first one released
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// playWarm gets a session for each target from an STS with a quota. It calls the
// SDK's chains in as many workers, repeatedly until they have one.
func playWarm(ctx context.Context, _ settings, c contender, dir string, add func(string, float64)) error {
	if c.name != ours && c.name != sdk {
		return nil
	}
	tokenFile, err := writeToken(dir)
	if err != nil {
		return err
	}
	server := newSTS(hopDelay, hourLife)
	server.quota = newQuota(warmQuota)
	defer server.close()
	p := pod{client: server.client(), tokenFile: tokenFile}
	start := time.Now()
	var failed int64
	if c.name == ours {
		pool, err := ourPool(p, warmQuota)
		if err != nil {
			return err
		}
		roles := make([]credentials.Role, targets)
		for i := range roles {
			roles[i].ARN = targetOf(i)
		}
		err = pool.Warm(ctx, roles, func(w credentials.Warmed) {
			if w.Err != nil {
				failed++
			}
		})
		if err != nil && failed == 0 {
			return err
		}
	} else {
		failed = warmSDK(ctx, p)
	}
	add(warmRow, time.Since(start).Seconds()/(float64(targets+1)/warmQuota))
	add(warmFailed, float64(failed))
	return ctx.Err()
}

func warmSDK(ctx context.Context, p pod) int64 {
	var failed atomic.Int64
	next := make(chan int)
	var running sync.WaitGroup
	for range warmWorkers {
		running.Go(func() {
			for i := range next {
				chain := sdkChainTo(targetOf(i), p, 0)
				for ctx.Err() == nil {
					if _, err := chain.Retrieve(ctx); err == nil {
						break
					}
					failed.Add(1)
				}
			}
		})
	}
	for i := range targets {
		next <- i
	}
	close(next)
	running.Wait()
	return failed.Load()
}
