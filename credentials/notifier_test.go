package credentials_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// handler is a slog.Handler of the test's own.
type handler struct {
	handle func(slog.Record)
}

func (h handler) Enabled(context.Context, slog.Level) bool { return true }
func (h handler) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h handler) WithGroup(string) slog.Handler            { return h }
func (h handler) Handle(_ context.Context, r slog.Record) error {
	h.handle(r)
	return nil
}

// loudly sends both routes of a chain's reports to f.
func loudly(f func(what string)) func(*credentials.Options) {
	return func(o *credentials.Options) {
		o.Logger = slog.New(handler{func(r slog.Record) { f(r.Message) }})
		o.OnEvent = func(e credentials.Event) { f(string(e.Type)) }
	}
}

// A program logs under the lock that it holds while it asks for credentials. Every
// way to make a chain talk is tried: success, clock skew, failure, a panic, a
// recovered request, Invalidate.
func TestReportsMayWaitForTheCaller(t *testing.T) {
	for name, stir := range map[string]func(*scene) (remove func()){
		"nothing": func(*scene) func() { return func() {} },
		"clock ahead": func(s *scene) func() {
			return s.cloud.Fault(awstest.Fault{ServerClock: -10 * time.Minute})
		},
		"clock ahead, slowly": func(s *scene) func() {
			s.cloud.Fault(awstest.Fault{Delay: 100 * time.Millisecond})
			return s.cloud.Fault(awstest.Fault{ServerClock: -10 * time.Minute})
		},
		"no AssumedRoleUser": func(s *scene) func() {
			return s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Times: 1, Status: 503, Code: "ServiceUnavailable"})
		},
		"refused hub": func(s *scene) func() {
			return s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Times: 1, Status: 403, Code: "ExpiredToken"})
		},
		"refused request": func(s *scene) func() {
			return s.cloud.Fault(awstest.Fault{Operation: "GetObject", Times: 1, Status: 400, Code: "ExpiredToken"})
		},
		"denied": func(s *scene) func() {
			return s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Status: 403, Code: "AccessDenied"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				stir(s)
				var lock sync.Mutex
				said := 0
				chain := s.hubChain(t, loudly(func(string) {
					lock.Lock()
					defer lock.Unlock()
					said++
				}))
				locked := func(f func() error) {
					t.Helper()
					synctest.Wait() // a bubble's clock stands still while a goroutine waits for a lock
					lock.Lock()
					defer lock.Unlock()
					before := time.Now()
					if err := f(); errors.Is(err, credentials.RefreshTimeout) || (err != nil && name != "denied") {
						t.Errorf("%v", err)
					}
					if took := time.Since(before); took > 2*time.Second {
						t.Errorf("waited %v", took)
					}
				}
				locked(func() error { _, err := chain.Retrieve(t.Context()); return err })
				locked(func() error { _, err := chain.RetrieveFor(t.Context(), time.Minute); return err })
				if name != "denied" && !strings.Contains(name, "clock") {
					locked(func() error { _, err := fetch(t.Context(), chain.Config()); return err })
				}
				creds, _ := chain.Retrieve(t.Context())
				locked(func() error { chain.Invalidate(creds.AccessKeyID); return nil })
				locked(func() error { chain.Check(t.Context()); return nil })
				synctest.Wait()
				if said < 3 {
					t.Errorf("%d reports: is this test about anything?", said)
				}
			})
		})
	}
}

// A handler may call the chain, in whatever way, and sees the session that its line
// is about.
func TestLoggerMayCallTheChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.cloud.Fault(awstest.Fault{ServerClock: 10 * time.Minute})
		var chain *credentials.Chain
		lines := 0
		chain = s.hubChain(t, func(o *credentials.Options) {
			o.Logger = slog.New(handler{func(r slog.Record) {
				lines++
				creds, err := chain.Retrieve(t.Context())
				if err != nil {
					t.Error(err)
				}
				if lines < 10 {
					chain.Invalidate(creds.AccessKeyID)
				}
			}})
		})
		before := time.Now()
		if _, err := chain.Retrieve(t.Context()); err != nil || time.Since(before) > time.Second {
			t.Errorf("%v after %v", err, time.Since(before))
		}
		synctest.Wait()
		if lines < 10 {
			t.Errorf("%d lines", lines)
		}
	})
}

// A request whose session is renewed does not wait for those who hear of it.
func TestRequestsDoNotWaitForReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		release := make(chan struct{})
		chain := s.hubChain(t, loudly(func(string) { <-release }))
		cfg := chain.Config()
		before := time.Now()
		for range 3 {
			if _, err := fetch(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			s.target.RevokeSessions()
			time.Sleep(5 * time.Second)
		}
		creds, err := chain.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		chain.Invalidate(creds.AccessKeyID)
		if took := time.Since(before); took > 16*time.Second {
			t.Errorf("took %v", took)
		}
		close(release)
	})
}

// While a handler or OnEvent blocks, the other one still hears; and nothing grows
// without bound.
func TestReportsAreBoundedAndApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		release := make(chan struct{})
		var lines, events atomic.Int64
		var last string
		chain := s.directChain(t, func(o *credentials.Options) {
			o.Logger = slog.New(handler{func(r slog.Record) { <-release; lines.Add(1); last += r.Message + "\n" }})
			o.OnEvent = func(credentials.Event) { events.Add(1) }
		})
		for range 300 {
			creds, err := chain.Retrieve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			chain.Invalidate(creds.AccessKeyID)
		}
		synctest.Wait()
		if n := events.Load(); n < 200 {
			t.Errorf("%d events while the Logger blocks", n)
		}
		close(release)
		synctest.Wait()
		if n := lines.Load(); n < 100 || n > 102 || strings.Count(last, "dropped") != 1 {
			t.Errorf("%d lines kept of 300:\n%s", n, last)
		}
	})
}

// User code that panics, or ends its goroutine as t.FailNow does, costs no more than
// the operation that called it.
func TestUserCodeMayPanicOrExit(t *testing.T) {
	for name, end := range map[string]func(){"panics": func() { panic("boom") }, "exits": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				var said atomic.Int64 // events and log lines come from two goroutines
				chain := s.hubChain(t, loudly(func(string) { said.Add(1); end() }))
				for range 3 {
					creds, err := chain.Retrieve(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					chain.Invalidate(creds.AccessKeyID)
				}
				synctest.Wait()
				if n := said.Load(); n < 10 {
					t.Errorf("%d reports after the first one %s", n, name)
				}

				provider := newChain(t, s.cloud.Config(), func(o *credentials.Options) {
					o.Source = credentials.Provider{Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
						end()
						return aws.Credentials{}, nil
					})}
				})
				before := time.Now()
				_, err := provider.Retrieve(t.Context())
				if !errors.Is(err, credentials.Unknown) {
					t.Errorf("a provider that %s: %v", name, err)
				}
				if took := time.Since(before); took > time.Second {
					t.Errorf("a provider that %s holds its caller for %v", name, took)
				}
				if report := provider.Check(t.Context()); report.Healthy() {
					t.Errorf("a provider that %s is healthy:\n%s", name, report)
				}
			})
		})
	}
}

// The time of a line is when it happened, and not when the handler came to it.
func TestLinesHaveTheirOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		start := time.Now()
		var times []string
		chain := s.hubChain(t, func(o *credentials.Options) {
			o.Logger = slog.New(handler{func(r slog.Record) {
				time.Sleep(time.Hour)
				times = append(times, fmt.Sprint(r.Time.Sub(start)))
			}})
		})
		if _, err := chain.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if got := strings.Join(times, " "); got != "0s 0s" {
			t.Errorf("lines at %s, want both at the start", got)
		}
	})
}
