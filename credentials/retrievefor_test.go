package credentials_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

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
		sessions = s.count("AssumeRole")
		for _, d := range []time.Duration{2 * time.Hour, time.Hour, time.Hour, time.Hour} {
			if _, err := chain.RetrieveFor(t.Context(), d); !errors.Is(err, credentials.ConfigInvalid) {
				t.Errorf("%v of a session of an hour: %v, want %v", d, err, credentials.ConfigInvalid)
			}
		}
		if n := s.count("AssumeRole"); n != sessions {
			t.Errorf("%d more sessions for what no session can give", n-sessions)
		}
		ask(time.Hour - time.Second)
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

// STS gives less than the role asks for: the wish costs a session once in a
// while, not at each call.
func TestRetrieveForRemembersWhatItGot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		soon := time.Now().Add(20 * time.Minute)
		remove := s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Expiration: &soon})
		chain := s.hubChain(t)
		wish := func() error {
			_, err := chain.RetrieveFor(t.Context(), 30*time.Minute)
			return err
		}
		for range 50 {
			if err := wish(); !errors.Is(err, credentials.ConfigInvalid) {
				t.Fatalf("got %v, want %v", err, credentials.ConfigInvalid)
			}
		}
		if n := s.count("AssumeRole"); n != 1 {
			t.Errorf("%d sessions for 50 wishes, want 1", n)
		}
		remove()
		time.Sleep(61 * time.Second)
		if err := wish(); err != nil {
			t.Errorf("a minute later: %v", err)
		}
	})
}
