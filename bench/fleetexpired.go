package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// The rows of a fleet whose sessions have all expired in an outage: how much it asks
// STS meanwhile, and how soon it is back.

const (
	fleetRecoveryRow = "fleet/recovery-s"
	perPodRow        = "fleet/outage-calls-per-pod"
)

var fleetExpired = group{
	rows:    []Row{lower(fleetRecoveryRow, "s"), lower(perPodRow, "requests")},
	measure: inVirtualTime(fleetRecoveryRow, 1),
}

const (
	wakeWithin   = time.Minute      // all pods ask again within this time
	awakeOutage  = 10 * time.Minute // of the outage, as the pods see it
	podCalls     = time.Second      // between two calls of a pod
	recoverySDK  = 5                // the SDK's fleet, and its quota, are smaller by this factor
	recoveryWait = 10 * time.Minute
)

// expiredFleet is how many pods there are, and the quota of STS in requests a second. As
// AWS documents it, the quota is for requests that are signed with AWS credentials
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html): those of
// the second hop.
func (s settings) expiredFleet() (pods int, quota float64) {
	if s.quick {
		return 300, 18
	}
	return 10_000, 600
}

// playExpiredFleet lets all sessions of a fleet expire, plays an outage, and ends it.
func playExpiredFleet(ctx context.Context, set settings, c contender, dir string, add func(string, float64)) error {
	if c.name != ours && c.name != sdk {
		return nil
	}
	tokenFile, err := writeToken(dir)
	if err != nil {
		return err
	}
	pods, quota := set.expiredFleet()
	if c.name == sdk {
		pods, quota = pods/recoverySDK, quota/recoverySDK
	}
	server := newSTS(hopDelay, hourLife)
	fleet := make([]retriever, pods)
	for i := range fleet {
		if fleet[i], err = c.make(pod{client: server.client(), tokenFile: tokenFile}); err != nil {
			return err
		}
		if err := fleet[i](ctx); err != nil {
			return err
		}
	}
	// The pods are idle, as at night, until the last session has expired.
	time.Sleep(hourLife + time.Minute)
	server.quota, server.free = newQuota(quota), "AssumeRoleWithWebIdentity"
	server.set(unavailable)
	before := server.requests.Load()
	var ended atomic.Bool // the outage
	var served sync.WaitGroup
	var early atomic.Bool
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for i, retrieve := range fleet {
		served.Go(func() {
			time.Sleep(wakeWithin * time.Duration(i) / time.Duration(pods))
			for retrieve(ctx) != nil && ctx.Err() == nil {
				time.Sleep(podCalls)
			}
			if !ended.Load() {
				early.Store(true)
			}
		})
	}
	time.Sleep(wakeWithin / 2) // the pods begin that much later on average
	time.Sleep(awakeOutage)
	add(perPodRow, float64(server.requests.Load()-before)/float64(pods)/awakeOutage.Minutes())
	ended.Store(true)
	server.set(working)
	end := time.Now()
	all := make(chan struct{})
	go func() { served.Wait(); close(all) }()
	select {
	case <-all:
	case <-time.After(recoveryWait):
		return errors.New("the fleet did not recover")
	}
	if early.Load() {
		return errors.New("a pod got credentials though STS was down and its session had expired")
	}
	add(fleetRecoveryRow, time.Since(end).Seconds())
	server.close()
	return nil
}
