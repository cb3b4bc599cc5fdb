package credentials_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/trust"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Reports as a person and a program see them: testdata/check-*.golden.
func TestCheck(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(s *scene)
		healthy bool
	}{
		{"healthy", func(*scene) {}, true},
		{"slow", func(s *scene) { s.cloud.Fault(awstest.Fault{Delay: 300 * time.Millisecond}) }, true},
		{"skew", func(s *scene) { s.cloud.Fault(awstest.Fault{ServerClock: 10 * time.Minute}) }, true},
		{"no-provider", func(s *scene) { s.dev.RemoveOIDCProvider(s.blue) }, false},
		{"audience", func(s *scene) {
			s.pod.Rotate(func(token *trust.Token) { token.Audience = []string{"sts.amazonaws.com "} })
		}, false},
		{"trust-denied", func(s *scene) {
			s.hub.SetTrust(trust.WebIdentityPolicy(s.dev.ID(), []string{s.blue.Issuer()}, []string{awstest.Subject("default", "other")}).String())
		}, false},
		{"assume-denied", func(s *scene) {
			s.target.SetTrust(trust.RolePolicy("arn:aws:iam::444455556666:root").String())
		}, false},
		{"expired", func(s *scene) {
			s.pod.Rotate(func(token *trust.Token) { token.Expires = time.Now().Add(-time.Hour) })
		}, false},
		{"garbage", func(s *scene) { s.pod.Mount([]byte("<html>")) }, false},
		{"missing", func(s *scene) { os.Remove(s.pod.TokenFile()) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				tt.prepare(s)
				chain := s.hubChain(t)
				report := chain.Check(t.Context())
				if report.Healthy() != tt.healthy {
					t.Errorf("healthy: %v, want %v", report.Healthy(), tt.healthy)
				}
				asJSON, err := json.MarshalIndent(report, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				got := steady(s, report.String()+"\n"+string(asJSON)+"\n")
				golden := filepath.Join("testdata", "check-"+tt.name+".golden")
				if *update {
					if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if got != string(want) {
					t.Errorf("report\n%s\nwant\n%s", got, want)
				}
				for _, h := range chain.Status().Hops {
					if !h.Expires.IsZero() || h.Err != nil {
						t.Errorf("Check changed the chain's own state: %+v", h)
					}
				}
			})
		})
	}
}

// steady replaces what differs from run to run.
func steady(s *scene, text string) string {
	dir := filepath.Dir(s.pod.TokenFile())
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		text = strings.ReplaceAll(text, real, "DIR")
	}
	text = strings.ReplaceAll(text, dir, "DIR")
	for _, r := range []struct{ pattern, with string }{
		{`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`, "REQUEST"},
		{`(@s3-shared-content)-\w+`, "$1-POD"},
		{`\.\.\d{4}_[\w.]+`, "..DATA"},
		{`owner \d+:\d+`, "owner 0:0"},
		{`"owner": "\d+:\d+"`, `"owner": "0:0"`},
		{`written \S+Z`, "written TIME"},
		{`was written at \S+`, "was written at TIME"},
		{`"modified": "[^"]+"`, `"modified": "TIME"`},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	return text
}

// The check asks anew even while the chain holds sessions, and once per hop.
func TestCheckAsksAnew(t *testing.T) {
	s := newScene(t)
	chain := s.hubChain(t)
	if _, err := chain.Retrieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.target.SetTrust(trust.RolePolicy("arn:aws:iam::444455556666:root").String())
	if chain.Check(t.Context()).Healthy() {
		t.Error("healthy although the target does not trust the hub any more")
	}
	if n := s.count("AssumeRole"); n != 2 {
		t.Errorf("%d requests, want one of Retrieve and one of Check", n)
	}
	if _, err := chain.Retrieve(t.Context()); err != nil {
		t.Errorf("the chain's own session: %v", err)
	}
}
