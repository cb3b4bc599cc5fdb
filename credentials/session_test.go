package credentials_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// slow makes every response of STS take a while.
const slow = 80 * time.Millisecond

func TestCallersNeverWaitAfterTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.cloud.Fault(awstest.Fault{Delay: slow})
		chain := s.hubChain(t)
		if _, err := chain.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		var waited atomic.Int64
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				for range 6 * 60 * 6 { // six hours, every ten seconds
					time.Sleep(10 * time.Second)
					before := time.Now()
					if _, err := chain.Retrieve(t.Context()); err != nil {
						t.Error(err)
					}
					if time.Since(before) > 0 {
						waited.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if n := waited.Load(); n > 0 {
			t.Errorf("%d calls waited although a session was valid", n)
		}
		if n := s.count("AssumeRole"); n < 6 || n > 12 {
			t.Errorf("%d refreshes in six hours, want about seven", n)
		}
	})
}

func TestOutageIsNotSeenWhileTheSessionIsValid(t *testing.T) {
	for _, route := range []string{"direct", "hub"} {
		t.Run(route, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				chain := s.hubChain(t)
				if route == "direct" {
					chain = s.directChain(t)
				}
				creds, err := chain.Retrieve(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				s.cloud.Fault(awstest.Fault{Status: 503, Code: "ServiceUnavailable"})
				for time.Now().Before(creds.Expires) {
					before := time.Now()
					if _, err := chain.Retrieve(t.Context()); err != nil {
						t.Fatalf("%v before its end: %v", time.Until(creds.Expires), err)
					}
					if took := time.Since(before); took > 2*time.Second {
						t.Fatalf("%v before its end a call waited %v", time.Until(creds.Expires), took)
					}
					time.Sleep(time.Second)
				}
				_, err = chain.Retrieve(t.Context())
				if !errors.Is(err, credentials.STSUnreachable) {
					t.Fatalf("after the end: %v, want %v", err, credentials.STSUnreachable)
				}
				e, _ := errors.AsType[*credentials.Error](err)
				if e.Hop != 1 || !e.NextAttempt.After(time.Now()) {
					t.Errorf("hop %d, next attempt %v; want hop 1 and a time to come", e.Hop, e.NextAttempt)
				}
			})
		})
	}
}

// An outage without a session: callers get the remembered error at once, and
// STS a few requests.
func TestOutageCostsFewCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		remove := s.cloud.Fault(awstest.Fault{Status: 503, Code: "ServiceUnavailable"})
		chain := s.hubChain(t)
		for range 5 * 60 * 100 {
			if _, err := chain.Retrieve(t.Context()); err == nil {
				t.Fatal("a session although STS is down")
			}
			time.Sleep(10 * time.Millisecond)
		}
		// Half a minute with pauses of 2.5 s on average, then at least 16 s.
		if n := len(s.cloud.Calls()); n > 50 {
			t.Errorf("%d STS requests in five minutes, want at most 50", n)
		}
		remove()
		time.Sleep(20 * time.Second)
		if _, err := chain.Retrieve(t.Context()); err != nil {
			t.Errorf("20 seconds after the outage: %v", err)
		}
	})
}

func TestHungSTSIsAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		remove := s.cloud.Fault(awstest.Fault{Hang: true})
		chain := s.hubChain(t)
		before := time.Now()
		_, err := chain.Retrieve(t.Context())
		if took := time.Since(before); took > 30*time.Second {
			t.Errorf("a caller without a deadline waited %v", took)
		}
		if !errors.Is(err, credentials.RefreshTimeout) {
			t.Errorf("got %v, want %v", err, credentials.RefreshTimeout)
		}
		if e, ok := errors.AsType[*credentials.Error](err); !ok || e.Hop != 1 || e.RoleARN != s.hub.ARN() {
			t.Errorf("the error names another hop than the one that hangs: %v", err)
		}
		remove()
		time.Sleep(2 * time.Second)
		if _, err := chain.Retrieve(t.Context()); err != nil {
			t.Errorf("the next caller: %v", err)
		}
	})
}

func TestOneCallersContextDoesNotFailTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.cloud.Fault(awstest.Fault{Delay: time.Second})
		chain := s.hubChain(t)
		ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("impatient"))
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := chain.Retrieve(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the leader got %v, want its own deadline", err)
			}
		})
		synctest.Wait() // the leader has started the flight
		for range 20 {
			wg.Go(func() {
				if _, err := chain.Retrieve(t.Context()); err != nil {
					t.Errorf("a follower got %v", err)
				}
			})
		}
		wg.Wait()
		if web, assume := s.count("AssumeRoleWithWebIdentity"), s.count("AssumeRole"); web != 1 || assume != 1 {
			t.Errorf("%d + %d calls, want 1 + 1", web, assume)
		}
		canceled, cancelNow := context.WithCancel(t.Context())
		cancelNow()
		if _, err := chain.Retrieve(canceled); err != nil {
			t.Errorf("a valid session needs no patience: %v", err)
		}
	})
}

func TestAllLeaveAndTheWorkIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.cloud.Fault(awstest.Fault{Delay: time.Second})
		chain := s.hubChain(t)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(1500*time.Millisecond, cancel) // between hop 1 and hop 2
		if _, err := chain.Retrieve(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want context.Canceled", err)
		}
		time.Sleep(time.Second)
		before := time.Now()
		if _, err := chain.Retrieve(t.Context()); err != nil || time.Since(before) > 0 {
			t.Errorf("%v after %v; the session should be there", err, time.Since(before))
		}
		if n := len(s.cloud.Calls()); n != 2 {
			t.Errorf("%d STS requests, want 2", n)
		}
	})
}

// A refresh of hop 2 leaves hop 1 alone while that is fresh.
func TestParentIsRenewedOnlyWhenDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.hub.SetMaxSessionDuration(12 * time.Hour)
		chain := s.hubChain(t, func(o *credentials.Options) {
			w := s.web()
			w.Duration = 12 * time.Hour
			o.Source = w
			o.Roles[0].Duration = 15 * time.Minute
		})
		first := time.Now()
		for time.Since(first) < 30*time.Minute {
			if _, err := chain.Retrieve(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
		}
		if web, assume := s.count("AssumeRoleWithWebIdentity"), s.count("AssumeRole"); web > 1 || assume < 2 {
			t.Errorf("%d + %d calls in half an hour, want 1 + at least 2", web, assume)
		}
	})
}

func TestInvalidate(t *testing.T) {
	s := newScene(t)
	chain := s.hubChain(t)
	first, err := chain.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	chain.Invalidate("ASIASOMEOTHERKEY")
	if again, _ := chain.Retrieve(t.Context()); again.AccessKeyID != first.AccessKeyID {
		t.Error("another key's report cost the session")
	}
	chain.Invalidate(first.AccessKeyID)
	second, err := chain.Retrieve(t.Context())
	if err != nil || second.AccessKeyID == first.AccessKeyID {
		t.Errorf("key %s after Invalidate, %v; want another one", second.AccessKeyID, err)
	}
	chain.Invalidate(first.AccessKeyID) // late
	if third, _ := chain.Retrieve(t.Context()); third.AccessKeyID != second.AccessKeyID {
		t.Error("a late report about the old key cost the new one")
	}
	s.cloud.Fault(awstest.Fault{Status: 403, Code: "AccessDenied"})
	chain.Invalidate(second.AccessKeyID)
	if _, err := chain.Retrieve(t.Context()); !errors.Is(err, credentials.AssumeDenied) {
		t.Errorf("after Invalidate a failed refresh is an error; got %v", err)
	}
}
