package credentials_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// Renewals ahead of their time give way to a first use, and wait in the queue
// longer than a refresh may take, without failing.
func TestFirstUseGoesBeforeRenewals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		roles := s.targets(101)
		p := s.pool(t, func(o *credentials.PoolOptions) { o.STSRate = 1 })
		for _, role := range roles[:100] { // their sessions come one a second
			if _, err := poolChain(t, p, role).Retrieve(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(54 * time.Minute) // all of them are due now, and none has ended
		before := time.Now()
		for _, role := range roles[:100] {
			if _, err := poolChain(t, p, role).Retrieve(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(before); took > 0 {
			t.Errorf("valid sessions were waited for: %v", took)
		}
		synctest.Wait()
		if _, err := poolChain(t, p, roles[100]).Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(before); took > 3*time.Second {
			t.Errorf("a first use waited %v behind renewals", took)
		}
		time.Sleep(2 * time.Minute)
		for i, role := range roles {
			if h := poolChain(t, p, role).Status().Hops[1]; h.Err != nil || time.Until(h.Expires) < 50*time.Minute {
				t.Errorf("%d: not renewed: %+v", i, h)
			}
		}
	})
}

// A renewal that a caller begins to wait for moves up.
func TestWaitingMovesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		roles := s.targets(60)
		p := s.pool(t, func(o *credentials.PoolOptions) { o.STSRate = 1 })
		for _, role := range roles {
			if _, err := poolChain(t, p, role).Retrieve(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(57 * time.Minute)
		for _, role := range roles {
			if _, err := poolChain(t, p, role).Retrieve(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait() // all are queued
		moved := 0
		for _, role := range roles[50:55] {
			c := poolChain(t, p, role)
			if report := c.Check(t.Context()); !report.Healthy() { // it has a place of its own
				t.Error(report)
			}
			if time.Until(c.Status().Hops[1].Expires) > 50*time.Minute {
				continue // its turn has come
			}
			moved++
			before := time.Now()
			if _, err := c.RetrieveFor(t.Context(), 50*time.Minute); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(before); took > 3*time.Second {
				t.Errorf("waited %v", took)
			}
		}
		if moved < 2 {
			t.Errorf("%d of five were queued still: is this test about anything?", moved)
		}
		time.Sleep(2 * time.Minute)
	})
}

// No more requests are in flight than allowed, and one place is enough for a
// chain of several hops.
func TestConcurrencyIsKept(t *testing.T) {
	for _, most := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t)
			s.cloud.Fault(awstest.Fault{Delay: time.Second})
			p, roles := s.pool(t, func(o *credentials.PoolOptions) { o.STSConcurrency = most }), s.targets(30)
			start := time.Now()
			var wg sync.WaitGroup
			var mu sync.Mutex
			var done []time.Duration
			for _, role := range roles {
				wg.Go(func() {
					if _, err := poolChain(t, p, role).Retrieve(t.Context()); err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					done = append(done, time.Since(start))
				})
			}
			wg.Wait()
			if want := time.Duration(1+len(roles)/most) * time.Second; slices.Max(done) != want {
				t.Errorf("%d at a time: took %v, want %v", most, slices.Max(done), want)
			}
		})
	}
}

// The time that the shared hops queue is no part of the target's, either.
func TestSharedHopsMayQueueLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		middle := s.dev.CreateRole("middle", trust.RolePolicy(s.hub.ARN()).String(), trust.AssumePolicy([]string{"arn:aws:iam::*:role/*"}).String())
		last := s.shared.CreateRole("last", trust.RolePolicy(middle.ARN()).String(), trust.ReadBucketPolicy("pics", "").String())
		p := s.pool(t, func(o *credentials.PoolOptions) {
			o.Roles = []credentials.Role{{ARN: middle.ARN()}}
			o.STSRate, o.Refresh.Timeout = 0.1, 5*time.Second
		})
		before := time.Now()
		if _, err := poolChain(t, p, credentials.Role{ARN: last.ARN()}).Retrieve(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(before); took < 19*time.Second || took > 21*time.Second {
			t.Errorf("took %v, want twenty seconds for three requests", took)
		}
	})
}
