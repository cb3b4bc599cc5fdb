package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/credentials"
)

// The fleet rows: a day of 10,000 pods at one STS with a quota.

const (
	peakRow       = "fleet/peak-over-mean"
	fleetFailed   = "fleet/failed-calls"
	fleetRecovery = "fleet/recovery-ratio"
	throttleRow   = "fleet/throttled"

	// requestsSeries is not a row: it has the requests of each minute, in order.
	requestsSeries = "fleet/requests"
)

var fleet = group{
	rows: []Row{
		lower(peakRow, "ratio"), lower(fleetFailed, "calls"), lower(fleetRecovery, "ratio"), lower(throttleRow, "requests"),
	},
	measure: measureFleet,
}

// One day of a fleet: all its pods start at the same time, as when a cluster is
// replaced; hours pass; all are restarted one after the other; and STS fails.
const (
	startWithin  = 10 * time.Second
	restartsLast = 30 * time.Minute
	settle       = 90 * time.Minute
	outageOf     = 10 * time.Minute
	recoverLimit = 30 * time.Minute

	podAsks = 10 * time.Second // how often a pod needs credentials
	bin     = time.Minute
)

// fleet is how many pods there are, the quota of STS in requests a second, and
// how long nothing happens. 600 is the default of an account in a region
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
func (s settings) fleet() (pods int, quota float64, steady time.Duration) {
	if s.quick {
		return 1000, 60, 2 * time.Hour
	}
	return 10_000, 600, 6 * time.Hour
}

// measureFleet simulates the day once: its many thousand sessions are enough of a
// sample.
func measureFleet(ctx context.Context, s settings) (figures, error) {
	got, err := playApart(ctx, peakRow, s)
	if err != nil {
		return nil, fmt.Errorf("in virtual time: %w", err)
	}
	if s.svg != "" {
		err = plotRequests(s.svg, got[requestsSeries])
	}
	return got, err
}

// fleetPod is the program of one pod: its provider and its last credentials.
type fleetPod struct {
	mu       sync.Mutex
	provider aws.CredentialsProvider
	last     aws.Credentials
	err      error
}

func (p *fleetPod) restart(provider aws.CredentialsProvider) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.provider, p.last, p.err = provider, aws.Credentials{}, nil
}

func (p *fleetPod) ask(ctx context.Context) error {
	p.mu.Lock()
	provider := p.provider
	p.mu.Unlock()
	creds, err := provider.Retrieve(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.provider == provider {
		if p.err = err; err == nil {
			p.last = creds
		}
	}
	return err
}

// left returns the time left of the last session that the pod got.
func (p *fleetPod) left(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last.Expires.Sub(now)
}

// missing returns how many sessions the pod still has to renew after a failure, until
// the one that it signs with is new.
func (p *fleetPod) missing(now time.Time) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if chain, ok := p.provider.(*credentials.Chain); ok {
		n := 0
		for _, h := range chain.Status().Hops {
			if n++; h.Err == nil && h.Expires.After(now) {
				n = 0
			}
		}
		return n
	}
	if p.err != nil || !p.last.Expires.After(now) {
		return 2 // the hub's and the target's
	}
	return 0
}

// playFleet simulates the day with the pods of one contender.
func playFleet(ctx context.Context, set settings, c contender, dir string, add func(string, float64)) error {
	if c.name != ours && c.name != sdk {
		return nil
	}
	tokenFile, err := writeToken(dir)
	if err != nil {
		return err
	}
	n, quota, steady := set.fleet()
	server := newSTS(hopDelay, hourLife)
	server.quota = newQuota(quota)
	server.timeline = newTimeline(bin)
	start := func() (aws.CredentialsProvider, error) {
		p := pod{client: server.client(), tokenFile: tokenFile}
		if c.name == sdk {
			return sdkChain(p, 0), nil
		}
		return ourChain(p)
	}
	f := &fleetRun{server: server, pods: make([]*fleetPod, n)}
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer running.Wait()
	defer cancel()
	for i := range f.pods {
		provider, err := start()
		if err != nil {
			return err
		}
		f.pods[i] = &fleetPod{provider: provider}
		running.Go(func() { f.live(ctx, f.pods[i], startWithin*time.Duration(i)/time.Duration(n)) })
	}
	time.Sleep(steady)
	add(peakRow, peakOverMean(server.timeline.counts()[int(hourLife/bin):]))
	add(throttleRow, float64(server.quota.refused()))

	for i := range f.pods {
		provider, err := start()
		if err != nil {
			return err
		}
		f.pods[i].restart(provider)
		time.Sleep(restartsLast / time.Duration(n))
	}
	time.Sleep(settle)
	if err := f.outage(add, quota); err != nil {
		return err
	}
	for _, count := range server.timeline.counts() {
		add(requestsSeries, count)
	}
	server.close()
	return nil
}

// fleetRun is a running fleet.
type fleetRun struct {
	server *stsServer
	pods   []*fleetPod

	mu     sync.Mutex
	count  map[*fleetPod]bool // pods whose failures count; nil: none do
	failed int
}

// live makes a pod get credentials regularly until ctx is done.
func (f *fleetRun) live(ctx context.Context, p *fleetPod, after time.Duration) {
	time.Sleep(after)
	for ctx.Err() == nil {
		if err := p.ask(ctx); err != nil {
			f.mu.Lock()
			if f.count[p] {
				f.failed++
			}
			f.mu.Unlock()
		}
		select {
		case <-time.After(podAsks):
		case <-ctx.Done():
		}
	}
}

// outage makes STS fail and measures how long the fleet takes to recover, compared
// with the time that the quota alone needs for those requests.
func (f *fleetRun) outage(add func(string, float64), quota float64) error {
	now := time.Now()
	safe := map[*fleetPod]bool{}
	for _, p := range f.pods {
		if p.left(now) >= outageOf {
			safe[p] = true
		}
	}
	f.mu.Lock()
	f.count = safe
	f.mu.Unlock()
	f.server.set(unavailable)
	time.Sleep(outageOf)
	f.server.set(working)
	f.mu.Lock()
	f.count = nil
	add(fleetFailed, float64(f.failed))
	f.mu.Unlock()

	ended := time.Now()
	needed := f.missing(ended)
	for f.missing(time.Now()) > 0 {
		if time.Since(ended) > recoverLimit {
			return errors.New("the fleet did not recover")
		}
		time.Sleep(time.Second)
	}
	add(fleetRecovery, time.Since(ended).Seconds()/(float64(needed)/quota))
	return nil
}

func (f *fleetRun) missing(now time.Time) int {
	n := 0
	for _, p := range f.pods {
		n += p.missing(now)
	}
	return n
}

func peakOverMean(counts []float64) float64 {
	var peak, sum float64
	for _, c := range counts {
		peak, sum = max(peak, c), sum+c
	}
	return peak * float64(len(counts)) / sum
}
