package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/crossrole/crossrole/credentials"
)

// The clients' SDKs renew some time before the end, most of them at 15 minutes:
// a session that they are handed should have more than that left.
const (
	aheadLeft = 20 * time.Minute
	aheadLife = 29 * time.Minute // of a shorter session more than two thirds would be thrown away
)

// keep renews the role's sessions until ctx ends, whether anything asks or not.
func (s *served) keep(ctx context.Context) {
	for ctx.Err() == nil {
		one, leave := context.WithCancel(ctx)
		s.mu.Lock()
		chain := s.current
		s.leave = leave
		s.mu.Unlock()
		var both sync.WaitGroup
		both.Go(func() { _ = chain.KeepFresh(one) }) // nil when one ends, and nothing else
		keepAhead(one, chain)
		both.Wait()
		leave()
	}
}

// keepAhead renews earlier than the chain itself would. The chain's Status, its
// log and its events report failures; they cost nothing while the session is
// valid.
func keepAhead(ctx context.Context, chain *credentials.Chain) {
	var end time.Time
	var margin time.Duration
	for ctx.Err() == nil {
		now := time.Now()
		hops := chain.Status().Hops
		last := hops[len(hops)-1]
		if !last.Expires.Equal(end) {
			end = last.Expires
			margin = max(0, marginOf(end.Sub(now), rand.Float64()))
		}
		rest := time.Second
		switch left := end.Sub(now); {
		case left > margin:
			// Not longer than a minute: timers stand still while a machine sleeps.
			rest = min(left-margin, time.Minute)
		case last.NextAttempt.After(now):
			rest = min(last.NextAttempt.Sub(now), time.Minute)
		default:
			creds, err := chain.RetrieveFor(ctx, margin)
			if err == nil && !creds.CanExpire {
				rest = time.Minute
			}
		}
		t := time.NewTimer(rest)
		select {
		case <-ctx.Done():
			t.Stop()
		case <-t.C:
		}
	}
}

// marginOf is how long before its end a session of this life is renewed. The
// random part keeps pods that started together apart.
func marginOf(life time.Duration, random float64) time.Duration {
	if life < aheadLife {
		return life / 2
	}
	return aheadLeft + time.Duration(random*float64(min(5*time.Minute, life/12)))
}
