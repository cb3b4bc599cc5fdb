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
// roles that nobody has seen before.
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
		if n := s.count("AssumeRole"); n > 4 {
			t.Fatalf("%d requests in the first seconds, want one a second", n)
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
			t.Errorf("%d requests, most of which nobody waited for", n)
		}
	})
}

// Somebody who joins while the last of the others leaves gets a session.
func TestJoiningWhileOthersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		p := s.pool(t, func(o *credentials.PoolOptions) { o.STSRate = 1 })
		roles := s.targets(20)
		var wg sync.WaitGroup
		for _, role := range roles {
			for i := range 50 {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i)*100*time.Millisecond)
					defer cancel()
					if _, err := poolChain(t, p, role).Retrieve(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
				})
				wg.Go(func() {
					time.Sleep(time.Duration(1+i) * 100 * time.Millisecond)
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					if _, err := poolChain(t, p, role).Retrieve(ctx); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		if n := s.count("AssumeRole"); n != len(roles) {
			t.Errorf("%d requests for %d roles", n, len(roles))
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

// Check asks by the same gate, also for a chain that nobody has used.
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
