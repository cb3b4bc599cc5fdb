package credentials_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkcredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/middleware"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// named is an API option that can be distinguished from others.
func named(name string, ran *[]string) func(*middleware.Stack) error {
	return func(*middleware.Stack) error {
		*ran = append(*ran, name)
		return nil
	}
}

func TestConfigLeavesBaseAlone(t *testing.T) {
	s := newScene(t)
	t.Setenv("AWS_REGION", "us-east-1")
	var ran []string
	base := s.cloud.Config()
	base.Region = ""
	base.APIOptions = make([]func(*middleware.Stack) error, 1, 8) // room for an append to spoil
	base.APIOptions[0] = named("base's", &ran)
	before := base.Copy()
	spare := base.APIOptions[:8]

	chain := s.chainFrom(t, base)
	first, second := chain.Config(), chain.Config()
	if base.Region != before.Region || base.Credentials != before.Credentials || len(base.APIOptions) != 1 {
		t.Errorf("base has changed: region %q, credentials %v, %d API options", base.Region, base.Credentials, len(base.APIOptions))
	}
	if slices.ContainsFunc(spare[1:], func(f func(*middleware.Stack) error) bool { return f != nil }) {
		t.Error("something was written into the spare capacity of base.APIOptions")
	}
	// Two configurations of one chain do not share what one of them appends.
	first.APIOptions = append(first.APIOptions, named("first's", &ran))
	second.APIOptions = append(second.APIOptions, named("second's", &ran))
	for name, cfg := range map[string]aws.Config{"first's": first, "second's": second} {
		ran = nil
		_, err := fetch(t.Context(), cfg)
		check(t, err)
		if want := []string{"base's", name}; !slices.Equal(ran, want) {
			t.Errorf("ran %v, want %v", ran, want)
		}
	}
	if got := chain.Config(); got.Region != "us-east-1" || got.Credentials != aws.CredentialsProvider(chain) {
		t.Errorf("the wrapped configuration has region %q and credentials %v", got.Region, got.Credentials)
	}
}

func (s *scene) chainFrom(t *testing.T, base aws.Config) *credentials.Chain {
	t.Helper()
	return newChain(t, base, func(o *credentials.Options) { o.Source = s.web() }, credentials.Assume(s.target.ARN()))
}

// Whatever the caller does with its own values after New changes nothing.
func TestLaterChangesHaveNoEffect(t *testing.T) {
	s := newScene(t)
	const admin, s3 = "arn:aws:iam::aws:policy/AdministratorAccess", "arn:aws:iam::aws:policy/AmazonS3FullAccess"
	var ran []string
	base := s.cloud.Config()
	base.APIOptions = []func(*middleware.Stack) error{named("base's", &ran)}
	web := s.web()
	web.PolicyARNs = []string{admin}
	roles := []credentials.Role{{
		ARN: s.target.ARN(), Tags: map[string]string{"team": "cats"}, TransitiveTagKeys: []string{"team"}, PolicyARNs: []string{s3},
	}}
	var options *credentials.Options
	chain := newChain(t, base, func(o *credentials.Options) {
		o.Source, o.Roles = &web, roles
		options = o
	})

	web.RoleARN, web.PolicyARNs[0] = "changed", "changed"
	roles[0].Tags["team"], roles[0].Tags["more"] = "dogs", "x"
	roles[0].TransitiveTagKeys[0], roles[0].PolicyARNs[0], roles[0].ARN = "changed", "changed", "changed"
	options.Roles = nil
	base.APIOptions[0] = named("changed", &ran)
	base.Region = "eu-west-1"

	_, err := fetch(t.Context(), chain.Config())
	check(t, err)
	calls := s.cloud.Calls()
	for i, want := range []map[string]string{
		{"RoleArn": s.hub.ARN(), "PolicyArns": admin},
		{"RoleArn": s.target.ARN(), "PolicyArns": s3, "Tags": "team=cats", "TransitiveTagKeys": "team"},
	} {
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if got := calls[i].Params[name]; got != want[name] {
				t.Errorf("hop %d sent %s=%q, want %q", i+1, name, got, want[name])
			}
		}
		if calls[i].Host != "sts.us-east-1.amazonaws.com" {
			t.Errorf("hop %d went to %s", i+1, calls[i].Host)
		}
	}
	if want := []string{"base's"}; !slices.Equal(ran, want) {
		t.Errorf("ran %v, want %v", ran, want)
	}
}

// Assume appends to a slice that may be a caller's.
func TestAssumeDoesNotWriteIntoTheCallersSlice(t *testing.T) {
	all := []credentials.Role{{ARN: hubARN}, {ARN: "arn:aws:iam::777788889999:role/kept"}}
	o := credentials.Options{Roles: all[:1]}
	credentials.Assume(targetARN, "arn:aws:iam::777788889999:role/last")(&o)
	if all[1].ARN != "arn:aws:iam::777788889999:role/kept" {
		t.Errorf("the caller's second role is now %s", all[1].ARN)
	}
	if len(o.Roles) != 3 || o.Roles[1].ARN != targetARN {
		t.Errorf("roles %v", o.Roles)
	}
}

func TestChainOf(t *testing.T) {
	s := newScene(t)
	chain := s.hubChain(t)
	if got, ok := credentials.ChainOf(chain.Config()); !ok || got != chain {
		t.Errorf("ChainOf the chain's own configuration: %v, %t", got, ok)
	}
	for name, provider := range map[string]aws.CredentialsProvider{
		"nil":       nil,
		"anonymous": aws.AnonymousCredentials{},
		"static":    sdkcredentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", ""),
		"nil chain": (*credentials.Chain)(nil),
		"cached":    aws.NewCredentialsCache(chain),
	} {
		if got, ok := credentials.ChainOf(aws.Config{Credentials: provider}); ok || got != nil {
			t.Errorf("ChainOf %s: %v, %t", name, got, ok)
		}
	}
}

// A configuration that is wrapped already may be wrapped again, to go on from
// its role; a request then recovers by the outer chain.
func TestWrapAWrappedConfig(t *testing.T) {
	s := newScene(t)
	third := s.cloud.Account("777788889999")
	far := third.CreateRole("far", trust.RolePolicy(s.target.ARN()).String(),
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)
	s.target.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","sts:AssumeRole"],"Resource":"*"}]}`)
	third.CreateBucket("cats").Put("x", []byte("purr"))

	inner := s.hubChain(t).Config()
	outer, err := credentials.Wrap(inner, credentials.Assume(far.ARN()), func(o *credentials.Options) {
		o.Source, o.ExpectedAccount = credentials.FromBase{}, third.ID()
	})
	check(t, err)
	creds, err := outer.Credentials.Retrieve(t.Context())
	if err != nil || creds.AccountID != third.ID() {
		t.Fatalf("account %q, %v", creds.AccountID, err)
	}
	chain, _ := credentials.ChainOf(outer)
	want := []aws.CredentialSource{aws.CredentialSourceSTSAssumeRoleWebID, aws.CredentialSourceSTSAssumeRole, aws.CredentialSourceSTSAssumeRole}
	if got := chain.ProviderSources(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("sources %v, want %v", got, want)
	}
	if got, err := fetch(t.Context(), inner); err != nil || got != photo {
		t.Errorf("the inner configuration: %q, %v", got, err)
	}
	far.RevokeSessions()
	if _, err := fetch(t.Context(), outer); err == nil || strings.Contains(err.Error(), "ExpiredToken") {
		t.Errorf("want AccessDenied for another account's bucket after the renewal, got %v", err)
	}
	if again, err := outer.Credentials.Retrieve(t.Context()); err != nil || again.AccessKeyID == creds.AccessKeyID {
		t.Errorf("the revoked session is still in use: %v", err)
	}
}

// base.Credentials have no say unless FromBase is the source.
func TestBaseCredentialsAreIgnored(t *testing.T) {
	s := newScene(t)
	asked := 0
	base := s.cloud.Config()
	base.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		asked++
		return aws.Credentials{}, errors.New("no caller should ask")
	})
	if _, err := fetch(t.Context(), s.chainFrom(t, base).Config()); err != nil || asked > 0 {
		t.Errorf("%v, base's provider was asked %d times", err, asked)
	}
}
