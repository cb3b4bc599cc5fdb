package credentials_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

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
		// Two responses that are retried: the pauses are not latency.
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

// Whatever hangs, the error, the event and the status name the host that did not
// respond, and no other.
func TestTimeoutsNameTheHost(t *testing.T) {
	for name, patient := range map[string]bool{"the client keeps to its context": true, "the client does not": false} {
		for hop, operation := range []string{"AssumeRoleWithWebIdentity", "AssumeRole"} {
			t.Run(operation+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newScene(t)
					base, release := s.cloud.Config(), make(chan struct{})
					cloud := base.HTTPClient
					base.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
						body, err := io.ReadAll(r.Body)
						if err != nil {
							return nil, err
						}
						r.Body = io.NopCloser(bytes.NewReader(body))
						if !strings.Contains(string(body), "Action="+operation+"&") {
							return cloud.Do(r)
						}
						if patient {
							<-r.Context().Done()
							return nil, r.Context().Err()
						}
						<-release
						return nil, errors.New("too late")
					})
					var j journal
					chain := newChain(t, base, j.options, credentials.Assume(s.target.ARN()), func(o *credentials.Options) { o.Source = s.web() })
					_, err := chain.Retrieve(t.Context())
					const host = "sts.us-east-1.amazonaws.com"
					e, ok := errors.AsType[*credentials.Error](err)
					if !ok || e.Kind != credentials.RefreshTimeout || e.Endpoint != host || e.Hop != hop+1 || !strings.Contains(err.Error(), host) {
						t.Errorf("got %+v", e)
					}
					close(release)
					time.Sleep(time.Second) // timers of the same instant have their turn
					synctest.Wait()
					if h := chain.Status().Hops[hop]; h.Endpoint != host || h.Err == nil || h.Err.Endpoint != host {
						t.Errorf("status %+v", h)
					}
					j.mu.Lock()
					defer j.mu.Unlock()
					if last := j.events[len(j.events)-1]; last.Type != credentials.RefreshFailed || last.Endpoint != host {
						t.Errorf("event %+v", last)
					}
				})
			})
		}
	}
}

// A success names its host, too; a refresh that asked nothing names none.
func TestEndpointsOfAStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		chain := s.hubChain(t)
		for _, h := range chain.Status().Hops {
			if h.Endpoint != "" || h.HasSession {
				t.Errorf("before the first session: %+v", h)
			}
		}
		if _, err := chain.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, h := range chain.Status().Hops {
			if h.Endpoint != "sts.us-east-1.amazonaws.com" || !h.HasSession {
				t.Errorf("with a session: %+v", h)
			}
		}
		blind := newChain(t, s.cloud.Config(), func(o *credentials.Options) {
			w := s.web()
			w.TokenFile += ".none"
			o.Source = w
		})
		_, err := blind.Retrieve(t.Context())
		if e, ok := errors.AsType[*credentials.Error](err); !ok || e.Endpoint != "" || blind.Status().Hops[0].Endpoint != "" {
			t.Errorf("nothing was asked: %+v", e)
		}
	})
}

// "No session yet" and "keys without an expiry" are two things.
func TestHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		healthy := func(what string, c *credentials.Chain, want bool) {
			t.Helper()
			if st := c.Status(); st.Healthy() != want {
				t.Errorf("%s: healthy %v, want %v: %+v", what, !want, want, st)
			}
		}
		if (credentials.Status{}).Healthy() {
			t.Error("the zero Status is healthy")
		}
		chain := s.hubChain(t)
		healthy("before the first call", chain, false)
		creds, err := chain.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		healthy("with a session", chain, true)
		chain.Invalidate(creds.AccessKeyID)
		healthy("after Invalidate", chain, false)
		if _, err := chain.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.cloud.Fault(awstest.Fault{Status: 503, Code: "ServiceUnavailable"})
		time.Sleep(55 * time.Minute)
		chain.Retrieve(t.Context())
		time.Sleep(time.Minute)
		if st := chain.Status(); st.Hops[1].Err == nil {
			t.Errorf("no failed refresh: is this test about anything? %+v", st)
		}
		healthy("while refreshes fail", chain, true)
		time.Sleep(10 * time.Minute)
		healthy("expired", chain, false)

		var down error
		static := newChain(t, s.cloud.Config(), func(o *credentials.Options) {
			o.Source = credentials.Provider{Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "AKIAVAULT", SecretAccessKey: "secret"}, down
			})}
		})
		healthy("keys without an expiry, not asked for yet", static, false)
		for range 2 {
			if _, err := static.Retrieve(t.Context()); err != nil {
				t.Fatal(err)
			}
			healthy("keys without an expiry", static, true)
			time.Sleep(48 * time.Hour)
		}
		if h := static.Status().Hops[0]; !h.HasSession || !h.Expires.IsZero() {
			t.Errorf("got %+v", h)
		}
		down = errors.New("sealed")
		static.Retrieve(t.Context())
		healthy("keys that are not to be had any more", static, false)
	})
}

// A Status is JSON as it is.
func TestStatusAsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Status: 403, Code: "AccessDenied"})
		s.cloud.Fault(awstest.Fault{ServerClock: -10 * time.Minute})
		chain := s.hubChain(t)
		if _, err := chain.Retrieve(t.Context()); err == nil {
			t.Fatal("no error")
		}
		b, err := json.Marshal(chain.Status())
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Source string
			Hops   []map[string]any
		}
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if got.Source != "web identity" || len(got.Hops) != 2 {
			t.Fatalf("got %s", b)
		}
		first, second := got.Hops[0], got.Hops[1]
		if first["has_session"] != true || first["endpoint"] != "sts.us-east-1.amazonaws.com" || first["skew_nanoseconds"] != float64(10*time.Minute) || first["error"] != nil {
			t.Errorf("hop 1: %v", first)
		}
		if text, _ := second["error"].(string); second["has_session"] != false || second["expires"] != nil || second["next_attempt"] == nil || !strings.Contains(text, "AssumeDenied") {
			t.Errorf("hop 2: %v", second)
		}
	})
}

// The clock that is off is ahead or behind, in the log, the status and the report.
func TestSkewIsAheadOrBehind(t *testing.T) {
	for _, tt := range []struct {
		server time.Duration
		want   string
	}{
		{-2 * time.Hour, "2h0m0s ahead"}, {2 * time.Hour, "2h0m0s behind"}, {-6 * time.Minute, "6m0s ahead"}, {-4 * time.Minute, ""}, {0, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t)
			time.Sleep(3 * time.Hour)
			s.cloud.Fault(awstest.Fault{ServerClock: tt.server})
			var j journal
			chain := s.directChain(t, j.options)
			if _, err := chain.Retrieve(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := chain.Status().Hops[0].Skew; got != -tt.server {
				t.Errorf("server %v: skew %v", tt.server, got)
			}
			report := chain.Check(t.Context()).String()
			synctest.Wait()
			for what, text := range map[string]string{"log": j.text(), "report": report} {
				noted := (strings.Contains(text, "the local clock is ") || strings.Contains(text, "the local clock differs"))
				if noted != (tt.want != "") || !strings.Contains(text, tt.want) {
					t.Errorf("server %v: the %s has %q", tt.server, what, text)
				}
			}
		})
	}
}

// What is said of an expired token is by the clocks of AWS and the issuer; the file's
// own time, by the clock of the machine, is not mixed in.
func TestExpiredTokenHasOneClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		chain := s.directChain(t)
		creds, err := chain.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		issued, expires := time.Now().UTC(), time.Now().Add(24*time.Hour).UTC()
		time.Sleep(30 * time.Hour)
		chain.Invalidate(creds.AccessKeyID)
		_, err = chain.Retrieve(t.Context())
		says(t, err, credentials.TokenExpired, "was issued at "+issued.Format(time.RFC3339), "expired at "+expires.Format(time.RFC3339), "by the clock of AWS")
		if strings.Contains(err.Error(), "written") {
			t.Errorf("a third clock: %v", err)
		}
	})
}
