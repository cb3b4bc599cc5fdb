package credentials_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkcredentials "github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// hangs is a client that, once switched on, responds only when released, and does not
// look at contexts.
type hangs struct {
	inner   aws.HTTPClient
	hanging atomic.Bool
	release chan struct{}
}

func (h *hangs) Do(r *http.Request) (*http.Response, error) {
	if h.hanging.Load() {
		<-h.release
		r = r.WithContext(context.WithoutCancel(r.Context()))
	}
	return h.inner.Do(r)
}

// A hop that hangs is named, and not the failure that it had before.
func TestTimeoutIsNotTheFailureBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		client := &hangs{inner: s.cloud.Config().HTTPClient, release: make(chan struct{})}
		base := s.cloud.Config()
		base.HTTPClient = client
		chain := newChain(t, base, credentials.Assume(s.target.ARN()), func(o *credentials.Options) { o.Source = s.web() })
		remove := s.cloud.Fault(awstest.Fault{Operation: "AssumeRoleWithWebIdentity", Status: 403, Code: "AccessDenied"})
		if _, err := chain.Retrieve(t.Context()); !errors.Is(err, credentials.TrustDenied) {
			t.Fatal(err)
		}
		remove()
		client.hanging.Store(true)
		time.Sleep(10 * time.Second)
		_, err := chain.Retrieve(t.Context())
		says(t, err, credentials.RefreshTimeout, "hop 1 of 2", s.hub.ARN())
		close(client.release)
	})
}

// What an abandoned flight brings at last is not learned from: not its token,
// not the server's clock.
func TestAbandonedFlightTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		client := &hangs{inner: s.cloud.Config().HTTPClient, release: make(chan struct{})}
		base := s.cloud.Config()
		base.HTTPClient = client
		var j journal
		chain := newChain(t, base, func(o *credentials.Options) { o.Source = s.web() }, j.options)
		creds, err := chain.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		chain.Invalidate(creds.AccessKeyID)
		client.hanging.Store(true)
		s.pod.Rotate()
		if _, err := chain.Retrieve(t.Context()); !errors.Is(err, credentials.RefreshTimeout) {
			t.Fatal(err)
		}
		close(client.release)
		synctest.Wait()
		j.types()
		s.pod.Rotate()
		if _, err := chain.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got, want := j.types(), []string{"token-rotated 1", "refreshed 1", "recovered 1"}; !slices.Equal(got, want) {
			t.Errorf("events %q, want %q: the token between was of a refresh that was discarded", got, want)
		}
	})
}

// A hop reports that it has recovered if it reported that it failed, and only then.
func TestRecoveredIsTheHopsOwn(t *testing.T) {
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
		try := func() aws.Credentials {
			creds, _ := chain.Retrieve(t.Context())
			time.Sleep(2 * time.Second)
			return creds
		}
		deny := func(operation string) func() {
			return s.cloud.Fault(awstest.Fault{Operation: operation, Status: 403, Code: "AccessDenied"})
		}

		remove := deny("AssumeRoleWithWebIdentity")
		try()
		expect("hop 1 fails", "refresh-failed 1")
		remove()
		creds := try()
		expect("hop 1 is back", "refreshed 1", "recovered 1", "refreshed 2")

		chain.Invalidate(creds.AccessKeyID)
		remove = deny("AssumeRole")
		try()
		expect("hop 2 fails", "invalidated 2", "refresh-failed 2")
		remove()
		s.hub.RevokeSessions()
		remove = deny("AssumeRoleWithWebIdentity")
		try()
		time.Sleep(2 * time.Second)
		try()
		j.types()
		remove()
		time.Sleep(time.Minute)
		try()
		synctest.Wait()
		if got := j.types(); !slices.Contains(got, "recovered 2") {
			t.Errorf("events %q lack that of hop 2, which failed before hop 1 did", got)
		}
	})
}

// Keys without an expiry are asked for at each use, and reported once.
func TestKeysWithoutAnEndAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		keys := atomic.Pointer[sdkcredentials.StaticCredentialsProvider]{}
		use := func(id string) { keys.Store(new(sdkcredentials.NewStaticCredentialsProvider(id, "secret", ""))) }
		use("AKIAONE")
		chain := newChain(t, newScene(t).cloud.Config(), j.options, func(o *credentials.Options) {
			o.Source = credentials.Provider{Credentials: aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) { return keys.Load().Retrieve(ctx) })}
		})
		for _, id := range []string{"AKIAONE", "AKIATWO"} {
			use(id)
			for range 10 {
				if creds, err := chain.Retrieve(t.Context()); err != nil || creds.AccessKeyID != id {
					t.Fatalf("got %s, %v", creds.AccessKeyID, err)
				}
			}
			synctest.Wait()
			if got := j.types(); !slices.Equal(got, []string{"refreshed 1"}) {
				t.Errorf("%s: events %q", id, got)
			}
		}
		if n := strings.Count(j.text(), "session renewed"); n != 2 {
			t.Errorf("the log has %d renewals, want 2", n)
		}
	})
}

// Within the pauses a refused hub session is discarded, but not asked for again
// in the same refresh.
func TestRefusedParentWithinPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		chain := s.hubChain(t)
		remove := s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Status: 403, Code: "AccessDenied"})
		if _, err := chain.Retrieve(t.Context()); !errors.Is(err, credentials.AssumeDenied) {
			t.Fatal(err)
		}
		remove()
		remove = s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Status: 403, Code: "ExpiredToken"})
		before := s.count("AssumeRole")
		for range 3 {
			time.Sleep(5 * time.Second)
			if _, err := chain.Retrieve(t.Context()); !errors.Is(err, credentials.CredentialsExpired) {
				t.Fatal(err)
			}
		}
		if n := s.count("AssumeRole") - before; n != 3 {
			t.Errorf("%d requests in three refreshes after a failure, want one each", n)
		}
		remove()
		s.hub.RevokeSessions()
		time.Sleep(time.Minute)
		if _, err := chain.Retrieve(t.Context()); err != nil {
			t.Errorf("the refused session was kept: %v", err)
		}
	})
}

// An OnEvent that never returns costs events, and not memory.
func TestOnEventThatDoesNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		var j journal
		release := make(chan struct{})
		events := 0
		var last credentials.Event
		chain := s.directChain(t, j.options, func(o *credentials.Options) {
			o.OnEvent = func(e credentials.Event) {
				events, last = events+1, e
				<-release
			}
		})
		var end time.Time
		for range 200 { // two events each
			creds, err := chain.Retrieve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			end = creds.Expires
			go chain.Invalidate(creds.AccessKeyID)
			time.Sleep(time.Second)
		}
		close(release)
		synctest.Wait()
		if events > 101 || last.Type != credentials.Invalidated || !last.Expires.Equal(end) {
			t.Errorf("%d events kept, the last one %+v", events, last)
		}
		if n := strings.Count(j.text(), "OnEvent does not return"); n != 1 {
			t.Errorf("the log reports it %d times, want once", n)
		}
	})
}

// Foreign services may echo what signed a request.
func TestRefusalsMessageIsScrubbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		chain := s.hubChain(t)
		creds, err := chain.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.target.RevokeSessions()
		if _, err := fetch(t.Context(), chain.Config()); err != nil { // one renewal: the next refusal is final
			t.Fatal(err)
		}
		if creds, err = chain.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.cloud.Fault(awstest.Fault{Operation: "GetObject", Status: 400, Code: "ExpiredToken", Message: "expired: " + creds.SessionToken})
		_, err = fetch(t.Context(), chain.Config())
		e, ok := errors.AsType[*credentials.Error](err)
		if !ok || e.Kind != credentials.CredentialsExpired || strings.Contains(e.Message, creds.SessionToken) || !strings.Contains(e.Message, "expired: ") {
			t.Errorf("got %v", e)
		}
	})
}
