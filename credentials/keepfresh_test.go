package credentials_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
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
		if n := len(s.cloud.Calls()) - calls; n > 10*3600/48+10 {
			t.Errorf("%d requests in a ten-hour outage, want them at least 48 seconds apart", n)
		}
		remove()
		time.Sleep(time.Minute + time.Second)
		before := len(s.cloud.Calls())
		if _, err := chain.Retrieve(t.Context()); err != nil || len(s.cloud.Calls()) != before {
			t.Errorf("a minute after the outage: %v, %d requests; want a session that is there", err, len(s.cloud.Calls())-before)
		}
	})
}

func TestRetrieveFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		chain := s.hubChain(t)
		ask := func(d time.Duration) time.Duration {
			t.Helper()
			creds, err := chain.RetrieveFor(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			if left := time.Until(creds.Expires); left < d {
				t.Errorf("asked for %v, got %v", d, left)
			}
			return time.Until(creds.Expires)
		}
		ask(30 * time.Minute)
		time.Sleep(20 * time.Minute)
		ask(30 * time.Minute)
		if n := s.count("AssumeRole"); n != 1 {
			t.Errorf("%d sessions although the first was long enough", n)
		}
		time.Sleep(25 * time.Minute)
		sessions := s.count("AssumeRole")
		ask(50 * time.Minute)
		if n := s.count("AssumeRole"); n != sessions+1 {
			t.Errorf("%d more sessions, want one", n-sessions)
		}
		for _, d := range []time.Duration{2 * time.Hour, time.Hour} {
			if _, err := chain.RetrieveFor(t.Context(), d); !errors.Is(err, credentials.ConfigInvalid) {
				t.Errorf("%v of a session of an hour: %v, want %v", d, err, credentials.ConfigInvalid)
			}
		}
		if n := s.count("AssumeRole"); n > sessions+2 {
			t.Errorf("%d more sessions for what no session can give", n-sessions-1)
		}
	})
}

func TestRetrieveForFollowsTheRoleDuration(t *testing.T) {
	s := newScene(t)
	chain := s.hubChain(t, func(o *credentials.Options) { o.Roles[0].Duration = 15 * time.Minute })
	if _, err := chain.RetrieveFor(t.Context(), 16*time.Minute); !errors.Is(err, credentials.ConfigInvalid) {
		t.Errorf("got %v, want %v", err, credentials.ConfigInvalid)
	}
	if n := len(s.cloud.Calls()); n != 0 {
		t.Errorf("%d requests for what the role can never give", n)
	}
}
