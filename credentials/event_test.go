package credentials_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// journal collects the events and log lines of a chain.
type journal struct {
	mu     sync.Mutex
	events []credentials.Event
	log    bytes.Buffer
}

func (j *journal) options(o *credentials.Options) {
	o.Logger = slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.OnEvent = func(e credentials.Event) {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.events = append(j.events, e)
	}
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log.Write(p)
}

// types are the events since the last call, as "type hop".
func (j *journal) types() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []string
	for _, e := range j.events {
		list = append(list, string(e.Type)+" "+string(rune('0'+e.Hop)))
	}
	j.events = nil
	return list
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log.String()
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		var j journal
		chain := s.hubChain(t, j.options)
		expect := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			if got := j.types(); !slices.Equal(got, want) {
				t.Errorf("%s: events %q, want %q", what, got, want)
			}
		}
		creds, err := chain.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		expect("first", "refreshed 1", "refreshed 2")

		chain.Invalidate(creds.AccessKeyID)
		expect("invalidate", "invalidated 2")
		remove := s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Status: 403, Code: "AccessDenied"})
		for range 3 {
			chain.Retrieve(t.Context())
			time.Sleep(61 * time.Second)
		}
		expect("refused", "refresh-failed 2", "refresh-failed 2", "refresh-failed 2")
		if n := strings.Count(j.text(), "refresh failed"); n != 1 {
			t.Errorf("the log has %d failures of one outage, want the first:\n%s", n, j.text())
		}
		remove()
		chain.Retrieve(t.Context())
		expect("again", "refreshed 2", "recovered 2")

		s.pod.Rotate()
		time.Sleep(3 * time.Hour)
		chain.Retrieve(t.Context())
		expect("rotated", "token-rotated 1", "refreshed 1", "refreshed 2")

		green := s.cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/GREEN")
		s.dev.AddOIDCProvider(green)
		s.hub.SetTrust(trust.WebIdentityPolicy(s.dev.ID(), []string{s.blue.Issuer(), green.Issuer()},
			[]string{awstest.Subject("default", "s3-shared-content")}).String())
		s.pod.Move(green)
		time.Sleep(3 * time.Hour)
		if _, err := chain.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect("moved", "token-rotated 1", "issuer-changed 1", "refreshed 1", "refreshed 2")
		if n := strings.Count(j.text(), "another cluster"); n != 1 {
			t.Errorf("the log reports the move %d times, want once", n)
		}
	})
}

// What hop 2 sends does not depend on the cluster.
func TestHubRequestIsTheSameFromBlueAndGreen(t *testing.T) {
	s := newScene(t)
	green := s.cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/GREEN")
	s.dev.AddOIDCProvider(green)
	s.hub.SetTrust(trust.WebIdentityPolicy(s.dev.ID(), []string{s.blue.Issuer(), green.Issuer()},
		[]string{awstest.Subject("default", "s3-shared-content")}).String())
	hub, direct := s.hubChain(t), s.directChain(t)
	for _, c := range []*credentials.Chain{hub, direct} {
		if _, err := c.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.pod.Move(green)
	for _, hop := range []*credentials.Chain{hub, direct} {
		creds, _ := hop.Retrieve(t.Context())
		hop.Invalidate(creds.AccessKeyID)
	}
	s.hub.RevokeSessions()
	if _, err := hub.Retrieve(t.Context()); err != nil {
		t.Fatalf("hub route on green: %v", err)
	}
	var sent []string
	for _, c := range s.cloud.Calls() {
		if c.Operation == "AssumeRole" && c.Status == http.StatusOK {
			sent = append(sent, c.Params["RoleArn"]+" "+c.Params["RoleSessionName"]+" "+c.Params["DurationSeconds"])
		}
	}
	if len(sent) != 2 || sent[0] != sent[1] {
		t.Errorf("hop 2 sent %q, want the same twice", sent)
	}
	_, err := direct.Retrieve(t.Context())
	if !errors.Is(err, credentials.OIDCProviderMissing) || !strings.Contains(err.Error(), green.Issuer()) || !strings.Contains(err.Error(), s.shared.ID()) {
		t.Errorf("direct route on green: %v; want %v with issuer and account", err, credentials.OIDCProviderMissing)
	}
	s.shared.AddOIDCProvider(green)
	policy := trust.WebIdentityPolicy(s.shared.ID(), []string{green.Issuer()}, []string{awstest.Subject("default", "s3-shared-content")})
	s.target.SetTrust(policy.String())
	e, _ := errors.AsType[*credentials.Error](err)
	if wait := time.Until(e.NextAttempt); wait > time.Second {
		t.Errorf("the first pause is %v", wait)
	}
}

func TestPanicsBecomeErrors(t *testing.T) {
	s := newScene(t)
	base := s.cloud.Config()
	base.HTTPClient = doFunc(func(*http.Request) (*http.Response, error) { panic("boom") })
	var j journal
	chain := newChain(t, base, j.options, func(o *credentials.Options) { o.Source = s.web() })
	if _, err := chain.Retrieve(t.Context()); !errors.Is(err, credentials.Unknown) || !strings.Contains(err.Error(), "boom") {
		t.Errorf("got %v", err)
	}
	chain = s.hubChain(t, j.options, func(o *credentials.Options) {
		o.OnEvent = func(credentials.Event) { panic("bang") }
	})
	if _, err := chain.Retrieve(t.Context()); err != nil {
		t.Errorf("a panic in OnEvent cost the session: %v", err)
	}
}
