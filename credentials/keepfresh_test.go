package credentials_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
)

func TestKeepFreshWorksWhileNobodyAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.cloud.Fault(awstest.Fault{Delay: slow})
		chain := s.hubChain(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- chain.KeepFresh(ctx) }()
		time.Sleep(12 * time.Hour)
		before := time.Now()
		if _, err := chain.Retrieve(t.Context()); err != nil || time.Since(before) > 0 {
			t.Errorf("after a quiet night: %v, %v", time.Since(before), err)
		}
		if n := s.count("AssumeRole"); n < 12 || n > 20 {
			t.Errorf("%d refreshes in twelve hours, want about fourteen", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("KeepFresh ended with %v, want nil", err)
		}
	})
}

func TestKeepFreshOutlivesAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		chain := s.hubChain(t)
		go chain.KeepFresh(t.Context())
		time.Sleep(time.Minute)
		remove := s.cloud.Fault(awstest.Fault{Status: 503, Code: "ServiceUnavailable"})
		calls := len(s.cloud.Calls())
		time.Sleep(10 * time.Hour)
		if n := len(s.cloud.Calls()) - calls; n > 10*3600/16+10 {
			t.Errorf("%d requests in a ten-hour outage, want them at least 16 seconds apart", n)
		}
		remove()
		time.Sleep(21 * time.Second)
		before := len(s.cloud.Calls())
		if _, err := chain.Retrieve(t.Context()); err != nil || len(s.cloud.Calls()) != before {
			t.Errorf("20 seconds after the outage: %v, %d requests; want a session that is there", err, len(s.cloud.Calls())-before)
		}
	})
}
