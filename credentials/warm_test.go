package credentials_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// At the rate that STS allows no request is throttled, and no time is lost.
func TestWarmKeepsTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, rate = 300, 60
		s := newScene(t)
		s.cloud.Fault(awstest.Fault{Delay: slow})
		p := s.pool(t, func(o *credentials.PoolOptions) { o.STSRate = rate })
		var last credentials.Warmed
		start := time.Now()
		err := p.Warm(t.Context(), s.targets(n), func(w credentials.Warmed) {
			if w.Done != last.Done+1 || w.Total != n || w.Err != nil {
				t.Errorf("%+v after %+v", w, last)
			}
			last = w
		})
		took := time.Since(start)
		if err != nil || last.Done != n {
			t.Fatalf("%d done, %v", last.Done, err)
		}
		if least := time.Duration(n) * time.Second / rate; took < least*95/100 || took > least*11/10 {
			t.Errorf("took %v, the rate alone %v", took, least)
		}
		if calls := len(s.cloud.Calls()); calls != n+1 {
			t.Errorf("%d calls, want %d", calls, n+1)
		}
	})
}

func TestWarmTellsWhatFailed(t *testing.T) {
	s := newScene(t)
	roles := append(s.targets(3), credentials.Role{ARN: "arn:aws:iam::444455556666:role/nobody"}, credentials.Role{ARN: "nonsense"})
	roles = append(roles, roles...)
	failed := map[credentials.Kind]int{}
	err := s.pool(t).Warm(t.Context(), roles, func(w credentials.Warmed) {
		if e, ok := errors.AsType[*credentials.Error](w.Err); ok {
			failed[e.Kind]++
		}
	})
	if err == nil || failed[credentials.AssumeDenied] != 2 || failed[credentials.ConfigInvalid] != 2 {
		t.Errorf("got %v, %v", failed, err)
	}
	if n := s.count("AssumeRole"); n != 4 {
		t.Errorf("%d calls, want one for each role that is one", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.pool(t).Warm(ctx, roles[:3], nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A hostile list is refused before it costs anything; duplicates are one role.
func TestWarmIsBounded(t *testing.T) {
	s := newScene(t)
	p := s.pool(t, func(o *credentials.PoolOptions) { o.MaxChains = 10 })
	roles := s.targets(11)
	if err := p.Warm(t.Context(), roles, nil); !errors.Is(err, credentials.ConfigInvalid) {
		t.Errorf("got %v", err)
	}
	if n := len(s.cloud.Calls()); n != 0 {
		t.Errorf("%d calls", n)
	}
	var long []credentials.Role
	for i := range 1000 {
		long = append(long, roles[:10]...)
		long = append(long, credentials.Role{ARN: fmt.Sprintf("arn:aws:iam::%d:role/x", i)}) // no account has such a number
	}
	failed := 0
	err := p.Warm(t.Context(), long, func(w credentials.Warmed) {
		if w.Err != nil {
			failed++
		}
	})
	if err == nil || failed != 1000 || len(s.cloud.Calls()) != 11 {
		t.Errorf("%d calls, %d failed, %v", len(s.cloud.Calls()), failed, err)
	}
}

// A concurrency without bounds is bounded by the roles.
func TestWarmWithAnyConcurrency(t *testing.T) {
	s := newScene(t)
	p := s.pool(t, func(o *credentials.PoolOptions) { o.STSConcurrency = math.MaxInt })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := p.Warm(ctx, s.targets(3), nil); err != nil {
		t.Error(err)
	}
}

// A panic in progress is Warm's error, and the other roles have their turn.
func TestPanicInProgress(t *testing.T) {
	s := newScene(t)
	p, roles := s.pool(t), s.targets(5)
	err := p.Warm(t.Context(), roles, func(w credentials.Warmed) {
		if w.Done == 2 {
			panic("no terminal")
		}
	})
	if err == nil || !strings.Contains(err.Error(), "panic") || !strings.Contains(err.Error(), "no terminal") {
		t.Errorf("got %v", err)
	}
	if n := s.count("AssumeRole"); n != len(roles) {
		t.Errorf("%d roles had their turn, want %d", n, len(roles))
	}
}

// progress may use the pool, and is called without a lock of the pool's.
func TestProgressMayCallThePool(t *testing.T) {
	s := newScene(t)
	p, roles := s.pool(t), s.targets(5)
	if err := p.Warm(t.Context(), roles, func(w credentials.Warmed) {
		if err := p.Warm(t.Context(), roles, nil); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Error(err)
	}
}
