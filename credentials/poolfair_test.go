package credentials_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// strangers are roles that do not let us in, as some tenant may enter them.
func strangers(n int) []credentials.Role {
	var roles []credentials.Role
	for i := range n {
		roles = append(roles, credentials.Role{ARN: fmt.Sprintf("arn:aws:iam::%012d:role/stranger", i)})
	}
	return roles
}

// Somebody who waits for a role that works does not wait behind a long list of
// roles that were never used before.
func TestRolesThatWorkGoBeforeStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		p := s.pool(t, func(o *credentials.PoolOptions) { o.STSRate = 1 })
		good := poolChain(t, p, s.targets(1)[0])
		if _, err := good.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		var wg sync.WaitGroup
		for _, role := range strangers(300) {
			wg.Go(func() {
				if _, err := poolChain(t, p, role).Retrieve(t.Context()); !errors.Is(err, credentials.AssumeDenied) {
					t.Errorf("%s: %v", role.ARN, err)
				}
			})
		}
		synctest.Wait()
		before := time.Now()
		if _, err := good.Retrieve(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(before); took > 5*time.Second {
			t.Errorf("waited %v", took)
		}
		wg.Wait()
	})
}

// Callers who come and go leave no requests behind, and who comes later is none
// the worse for it.
func TestNobodyWaitsNothingIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		p := s.pool(t, func(o *credentials.PoolOptions) { o.STSRate = 1 })
		target := s.targets(1)[0]
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		for _, role := range append(strangers(1000), target) {
			wg.Go(func() { _, _ = poolChain(t, p, role).Retrieve(ctx) }) // some were denied, most left
		}
		wg.Wait()
		synctest.Wait()
		if n := s.count("AssumeRole"); n > 4 {
			t.Fatalf("%d requests in the first seconds, want one a second", n)
		}
		for c := range p.All() {
			if h := c.Status().Hops[1]; h.Err != nil && !errors.Is(h.Err, credentials.AssumeDenied) {
				t.Fatalf("leaving is remembered as a failure: %+v", h)
			}
		}
		before := time.Now()
		if _, err := poolChain(t, p, target).Retrieve(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(before); took > 3*time.Second {
			t.Errorf("waited %v behind those who had left", took)
		}
		time.Sleep(time.Hour)
		if n := s.count("AssumeRole"); n > 6 {
			t.Errorf("%d requests, most of which no caller waited for", n)
		}
	})
}

// Somebody who comes in the moment in which the last of the others leaves gets a
// session, and each role costs one request.
func TestJoiningWhileOthersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		p, roles := s.pool(t, func(o *credentials.PoolOptions) { o.STSRate = 1 }), s.targets(300)
		var wg sync.WaitGroup
		for _, role := range roles {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer cancel()
				c := poolChain(t, p, role)
				if _, err := c.Retrieve(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				if _, err := c.Retrieve(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := s.count("AssumeRole"); n != len(roles) {
			t.Errorf("%d requests for %d roles", n, len(roles))
		}
	})
}

// Those who have left before their request could even queue, since the hub's was
// in flight, leave none behind either.
func TestLeavingBeforeTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		p := s.pool(t)
		s.cloud.Fault(awstest.Fault{Operation: "AssumeRoleWithWebIdentity", Delay: 5 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for _, role := range strangers(100) {
			wg.Go(func() {
				if _, err := poolChain(t, p, role).Retrieve(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Minute)
		if n := s.count("AssumeRole"); n != 0 {
			t.Errorf("%d requests that no caller waited for", n)
		}
	})
}

// A check that is cancelled in the moment of its turn keeps no place.
func TestCancelledCheckKeepsNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		p := s.pool(t, func(o *credentials.PoolOptions) { o.STSRate, o.STSConcurrency = 1, 1 })
		c := poolChain(t, p, s.targets(1)[0])
		if _, err := c.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			c.Check(ctx)
			cancel()
		}
		creds, err := c.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.Invalidate(creds.AccessKeyID)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := c.Retrieve(ctx); err != nil {
			t.Error(err)
		}
	})
}

// A session of the hub that is refused is renewed before all that queue, and they
// are signed with the new one.
func TestTheHubGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		p, roles := s.pool(t, func(o *credentials.PoolOptions) { o.STSRate = 10 }), s.targets(200)
		if err := p.Warm(t.Context(), roles, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		var wg sync.WaitGroup
		for _, role := range roles {
			wg.Go(func() {
				if _, err := poolChain(t, p, role).Retrieve(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(5 * time.Second)
		s.hub.RevokeSessions()
		wg.Wait()
		refused := 0
		for _, call := range s.cloud.Calls() {
			if call.Code == "ExpiredToken" || call.Code == "ExpiredTokenException" {
				refused++
			}
		}
		if refused < 1 || refused > 3 {
			t.Errorf("%d requests were signed with the dead session, want one or two", refused)
		}
	})
}

// A client that does not look at its context keeps its place for the time of an
// attempt, and not for ever.
func TestHungRequestGivesItsPlaceUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		base, release := s.cloud.Config(), make(chan struct{})
		inner, roles := base.HTTPClient, s.targets(2)
		base.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			if strings.Contains(string(body), url.QueryEscape(roles[0].ARN)) {
				<-release
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			return inner.Do(r)
		})
		p, err := credentials.NewPool(base, func(o *credentials.PoolOptions) { o.Source, o.STSConcurrency = s.web(), 1 })
		if err != nil {
			t.Fatal(err)
		}
		go poolChain(t, p, roles[0]).Retrieve(t.Context())
		synctest.Wait()
		before := time.Now()
		if _, err := poolChain(t, p, roles[1]).Retrieve(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(before); took > 11*time.Second {
			t.Errorf("waited %v for a place", took)
		}
		close(release)
		time.Sleep(time.Minute) // the hung one's flight ends
	})
}

// However few requests a second: they are few.
func TestVerySlowRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		p := s.pool(t, func(o *credentials.PoolOptions) { o.STSRate = 1e-300 })
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := poolChain(t, p, s.targets(1)[0]).Retrieve(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if n := len(s.cloud.Calls()); n != 1 {
			t.Errorf("%d requests within an hour, want one", n)
		}
	})
}

// Check waits for the same limiter, also for a chain that was never used.
func TestCheckOfAPoolsChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		c := poolChain(t, s.pool(t, func(o *credentials.PoolOptions) { o.STSRate = 1 }), s.targets(1)[0])
		before := time.Now()
		if report := c.Check(t.Context()); !report.Healthy() {
			t.Errorf("got\n%s", report)
		}
		if took := time.Since(before); took != 990*time.Millisecond && took != time.Second {
			t.Errorf("two requests took %v at one a second", took)
		}
	})
}
