package credentials_test

import (
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// Each failure is driven into, what its error prints is applied as it stands
// there, and the same chain works.
func TestPrintedFixesMend(t *testing.T) {
	deny := trust.RolePolicy("arn:aws:iam::444455556666:root").String()
	tests := []struct {
		kind  credentials.Kind
		name  string
		spoil func(s *scene)
		set   func(s *scene, o *credentials.Options)
		apply func(t *testing.T, s *scene, fixes []string)
	}{
		{credentials.OIDCProviderMissing, "provider", func(s *scene) { s.dev.RemoveOIDCProvider(s.blue) }, nil, func(t *testing.T, s *scene, fixes []string) {
			m := command(t, fixes, `aws iam create-open-id-connect-provider --url (\S+) --client-id-list (\S+)`)
			if m[1] != s.blue.Issuer() {
				t.Fatalf("the command registers %s", m[1])
			}
			s.dev.AddOIDCProvider(s.cloud.Cluster(m[1]), m[2])
		}},
		{credentials.AudienceMismatch, "stray character in the provider's list", func(s *scene) { s.dev.AddOIDCProvider(s.blue, "sts.amazonaws.com\u200b") }, nil, func(t *testing.T, s *scene, fixes []string) {
			m := command(t, fixes, `add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn (\S+) --client-id (\S+)`)
			if !strings.HasSuffix(m[1], "/id/BLUE") {
				t.Fatalf("the command is about %s", m[1])
			}
			s.dev.AddOIDCProvider(s.blue, "sts.amazonaws.com\u200b", m[2])
		}},
		{credentials.TrustDenied, "wildcard under StringEquals", func(s *scene) {
			s.hub.SetTrust(strings.ReplaceAll(trust.WebIdentityPolicy(s.dev.ID(), []string{s.blue.Issuer()}, []string{"SUBJECT"}).String(), "SUBJECT", "system:serviceaccount:default:*"))
		}, nil, func(t *testing.T, s *scene, fixes []string) { s.hub.SetTrust(policyAfter(t, fixes, "trust policy")) }},
		{credentials.AssumeDenied, "the target does not trust the hub", func(s *scene) { s.target.SetTrust(deny) }, nil, func(t *testing.T, s *scene, fixes []string) {
			s.target.SetTrust(policyAfter(t, fixes, "the trust policy of role S3_Pics in account 444455556666"))
		}},
		{credentials.AssumeDenied, "the hub may assume nothing", func(s *scene) { s.hub.SetPolicy(trust.ReadBucketPolicy("other", "").String()) }, nil, func(t *testing.T, s *scene, fixes []string) {
			s.hub.SetPolicy(policyAfter(t, fixes, "the policy of "+s.hub.ARN()))
		}},
		{credentials.AssumeDenied, "tags are not allowed", func(s *scene) { s.target.SetTrust(trust.RolePolicy(s.hub.ARN()).String()) }, func(_ *scene, o *credentials.Options) {
			o.Roles[0].Tags = map[string]string{"team": "cats"}
		}, func(t *testing.T, s *scene, fixes []string) {
			s.target.SetTrust(policyAfter(t, fixes, "the trust policy of role"))
		}},
		{credentials.DurationTooLong, "more than the role gives", func(*scene) {}, func(_ *scene, o *credentials.Options) {
			w := o.Source.(credentials.WebIdentity)
			w.Duration = 2 * time.Hour
			o.Source = w
		}, func(t *testing.T, s *scene, fixes []string) {
			m := command(t, fixes, `aws iam update-role --role-name (\S+) --max-session-duration (\d+)`)
			seconds, err := strconv.Atoi(m[2])
			if err != nil || m[1] != "hub" {
				t.Fatalf("the command is %q", m[0])
			}
			s.hub.SetMaxSessionDuration(time.Duration(seconds) * time.Second)
		}},
	}
	for _, tt := range tests {
		t.Run(string(tt.kind)+" "+tt.name, func(t *testing.T) {
			s := newScene(t)
			tt.spoil(s)
			chain := s.hubChain(t, func(o *credentials.Options) {
				if tt.set != nil {
					tt.set(s, o)
				}
			})
			_, err := chain.Retrieve(t.Context())
			e, ok := errors.AsType[*credentials.Error](err)
			if !ok || e.Kind != tt.kind {
				t.Fatalf("got %v, want %v", err, tt.kind)
			}
			for _, fix := range e.Fixes {
				if !strings.Contains(err.Error(), fix) {
					t.Errorf("the message lacks the fix %q", fix)
				}
			}
			tt.apply(t, s, e.Fixes)
			if report := chain.Check(t.Context()); !report.Healthy() {
				t.Errorf("after the fix:\n%s", report)
			}
		})
	}
}

// TagsTooLarge names the settings to shorten; a chain without them works.
func TestTagsTooLargeNamesTheSettings(t *testing.T) {
	s := newScene(t)
	tags := map[string]string{}
	for i := range 50 {
		tags[strings.Repeat("k", 100)+strconv.Itoa(i)] = strings.Repeat("v", 200)
	}
	role := credentials.Role{ARN: s.target.ARN(), Tags: tags}
	_, err := s.hubChain(t, func(o *credentials.Options) { o.Roles = []credentials.Role{role} }).Retrieve(t.Context())
	if !errors.Is(err, credentials.TagsTooLarge) || !strings.Contains(err.Error(), "Role.Tags") || !strings.Contains(err.Error(), "%") {
		t.Fatalf("got %v, want %v with the percentage", err, credentials.TagsTooLarge)
	}
	if n := s.count("AssumeRole"); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	role.Tags = nil
	if _, err := s.hubChain(t, func(o *credentials.Options) { o.Roles = []credentials.Role{role} }).Retrieve(t.Context()); err != nil {
		t.Errorf("without the tags: %v", err)
	}
}

// The hub's path is in no session's ARN; the statement needs it.
func TestFixNamesTheHubWithItsPath(t *testing.T) {
	s := newScene(t)
	hub := s.dev.CreateRole("team/hub2",
		trust.WebIdentityPolicy(s.dev.ID(), []string{s.blue.Issuer()}, []string{awstest.Subject("default", "s3-shared-content")}).String(),
		trust.AssumePolicy([]string{s.target.ARN()}).String())
	chain := s.hubChain(t, func(o *credentials.Options) {
		w := s.web()
		w.RoleARN = hub.ARN()
		o.Source = w
	})
	_, err := chain.Retrieve(t.Context())
	e, ok := errors.AsType[*credentials.Error](err)
	if !ok {
		t.Fatal(err)
	}
	s.target.SetTrust(policyAfter(t, e.Fixes, "the trust policy of role S3_Pics"))
	if report := chain.Check(t.Context()); !report.Healthy() {
		t.Errorf("after the fix:\n%s", report)
	}
}

// command finds a printed command among the fixes.
func command(t *testing.T, fixes []string, pattern string) []string {
	t.Helper()
	for _, fix := range fixes {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(fix); m != nil {
			return m
		}
	}
	t.Fatalf("no fix has the command %s: %q", pattern, fixes)
	return nil
}

// policyAfter is the policy that is printed in the fix about something.
func policyAfter(t *testing.T, fixes []string, about string) string {
	t.Helper()
	for _, fix := range fixes {
		head, _, _ := strings.Cut(fix, "{")
		if strings.Contains(head, about) {
			document := fix[len(head):]
			if !json.Valid([]byte(document)) {
				t.Fatalf("not a policy: %s", document)
			}
			return document
		}
	}
	t.Fatalf("no fix is about %s: %q", about, fixes)
	return ""
}
