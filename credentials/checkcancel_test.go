package credentials_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// A check that its caller cancels returns at once, says so, and blames nothing
// else for it.
func TestCheckIsCancelled(t *testing.T) {
	const hung = "https://sts.us-east-1.amazonaws.com"
	for _, tt := range []struct {
		name string
		hang func(s *scene, base *aws.Config, release <-chan struct{})
		hop  int
	}{
		{"STS hangs", func(s *scene, _ *aws.Config, _ <-chan struct{}) {
			s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Hang: true})
		}, 2},
		{"a client that does not look at its context", func(_ *scene, base *aws.Config, release <-chan struct{}) {
			base.HTTPClient = doFunc(func(*http.Request) (*http.Response, error) {
				<-release
				return nil, errors.New(hung)
			})
		}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				base, release := s.cloud.Config(), make(chan struct{})
				defer close(release)
				tt.hang(s, &base, release)
				chain := newChain(t, base, credentials.Assume(s.target.ARN()), func(o *credentials.Options) { o.Source = s.web() })
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				started := time.Now()
				report := chain.Check(ctx)
				if took := time.Since(started); took != time.Second {
					t.Errorf("returned after %v, want 1s", took)
				}
				for i, h := range report.Hops {
					if wants := i+1 == tt.hop; (h.Err != nil) != wants || h.Skipped != (i+1 > tt.hop) {
						t.Errorf("hop %d: %+v", i+1, h)
					}
				}
				failed := report.Hops[tt.hop-1]
				if !errors.Is(failed.Err, context.Canceled) || errors.Is(failed.Err, credentials.RefreshTimeout) || len(failed.Err.Fixes) > 0 {
					t.Errorf("got %v", failed.Err)
				}
				asJSON, err := json.Marshal(report)
				if err != nil {
					t.Fatal(err)
				}
				for _, text := range []string{report.String(), string(asJSON)} {
					if !strings.Contains(text, "the check was canceled") {
						t.Errorf("does not say that it was cancelled:\n%s", text)
					}
				}
				if report.Healthy() {
					t.Error("healthy")
				}
			})
		})
	}
}

func TestCheckWithACancelledContext(t *testing.T) {
	s := newScene(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	report := s.hubChain(t).Check(ctx)
	if !errors.Is(report.Token.Err, context.Canceled) || !errors.Is(report.Hops[0].Err, context.Canceled) || !report.Hops[1].Skipped {
		t.Errorf("got\n%s", report)
	}
	if n := len(s.cloud.Calls()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// What panics in a check of the user's own is an error of its hop.
func TestCheckSurvivesAPanic(t *testing.T) {
	s := newScene(t)
	chain := newChain(t, s.cloud.Config(), func(o *credentials.Options) {
		o.Source = credentials.Provider{Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { panic("boom") })}
	})
	if report := chain.Check(t.Context()); report.Healthy() || !strings.Contains(report.String(), "boom") {
		t.Errorf("got\n%s", report)
	}
}
