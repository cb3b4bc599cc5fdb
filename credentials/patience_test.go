package credentials_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// A pod starts on a fresh node where something is a few seconds late: its first session
// waits for it.
func TestFirstSessionIsPatient(t *testing.T) {
	const late = 8 * time.Second
	noSuchHost := func(r *http.Request) (*http.Response, error) {
		return nil, &net.DNSError{Err: "no such host", Name: r.URL.Hostname(), IsNotFound: true}
	}
	for _, tt := range []struct {
		name string
		fail func(*http.Request) (*http.Response, error)
	}{
		{"refused", refuses},
		{"hangs", never},
		{"no such host", noSuchHost},
		{"503", replies(503, "ServiceUnavailable", "")},
		{"throttled", replies(400, "Throttling", "Rate exceeded")},
		{"issuer keys", replies(400, "InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider")},
		{"issuer down", replies(400, "IDPCommunicationError", "")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				chain, client := newScene(t).abroad(t)
				client.set(home, tt.fail)
				time.AfterFunc(late, func() { client.set(home, nil) })
				start := time.Now()
				_, err := chain.Retrieve(t.Context())
				check(t, err)
				if took := time.Since(start); took < late || took > 2*late+time.Second {
					t.Errorf("took %v for what was %v late", took, late)
				}
			})
		})
	}
	t.Run("token file", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t)
			token, err := os.ReadFile(s.pod.TokenFile())
			check(t, err)
			path := t.TempDir() + "/token"
			chain := s.hubChain(t, func(o *credentials.Options) {
				o.Source = credentials.WebIdentity{RoleARN: s.hub.ARN(), TokenFile: path}
			})
			time.AfterFunc(late, func() { write(t, path, string(token)) })
			_, err = chain.Retrieve(t.Context())
			check(t, err)
		})
	})
}

// A node agent that is late is waited for, too.
func TestFirstSessionWaitsForTheAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		agent, base, source := s.withAgent(t)
		start := time.Now()
		inner := base.HTTPClient
		base.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
			if time.Since(start) < 8*time.Second {
				return refuses(r)
			}
			return inner.Do(r)
		})
		chain := newChain(t, base, credentials.Assume(s.target.ARN()), func(o *credentials.Options) { o.Source = source })
		_, err := chain.Retrieve(t.Context())
		check(t, err)
		if len(agent.asked) != 1 {
			t.Errorf("the agent was asked %d times, want once", len(agent.asked))
		}
	})
}

// What never passes by itself ends the first session immediately.
func TestFirstSessionEndsAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name string
		fail func(*http.Request) (*http.Response, error)
		kind credentials.Kind
	}{
		{"denied", replies(403, "AccessDenied", "no"), credentials.TrustDenied},
		{"no provider", replies(400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account"), credentials.OIDCProviderMissing},
		{"audience", replies(400, "InvalidIdentityToken", "Incorrect token audience"), credentials.AudienceMismatch},
		{"too long", replies(400, "ValidationError", "exceeds the MaxSessionDuration"), credentials.DurationTooLong},
		{"a proxy's page", func(*http.Request) (*http.Response, error) { return answer(403, "text/html", "<html>blocked"), nil }, credentials.STSUnreachable},
		{"another CA", func(*http.Request) (*http.Response, error) { return nil, x509.UnknownAuthorityError{} }, credentials.STSUnreachable},
		{"another host", func(*http.Request) (*http.Response, error) {
			return nil, x509.HostnameError{Certificate: &x509.Certificate{}, Host: home}
		}, credentials.STSUnreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				chain, client := newScene(t).abroad(t)
				client.set(home, tt.fail)
				start := time.Now()
				_, err := chain.Retrieve(t.Context())
				if !errors.Is(err, tt.kind) || time.Since(start) > 0 || len(client.hosts()) != 1 {
					t.Errorf("got %v after %v, want %v immediately", err, time.Since(start), tt.kind)
				}
			})
		})
	}
}

// The first session is retried for all of Refresh.Timeout, and ends with the reason and
// not with the clock. The refreshes that follow make one attempt each.
func TestPatienceEndsAtTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain, client := newScene(t).abroad(t)
		client.set(home, refuses)
		start := time.Now()
		_, err := chain.Retrieve(t.Context())
		says(t, err, credentials.STSUnreachable, home, "connection refused")
		if took := time.Since(start); took < 28*time.Second || took > 30*time.Second {
			t.Errorf("ended after %v", took)
		}
		if n := len(client.hosts()); n < 8 || n > 40 {
			t.Errorf("%d attempts in 30 seconds", n)
		}
		for range 5 {
			time.Sleep(20 * time.Second)
			if _, err := chain.Retrieve(t.Context()); err == nil {
				t.Fatal("no error")
			}
			if n := len(client.hosts()); n != 1 {
				t.Errorf("%d attempts, want one", n)
			}
		}
		client.set(home, nil)
		time.Sleep(20 * time.Second)
		_, err = chain.Retrieve(t.Context())
		check(t, err)
	})
}

// While the session is valid, a renewal makes one attempt and leaves the rest to the
// pauses.
func TestRenewalMakesOneAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		chain := s.directChain(t)
		_, err := chain.Retrieve(t.Context())
		check(t, err)
		s.cloud.Fault(awstest.Fault{Status: 503, Code: "ServiceUnavailable"})
		for chain.Status().Hops[0].Err == nil {
			time.Sleep(time.Second)
			_, err := chain.Retrieve(t.Context())
			check(t, err)
			synctest.Wait()
		}
		if n := len(s.cloud.Calls()); n != 2 {
			t.Errorf("%d requests, want one for the session and one for its renewal", n)
		}
	})
}

// A program has been idle for longer than its session lasted. Its next call waits, so the
// refresh repeats an attempt that gets no response: one lost connection must not fail a
// call. In an outage that happens once, since every later refresh follows a failure and
// makes one attempt.
func TestExpiredSessionAfterAnIdleDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain, client := newScene(t).abroad(t)
		_, err := chain.Retrieve(t.Context())
		check(t, err)
		time.Sleep(2 * time.Hour)
		lost := false
		client.set(home, func(r *http.Request) (*http.Response, error) {
			if !lost {
				lost = true
				return refuses(r)
			}
			return client.inner.Do(r)
		})
		_, err = chain.Retrieve(t.Context())
		check(t, err)
		for _, outage := range []struct {
			name     string
			fails    func(*http.Request) (*http.Response, error)
			attempts []int // of each refresh
			within   time.Duration
		}{
			{"refuses", refuses, []int{4, 1, 1}, 2 * time.Second},
			{"hangs", never, []int{3}, 30 * time.Second},
		} {
			time.Sleep(2 * time.Hour)
			client.set(home, outage.fails)
			client.hosts()
			for i, want := range outage.attempts {
				begin := time.Now()
				if _, err := chain.Retrieve(t.Context()); !errors.Is(err, credentials.STSUnreachable) && !errors.Is(err, credentials.RefreshTimeout) {
					t.Fatal(err)
				}
				if took := time.Since(begin); took > outage.within {
					t.Errorf("%s: refresh %d took %v, want at most %v", outage.name, i+1, took, outage.within)
				}
				if n := len(client.hosts()); n != want {
					t.Errorf("%s: refresh %d: %d attempts, want %d", outage.name, i+1, n, want)
				}
				time.Sleep(20 * time.Second)
			}
			client.set(home, nil)
			time.Sleep(time.Minute)
			_, err = chain.Retrieve(t.Context())
			check(t, err)
		}
	})
}

// A server says when to come back: in seconds, as a date, or in AWS's own header. Both
// the pauses within the first session and those between refreshes keep to it.
func TestServersRetryHint(t *testing.T) {
	for name, header := range map[string]func() []string{
		"seconds": func() []string { return []string{"Retry-After", "7"} },
		"date": func() []string {
			return []string{"Retry-After", time.Now().Add(7 * time.Second).UTC().Format(http.TimeFormat)}
		},
		"x-amz-retry-after": func() []string { return []string{"X-Amz-Retry-After", "7000"} },
	} {
		for _, code := range []string{"ServiceUnavailable", "Throttling"} {
			t.Run(name+" "+code, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					chain, client := newScene(t).abroad(t)
					var asked []time.Time
					client.set(home, func(r *http.Request) (*http.Response, error) {
						asked = append(asked, time.Now())
						return replies(503, code, "", header()...)(r)
					})
					start := time.Now()
					_, err := chain.Retrieve(t.Context())
					if err == nil || time.Since(start) > 30*time.Second {
						t.Fatalf("got %v after %v", err, time.Since(start))
					}
					if len(asked) < 3 {
						t.Errorf("%d attempts", len(asked))
					}
					for i := range asked[1:] {
						if pause := asked[i+1].Sub(asked[i]); pause < 7*time.Second || pause > 9*time.Second {
							t.Errorf("pause %d is %v, want 7 s or a little more", i, pause)
						}
					}
					e, _ := errors.AsType[*credentials.Error](err)
					if pause := time.Until(e.NextAttempt); pause < 7*time.Second || pause > 9*time.Second {
						t.Errorf("next attempt in %v, want 7 s or a little more", pause)
					}
				})
			})
		}
	}
}

// A hint is bounded: no server keeps a chain without a session away for longer than 20
// seconds, nor one with a valid session for longer than a minute.
func TestRetryHintIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain, client := newScene(t).abroad(t)
		client.set(home, replies(503, "ServiceUnavailable", "", "Retry-After", "86400"))
		start := time.Now()
		_, err := chain.Retrieve(t.Context())
		e, ok := errors.AsType[*credentials.Error](err)
		if !ok || time.Since(start) > 30*time.Second || time.Until(e.NextAttempt) > 20*time.Second {
			t.Fatalf("got %v after %v", err, time.Since(start))
		}
		client.set(home, nil)
		time.Sleep(20 * time.Second)
		_, err = chain.Retrieve(t.Context())
		check(t, err)
		client.set(home, replies(503, "ServiceUnavailable", "", "Retry-After", "86400"))
		for chain.Status().Hops[1].Err == nil {
			_, err := chain.Retrieve(t.Context())
			check(t, err)
			time.Sleep(time.Second)
		}
		if pause := time.Until(chain.Status().Hops[1].NextAttempt); pause < 40*time.Second || pause > time.Minute {
			t.Errorf("with a valid session: the next attempt in %v, want about a minute", pause)
		}
	})
}

// All sessions expired in an outage: its end is felt within 20 seconds, by hop 2's callers
// as soon as hop 1 has a session, and by KeepFresh without being asked.
func TestBackWithinSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.pod.Rotate(forAYear)
		chain := s.hubChain(t)
		kept := s.hubChain(t)
		go kept.KeepFresh(t.Context())
		_, err := chain.Retrieve(t.Context())
		check(t, err)
		remove := s.cloud.Fault(awstest.Fault{Status: 503, Code: "ServiceUnavailable"})
		for range 3 * 60 * 60 {
			_, err = chain.Retrieve(t.Context())
			time.Sleep(time.Second)
		}
		if err == nil || kept.Status().Healthy() {
			t.Fatal("a session outlived its hour")
		}
		remove()
		ended := time.Now()
		for ; err != nil; _, err = chain.Retrieve(t.Context()) {
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(ended); took > 20*time.Second {
			t.Errorf("back after %v", took)
		}
		time.Sleep(21*time.Second - time.Since(ended))
		if !kept.Status().Healthy() {
			t.Errorf("KeepFresh: %+v", kept.Status())
		}
	})
}

// A role is created and used in the same minute: IAM's changes reach STS late. With
// RetryDenied the first session waits for them.
func TestRetryDenied(t *testing.T) {
	const late = 12 * time.Second
	for _, tt := range []struct {
		name, operation string
		status          int
		code, message   string
		kind            credentials.Kind
	}{
		{"trust", "AssumeRoleWithWebIdentity", 403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", credentials.TrustDenied},
		{"provider", "AssumeRoleWithWebIdentity", 400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account", credentials.OIDCProviderMissing},
		{"assume", "AssumeRole", 403, "AccessDenied", "User is not authorized to perform: sts:AssumeRole", credentials.AssumeDenied},
		{"key", "AssumeRole", 403, "InvalidClientTokenId", "The security token included in the request is invalid", credentials.RegionNotEnabled},
	} {
		play := func(t *testing.T, retry time.Duration, test func(t *testing.T, chain *credentials.Chain, s *scene, remove func())) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				remove := s.cloud.Fault(awstest.Fault{Operation: tt.operation, Status: tt.status, Code: tt.code, Message: tt.message})
				test(t, s.hubChain(t, func(o *credentials.Options) { o.Refresh.RetryDenied = retry }), s, remove)
			})
		}
		t.Run(tt.name, func(t *testing.T) {
			play(t, 0, func(t *testing.T, chain *credentials.Chain, _ *scene, _ func()) {
				start := time.Now()
				if _, err := chain.Retrieve(t.Context()); !errors.Is(err, tt.kind) || time.Since(start) > 0 {
					t.Errorf("zero: got %v after %v, want %v immediately", err, time.Since(start), tt.kind)
				}
			})
			play(t, 20*time.Second, func(t *testing.T, chain *credentials.Chain, _ *scene, remove func()) {
				time.AfterFunc(late, remove)
				start := time.Now()
				if _, err := chain.Retrieve(t.Context()); err != nil || time.Since(start) > late+6*time.Second {
					t.Errorf("a role %v late: %v after %v", late, err, time.Since(start))
				}
			})
			play(t, 20*time.Second, func(t *testing.T, chain *credentials.Chain, s *scene, _ func()) {
				start := time.Now()
				_, err := chain.Retrieve(t.Context())
				if took := time.Since(start); !errors.Is(err, tt.kind) || took < 15*time.Second || took > 26*time.Second {
					t.Errorf("got %v after %v, want %v after about 20 s", err, took, tt.kind)
				}
				if n := s.count(tt.operation); n > 20 {
					t.Errorf("%d requests", n)
				}
				time.Sleep(10 * time.Second)
				before := s.count(tt.operation)
				if _, err := chain.Retrieve(t.Context()); !errors.Is(err, tt.kind) || s.count(tt.operation) != before+1 {
					t.Errorf("afterwards: %v with %d requests, want one", err, s.count(tt.operation)-before)
				}
			})
			// Longer than a refresh: each one ends in time, and the next one continues.
			play(t, 2*time.Minute, func(t *testing.T, chain *credentials.Chain, _ *scene, remove func()) {
				start := time.Now()
				if _, err := chain.Retrieve(t.Context()); !errors.Is(err, tt.kind) || time.Since(start) > 30*time.Second {
					t.Errorf("got %v after %v", err, time.Since(start))
				}
				time.AfterFunc(10*time.Second, remove)
				time.Sleep(2 * time.Second)
				if _, err := chain.Retrieve(t.Context()); err != nil {
					t.Errorf("the second refresh: %v", err)
				}
			})
		})
	}
}

// A new target of a pool is not put aside for minutes while its role is new.
func TestRetryDeniedOfAPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		role := s.targets(1)[0]
		pool := s.pool(t, func(o *credentials.PoolOptions) { o.Refresh.RetryDenied = time.Minute })
		remove := s.cloud.Fault(awstest.Fault{RoleARN: role.ARN, Status: 403, Code: "AccessDenied"})
		chain := poolChain(t, pool, role)
		if _, err := chain.Retrieve(t.Context()); !errors.Is(err, credentials.AssumeDenied) {
			t.Fatal(err)
		}
		if pause := time.Until(chain.Status().Hops[1].NextAttempt); pause > 2*time.Second {
			t.Errorf("paused for %v", pause)
		}
		remove()
		time.Sleep(2 * time.Second)
		_, err := chain.Retrieve(t.Context())
		check(t, err)
	})
}

// A short Job has a deadline of its own. Its error says what keeps the session away, with
// the Kind and the fixes of the last attempt, and not only that time is up.
func TestDeadlineOfTheCaller(t *testing.T) {
	for _, tt := range []deadlineCase{
		{"refused", 1, func(*scene) func(*http.Request) (*http.Response, error) { return refuses }, credentials.STSUnreachable,
			[]string{"hop 1 of 2", home, "connection refused", "check that the pod can reach"}},
		{"throttled", 1, func(*scene) func(*http.Request) (*http.Response, error) {
			return replies(400, "Throttling", "Rate exceeded")
		}, credentials.Throttled, []string{"hop 1 of 2", "Rate exceeded"}},
		{"hop 2 refused", 2, func(s *scene) func(*http.Request) (*http.Response, error) {
			return func(r *http.Request) (*http.Response, error) {
				if s.count("AssumeRoleWithWebIdentity") > 0 {
					return refuses(r)
				}
				return s.cloud.Config().HTTPClient.Do(r)
			}
		}, credentials.STSUnreachable, []string{"hop 2 of 2", "connection refused"}},
		{"hangs", 1, func(*scene) func(*http.Request) (*http.Response, error) { return never }, "",
			[]string{home + " has not responded yet"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				chain, client := s.abroad(t)
				client.set(home, tt.fault(s))
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				var callers sync.WaitGroup
				for name, retrieve := range map[string]func() error{
					"Retrieve":    func() error { _, err := chain.Retrieve(ctx); return err },
					"RetrieveFor": func() error { _, err := chain.RetrieveFor(ctx, time.Minute); return err },
					"S3":          func() error { _, err := fetch(ctx, chain.Config()); return err },
				} {
					callers.Go(func() {
						tt.check(t, name, retrieve())
					})
				}
				callers.Wait()
				time.Sleep(30 * time.Second) // the refresh goes on for other callers
			})
		})
	}
}

type deadlineCase struct {
	name  string
	hop   int
	fault func(s *scene) func(*http.Request) (*http.Response, error)
	kind  credentials.Kind // empty: no attempt has ended yet
	want  []string
}

func (tt deadlineCase) check(t *testing.T, name string, err error) {
	t.Helper()
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%s: got %v, want %v", name, err, context.DeadlineExceeded)
		return
	}
	for _, want := range append(tt.want, "stopped waiting for a session") {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q is not in %v", name, want, err)
		}
	}
	e, ok := errors.AsType[*credentials.Error](err)
	if ok != (tt.kind != "") || ok && (!errors.Is(err, tt.kind) || e.Hop != tt.hop) {
		t.Errorf("%s: got %v, want %v of hop %d", name, err, tt.kind, tt.hop)
	}
}

// A program asks whether it canceled a call or ran out of time itself: that the last attempt
// was refused, or had no response in time, must not look like either.
func TestErrorOfACanceledCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain, client := newScene(t).abroad(t)
		client.set(home, never)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(15*time.Second, cancel)
		_, err := chain.Retrieve(ctx)
		if !errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want only %v", err, context.Canceled)
		}
		e, ok := errors.AsType[*credentials.Error](err)
		if !ok || !errors.Is(err, credentials.RefreshTimeout) || e.Kind != credentials.RefreshTimeout {
			t.Errorf("no %v in %v", credentials.RefreshTimeout, err)
		}
		if errors.Is(err, credentials.STSUnreachable) {
			t.Errorf("%v matches another Kind", err)
		}
		time.Sleep(time.Minute) // the refresh goes on
	})
}

// A caller that does not want to wait for a patient first session leaves with its own
// context; the others get the session.
func TestImpatientCallerOfAPatientSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain, client := newScene(t).abroad(t)
		client.set(home, refuses)
		time.AfterFunc(8*time.Second, func() { client.set(home, nil) })
		var callers sync.WaitGroup
		callers.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := chain.Retrieve(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
		callers.Go(func() {
			if _, err := chain.Retrieve(t.Context()); err != nil {
				t.Error(err)
			}
		})
		callers.Wait()
		if hosts := client.hosts(); slices.Contains(hosts, nearby) {
			t.Errorf("asked %v", hosts)
		}
	})
}
