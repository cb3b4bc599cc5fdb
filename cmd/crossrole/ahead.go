package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// The clients' SDKs renew some time before the end, most of them at 15 minutes:
// a session that they are handed should have more than that left.
const (
	aheadLeft = 20 * time.Minute
	aheadLife = 29 * time.Minute // of a shorter session more than two thirds would be thrown away
)

// keep renews the role's sessions until ctx ends, whether somebody asks or not.
func (s *served) keep(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { _ = s.chain.KeepFresh(ctx) }) // nil when ctx ends, and nothing else
	s.keepAhead(ctx)
	both.Wait()
}

// keepAhead renews earlier than the chain itself would. The chain's Status, its
// log and its events tell of failures; they cost nothing while the session is
// valid.
func (s *served) keepAhead(ctx context.Context) {
	var end time.Time
	var margin time.Duration
	for ctx.Err() == nil {
		now := time.Now()
		hops := s.chain.Status().Hops
		last := hops[len(hops)-1]
		if !last.Expires.Equal(end) {
			end = last.Expires
			margin = marginOf(end.Sub(now), rand.Float64())
		}
		rest := time.Second
		switch left := end.Sub(now); {
		case left > margin:
			// Not longer than a minute: timers stand still while a machine sleeps.
			rest = min(left-margin, time.Minute)
		case last.NextAttempt.After(now):
			rest = min(last.NextAttempt.Sub(now), time.Minute)
		default:
			creds, err := s.chain.RetrieveFor(ctx, margin)
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
