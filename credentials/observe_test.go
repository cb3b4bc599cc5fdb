package credentials_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// took are the durations of the events of one type at one hop.
func (j *journal) took(want credentials.EventType, hop int) []time.Duration {
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []time.Duration
	for _, e := range j.events {
		if e.Type == want && e.Hop == hop {
			list = append(list, e.Duration)
		}
	}
	return list
}

func TestEventsTellTheLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		var j journal
		chain := s.hubChain(t, j.options)
		s.cloud.Fault(awstest.Fault{Operation: "AssumeRoleWithWebIdentity", Delay: 3 * time.Second})
		// Two answers that are worth another attempt: the pauses are not latency.
		s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Times: 2, Delay: time.Second, Status: 503, Code: "ServiceUnavailable"})
		remove := s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Delay: 2 * time.Second})
		creds, err := chain.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		remove()
		s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Delay: 4 * time.Second, Status: 403, Code: "AccessDenied"})
		chain.Invalidate(creds.AccessKeyID)
		if _, err := chain.Retrieve(t.Context()); err == nil {
			t.Fatal("no error")
		}
		// A token that is not there: nothing is asked, nothing took time.
		s.pod.Mount(nil)
		s.hub.RevokeSessions()
		empty := newChain(t, s.cloud.Config(), j.options, func(o *credentials.Options) { o.Source = s.web() })
		if _, err := empty.Retrieve(t.Context()); err == nil {
			t.Fatal("no error without a token")
		}
		synctest.Wait()
		for _, tt := range []struct {
			event credentials.EventType
			hop   int
			want  []time.Duration
		}{
			{credentials.Refreshed, 1, []time.Duration{3 * time.Second}},
			{credentials.Refreshed, 2, []time.Duration{2 * time.Second}},
			{credentials.RefreshFailed, 2, []time.Duration{4 * time.Second}},
			{credentials.Invalidated, 2, []time.Duration{0}},
			{credentials.RefreshFailed, 1, []time.Duration{0}},
		} {
			if got := j.took(tt.event, tt.hop); !slices.Equal(got, tt.want) {
				t.Errorf("%s of hop %d took %v, want %v", tt.event, tt.hop, got, tt.want)
			}
		}
	})
}

func TestStatusTellsWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Delay: time.Second})
		chain := s.hubChain(t)
		waiting := func(want ...int) {
			t.Helper()
			synctest.Wait()
			var got []int
			for _, hop := range chain.Status().Hops {
				got = append(got, hop.Waiting)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%v callers wait at the hops, want %v", got, want)
			}
		}
		waiting(0, 0)
		var callers sync.WaitGroup
		for range 7 {
			callers.Go(func() { chain.Retrieve(t.Context()) })
		}
		waiting(0, 7)
		callers.Wait()
		waiting(0, 0)
	})
}

func TestStatusTellsSinceWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		chain := s.hubChain(t)
		since := func(hop int, want time.Time) {
			t.Helper()
			if got := chain.Status().Hops[hop-1].FailingSince; !got.Equal(want) {
				t.Errorf("hop %d fails since %v, want %v", hop, got, want)
			}
		}
		remove := s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Status: 403, Code: "AccessDenied"})
		began := time.Now()
		for range 5 {
			chain.Retrieve(t.Context())
			since(1, time.Time{})
			since(2, began)
			time.Sleep(61 * time.Second)
		}
		remove()
		if _, err := chain.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		since(2, time.Time{})
	})
}
