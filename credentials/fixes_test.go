package credentials_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

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
	says(t, err, credentials.AssumeDenied, "add this statement to the trust policy of role S3_Pics", `"AWS": "`+hub.ARN()+`"`)
	f := &fixer{t: t, scene: s, partition: "aws", trust: map[*awstest.Role]*trust.Policy{s.target: parsePolicy(t, trust.RolePolicy("arn:aws:iam::444455556666:root").String())}}
	f.applyUntilHealthy(chain)
	if report := chain.Check(t.Context()); !report.Healthy() {
		t.Errorf("after the fix:\n%s", report)
	}
}

// The advice of hop 1 fits the route: a hub chain has a hub already, and Go code is
// quoted Go.
func TestMissingProviderAdvice(t *testing.T) {
	s := newScene(t)
	s.dev.RemoveOIDCProvider(s.blue)
	s.shared.RemoveOIDCProvider(s.blue)
	_, err := s.directChain(t).Retrieve(t.Context())
	says(t, err, credentials.OIDCProviderMissing, "register the issuer in account 444455556666: aws iam", `credentials.Assume("`+s.target.ARN()+`")`)
	_, err = s.hubChain(t).Retrieve(t.Context())
	says(t, err, credentials.OIDCProviderMissing, "register the issuer in the hub's account 111122223333: aws iam")
	thumbprint := "--thumbprint-list " + strings.Repeat("0", 40) + " "
	if e, _ := errors.AsType[*credentials.Error](err); len(e.Fixes) != 2 || !strings.Contains(e.Fixes[1], thumbprint) {
		t.Errorf("a hub chain is advised %q", e.Fixes)
	}
	s.cloud.Fault(awstest.Fault{Times: 2, Status: 400, Code: "InvalidIdentityToken", Message: "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint"})
	_, err = s.hubChain(t).Retrieve(t.Context())
	says(t, err, credentials.OIDCProviderMissing, "aws iam update-open-id-connect-provider-thumbprint", "crossrole issuer "+s.blue.Issuer())
}
