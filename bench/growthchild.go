package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
)

// The jobs of the growth rows, each in a process of its own.

// jobCommand is the argument with which the program starts itself to do a job.
const jobCommand = "run-as-job"

const (
	listJob    = "list"
	dirJob     = "dir"
	objectJob  = "object"
	poolJob    = "pool"
	callersJob = "callers"
	handlesJob = "handles"
)

var jobs = map[string]func(context.Context, job) (jobCost, error){
	listJob: listOnce, dirJob: copyOnce, objectJob: downloadOnce, poolJob: usePools, callersJob: callTogether, handlesJob: openMany,
}

// jobMain does a job and prints what it took.
func jobMain(argument string) int {
	err := func() error {
		var j job
		if err := json.Unmarshal([]byte(argument), &j); err != nil {
			return err
		}
		do, ok := jobs[j.Work]
		if !ok {
			return fmt.Errorf("no job is called %q", j.Work)
		}
		cost, err := do(context.Background(), j)
		if err != nil {
			return err
		}
		if cost.Peak == 0 {
			if cost.Peak, err = peakMiB(); err != nil {
				return err
			}
		}
		return json.NewEncoder(os.Stdout).Encode(cost)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// listOnce lists Size keys, after a first page that opens the connection.
func listOnce(ctx context.Context, j job) (jobCost, error) {
	list, err := j.lister(j.Contender)
	if err != nil {
		return jobCost{}, err
	}
	if _, err := list(ctx, manyPrefix+"1000/"); err != nil {
		return jobCost{}, err
	}
	start := time.Now()
	n, err := list(ctx, fmt.Sprintf("%s%d/", manyPrefix, j.Size))
	if err == nil && n != j.Size {
		err = fmt.Errorf("listed %d keys", n)
	}
	return jobCost{Seconds: time.Since(start).Seconds()}, err
}

// lister returns a function that lists a prefix and counts the keys.
func (j job) lister(name string) (func(ctx context.Context, prefix string) (n int64, err error), error) {
	if name == sdk {
		client := j.sdkClient(j.Plain)
		return func(ctx context.Context, prefix string) (n int64, err error) {
			for p := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: aws.String(bucketName), Prefix: &prefix}); p.HasMorePages(); {
				page, err := p.NextPage(ctx)
				if err != nil {
					return n, err
				}
				n += int64(len(page.Contents))
			}
			return n, nil
		}, nil
	}
	r, err := j.reader(j.Plain)
	return func(ctx context.Context, prefix string) (n int64, err error) {
		for _, err := range r.List(ctx, prefix) {
			if err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	}, err
}

// copyOnce downloads a directory of Size objects to Dir.
func copyOnce(ctx context.Context, j job) (jobCost, error) {
	r, err := j.reader(j.Plain)
	if err != nil {
		return jobCost{}, err
	}
	if _, err := r.Stat(ctx, smallPrefix+"1"); err != nil { // opens the first connection
		return jobCost{}, err
	}
	start := time.Now()
	done, err := r.DownloadDir(ctx, fmt.Sprintf("%s%d/", smallPrefix, j.Size), j.Dir)
	if err == nil && done.Files != int(j.Size) {
		err = fmt.Errorf("%d files are in place", done.Files)
	}
	return jobCost{Seconds: time.Since(start).Seconds()}, err
}

// downloadOnce downloads an object of Size bytes and discards it.
func downloadOnce(ctx context.Context, j job) (jobCost, error) {
	r, err := j.reader(j.Plain)
	if err != nil {
		return jobCost{}, err
	}
	start := time.Now()
	info, err := r.Download(ctx, bytesKey(j.Size), nowhere{})
	if err == nil && !info.Verified {
		err = errors.New("not verified")
	}
	return jobCost{Seconds: time.Since(start).Seconds()}, err
}

// openMany opens Size objects and reads the beginning of each.
func openMany(ctx context.Context, j job) (jobCost, error) {
	const size, begin = 64 << 10, 4 << 10
	cfg := j.config(j.Plain)
	// Each handle keeps its connection. The SDK's default is at most 2,048 to a host: then
	// the next Open waits.
	cfg.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.MaxConnsPerHost = 0 })
	r, err := s3reader.New(cfg, bucketName)
	if err != nil {
		return jobCost{}, err
	}
	open := func() (*s3reader.Object, error) {
		o, err := r.Open(ctx, bytesKey(size))
		if err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(o, make([]byte, begin)); err != nil {
			return nil, errors.Join(err, o.Close())
		}
		return o, nil
	}
	first, err := open() // creates what all share
	if err != nil {
		return jobCost{}, err
	}
	before := live()
	handles := make([]*s3reader.Object, j.Size)
	start := time.Now()
	for i := range handles {
		if handles[i], err = open(); err != nil {
			return jobCost{}, fmt.Errorf("object %d: %w", i, err)
		}
	}
	cost := jobCost{Seconds: time.Since(start).Seconds(), Each: float64(live()-before) / float64(j.Size)}
	for _, o := range append(handles, first) {
		if err := o.Close(); err != nil {
			return cost, err
		}
	}
	return cost, nil
}

// live returns the bytes of the heap and of stacks that are in use after a garbage
// collection.
func live() int64 {
	inHeap := heap()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return inHeap + int64(m.StackInuse)
}

// usePools uses each of Size targets once, in each of some pools. With Small, it then
// compares the time of a call with that of another pool of Small targets.
func usePools(ctx context.Context, j job) (cost jobCost, err error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return cost, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	tokenFile, err := writeToken(dir)
	if err != nil {
		return cost, err
	}
	pools := make([]*credentials.Pool, j.Sets)
	start := time.Now()
	for i := range pools {
		if pools[i], err = usePool(ctx, tokenFile, int(j.Size)); err != nil {
			return cost, err
		}
	}
	cost.Seconds = time.Since(start).Seconds()
	if cost.Peak, err = peakMiB(); err != nil || j.Small == 0 {
		return cost, err
	}
	small, err := usePool(ctx, tokenFile, int(j.Small))
	if err != nil {
		return cost, err
	}
	hot := func(l lookup) func() (float64, error) {
		return func() (float64, error) { return l.inRandomOrder(ctx) }
	}
	cost.Ratio, err = ratiosOf(map[string]pair{
		ours:     {hot(poolLookup(small, int(j.Small))), hot(poolLookup(pools[0], int(j.Size)))},
		plainMap: {hot(mapLookup(int(j.Small))), hot(mapLookup(int(j.Size)))},
	})
	runtime.KeepAlive(pools)
	return cost, err
}

// usePool returns a pool after each of its targets was used once.
func usePool(ctx context.Context, tokenFile string, size int) (*credentials.Pool, error) {
	server := newSTS(0, hourLife)
	server.token = strings.Repeat("T", sessionToken)
	pool, err := credentials.NewPool(aws.Config{Region: region, HTTPClient: server.client()}, func(o *credentials.PoolOptions) {
		o.Source = credentials.WebIdentity{RoleARN: hubARN, TokenFile: tokenFile, SessionName: sessionName}
		o.MaxChains = size
	})
	if err != nil {
		return nil, err
	}
	use := poolLookup(pool, size).call
	for i := range size {
		if err := use(ctx, i); err != nil {
			return nil, err
		}
	}
	return pool, nil
}

// lookup gets the credentials of one of size targets.
type lookup struct {
	size int
	call func(ctx context.Context, i int) error
}

func poolLookup(pool *credentials.Pool, size int) lookup {
	names := make([]string, size)
	for i := range names {
		names[i] = targetOf(i)
	}
	return lookup{size, func(ctx context.Context, i int) error {
		chain, err := pool.Chain(credentials.Role{ARN: names[i]})
		if err == nil {
			_, err = chain.Retrieve(ctx)
		}
		return err
	}}
}

// plainMap is a map with the credentials of each target, the least that a pool can be. Its
// ratio is that of the machine: how much longer it takes to read memory that is in no cache
// of the processor.
const plainMap = "map"

func mapLookup(size int) lookup {
	all, names := make(map[string]*aws.Credentials, size), make([]string, size)
	for i := range size {
		names[i] = targetOf(i)
		all[strings.Clone(names[i])] = &aws.Credentials{AccessKeyID: "A", SecretAccessKey: "s", SessionToken: strings.Repeat("T", sessionToken)}
	}
	var last aws.Credentials
	return lookup{size, func(_ context.Context, i int) error {
		last = *all[names[i]]
		if !last.HasKeys() {
			return errNoSession
		}
		return nil
	}}
}

// growthTurns is how many turns each of two sizes takes in one process. A lookup makes
// growthCalls calls in a turn.
const (
	growthTurns = 21
	growthCalls = 20_000
)

// pair measures a turn with the small size, and one with the large size.
type pair [2]func() (float64, error)

// ratiosOf returns, for each pair, the median of the large size over that of the small one.
// All take turns.
func ratiosOf(pairs map[string]pair) (map[string]float64, error) {
	took := map[string][2][]float64{}
	for range growthTurns {
		for name, p := range pairs {
			t := took[name]
			for i, measure := range p {
				cost, err := measure()
				if err != nil {
					return nil, err
				}
				t[i] = append(t[i], cost)
			}
			took[name] = t
		}
	}
	ratios := map[string]float64{}
	for name, t := range took {
		ratios[name] = median(t[1]) / median(t[0])
	}
	return ratios, nil
}

// inRandomOrder returns the CPU time of growthCalls calls, for targets in random order.
func (l lookup) inRandomOrder(ctx context.Context) (float64, error) {
	order := make([]int32, growthCalls)
	for k := range order {
		order[k] = rand.Int32N(int32(l.size))
	}
	start, err := cpuTime()
	if err != nil {
		return 0, err
	}
	for _, k := range order {
		if err := l.call(ctx, int(k)); err != nil {
			return 0, err
		}
	}
	end, err := cpuTime()
	return float64(end - start), err
}

// callTogether compares the time of a Retrieve, per processor, of Size goroutines with that
// of Small.
func callTogether(ctx context.Context, j job) (cost jobCost, err error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return cost, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	tokenFile, err := writeToken(dir)
	if err != nil {
		return cost, err
	}
	p := pod{client: newSTS(0, hourLife).client(), tokenFile: tokenFile}
	chain, err := ourChain(p)
	if err != nil {
		return cost, err
	}
	providers := map[string]aws.CredentialsProvider{
		ours: chain, sdk: sdkChain(p, 0),
		static: awscredentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
	}
	pairs := map[string]pair{}
	for name, provider := range providers {
		if _, err := provider.Retrieve(ctx); err != nil { // gets its session
			return cost, err
		}
		by := func(callers int64) func() (float64, error) {
			return func() (float64, error) { return callBy(ctx, provider, int(callers)) }
		}
		pairs[name] = pair{by(j.Small), by(j.Size)}
	}
	cost.Ratio, err = ratiosOf(pairs)
	return cost, err
}

// static is the SDK's provider of fixed credentials, whose callers share nothing.
const static = "static"

// callBy returns the CPU time of a call, in nanoseconds. That is ns per call and core when
// nothing else runs, and hardly changes when something does. Callers that share a cache
// line or wait for one another take more of it: locks spin, and goroutines are parked and
// woken.
func callBy(ctx context.Context, provider aws.CredentialsProvider, callers int) (float64, error) {
	const calls = 100_000 // of all callers together; some 5 ms
	errs := make([]error, callers)
	var running sync.WaitGroup
	start, err := cpuTime()
	if err != nil {
		return 0, err
	}
	for i := range callers {
		running.Go(func() {
			for range calls / callers {
				if _, err := provider.Retrieve(ctx); err != nil {
					errs[i] = err
					return
				}
			}
		})
	}
	running.Wait()
	end, err := cpuTime()
	return float64((end - start).Nanoseconds()) / calls, errors.Join(append(errs, err)...)
}

// cpuTime returns the CPU time that this process has taken so far.
func cpuTime() (time.Duration, error) {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}
