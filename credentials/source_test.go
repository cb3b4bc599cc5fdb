package credentials_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkcredentials "github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

const mayAssume = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}`

// laptop is a user's long-term keys, which the hub trusts in addition to the pods.
func (s *scene) laptop() aws.CredentialsProvider {
	keys := s.dev.UserCredentials("ada", mayAssume)
	policy := trust.WebIdentityPolicy(s.dev.ID(), []string{s.blue.Issuer()}, []string{"system:serviceaccount:default:s3-shared-content"})
	policy.Statements = append(policy.Statements, trust.RolePolicy("arn:aws:iam::"+s.dev.ID()+":user/ada").Statements...)
	s.hub.SetTrust(policy.String())
	return sdkcredentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, "")
}

// On a laptop the same program runs with a profile's keys: the hub first, then
// the target.
func TestFromBase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		base := s.cloud.Config()
		base.Credentials = aws.NewCredentialsCache(s.laptop())
		chain := newChain(t, base, credentials.Assume(s.hub.ARN(), s.target.ARN()), func(o *credentials.Options) {
			o.Source, o.ExpectedAccount = credentials.FromBase{}, s.shared.ID()
		})
		for range 5 {
			if got, err := fetch(t.Context(), chain.Config()); err != nil || got != photo {
				t.Fatalf("got %q, %v", got, err)
			}
			time.Sleep(30 * time.Minute)
		}
		for _, call := range s.cloud.Calls() {
			if call.Operation == "AssumeRole" && call.Params["RoleArn"] == s.hub.ARN() && call.Caller != "arn:aws:iam::"+s.dev.ID()+":user/ada" {
				t.Errorf("the hub was assumed by %s", call.Caller)
			}
		}
		if want := "base configuration → " + s.hub.ARN() + " → " + s.target.ARN(); chain.String() != want {
			t.Errorf("the chain is %q, want %q", chain, want)
		}
	})
}

// A provider's keys may be a user's, without an end.
func TestProviderWithStaticKeys(t *testing.T) {
	s := newScene(t)
	chain := newChain(t, s.cloud.Config(), credentials.Assume(s.hub.ARN(), s.target.ARN()), func(o *credentials.Options) {
		o.Source = credentials.Provider{Name: "vault", Credentials: s.laptop()}
	})
	if got, err := fetch(t.Context(), chain.Config()); err != nil || got != photo {
		t.Errorf("got %q, %v", got, err)
	}
	if want := "vault → " + s.hub.ARN() + " → " + s.target.ARN(); chain.String() != want || chain.Status().Source != "vault" {
		t.Errorf("the chain is %q from %q, want %q", chain, chain.Status().Source, want)
	}
}

// A chain may go on where another one ends; both are renewed by their own needs.
func TestProviderThatIsAChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		hub := newChain(t, s.cloud.Config(), func(o *credentials.Options) { o.Source = s.web() })
		chain := newChain(t, s.cloud.Config(), credentials.Assume(s.target.ARN()), func(o *credentials.Options) {
			o.Source = credentials.Provider{Name: "the hub's chain", Credentials: hub}
		})
		for range 10 {
			if got, err := fetch(t.Context(), chain.Config()); err != nil || got != photo {
				t.Fatalf("got %q, %v", got, err)
			}
			time.Sleep(20 * time.Minute)
		}
		want := []aws.CredentialSource{aws.CredentialSourceSTSAssumeRoleWebID, aws.CredentialSourceSTSAssumeRole}
		if got := chain.ProviderSources(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("sources %v, want %v", got, want)
		}
	})
}

// The failure of a chain within names its own hop and keeps its kind.
func TestProviderThatIsAFailingChain(t *testing.T) {
	s := newScene(t)
	s.hub.SetTrust(trust.WebIdentityPolicy(s.dev.ID(), []string{s.blue.Issuer()}, []string{"system:serviceaccount:other:one"}).String())
	hub := newChain(t, s.cloud.Config(), func(o *credentials.Options) { o.Source = s.web() })
	chain := newChain(t, s.cloud.Config(), credentials.Assume(s.target.ARN()), func(o *credentials.Options) {
		o.Source = credentials.Provider{Name: "the hub's chain", Credentials: hub}
	})
	_, err := chain.Retrieve(t.Context())
	if !errors.Is(err, credentials.TrustDenied) {
		t.Fatalf("got %v, want %v", err, credentials.TrustDenied)
	}
	for _, part := range []string{"hop 1 of 2: Retrieve from the hub's chain", "hop 1 of 1: AssumeRoleWithWebIdentity " + s.hub.ARN()} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the message lacks %q:\n%v", part, err)
		}
	}
}

// Whoever gives the chain that has assumed the role already would have the role
// assume itself.
func TestChainThatEndsInTheRoleToAssume(t *testing.T) {
	s := newScene(t)
	inner := s.hubChain(t)
	for name, options := range map[string]func(*credentials.Options){
		"Provider": func(o *credentials.Options) { o.Source = credentials.Provider{Credentials: inner} },
		"FromBase": func(o *credentials.Options) { o.Source = credentials.FromBase{} },
	} {
		_, err := credentials.New(inner.Config(), options, credentials.Assume(s.target.ARN()))
		if !errors.Is(err, credentials.ConfigInvalid) || !strings.Contains(err.Error(), `"`+s.target.ARN()+`" is also the previous hop's role`) {
			t.Errorf("%s: got %v, want %v with the role", name, err, credentials.ConfigInvalid)
		}
	}
}

// What a provider of the user's own may do wrong.
func TestProviderFails(t *testing.T) {
	sealed := errors.New("the vault is sealed")
	keys := aws.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "secret"}
	for _, row := range []struct {
		name     string
		retrieve func(context.Context) (aws.Credentials, error)
		kind     credentials.Kind
		is       error
		want     string
	}{
		{"error", func(context.Context) (aws.Credentials, error) { return keys, sealed }, credentials.Unknown, sealed, "the vault is sealed"},
		{"panic", func(context.Context) (aws.Credentials, error) { panic("no vault") }, credentials.Unknown, nil, "panic: no vault"},
		{"nothing", func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, nil }, credentials.WrongSession, nil, "no keys"},
		{"no end", func(context.Context) (aws.Credentials, error) {
			c := keys
			c.CanExpire = true
			return c, nil
		}, credentials.WrongSession, nil, "no Expiration"},
		{"past", func(context.Context) (aws.Credentials, error) {
			c := keys
			c.CanExpire, c.Expires = true, time.Now().Add(-time.Second)
			return c, nil
		}, credentials.WrongSession, nil, "is past: the session was requested at 2000-01-01T00:00:00Z by the local clock"},
		{"hangs", func(ctx context.Context) (aws.Credentials, error) {
			<-ctx.Done()
			return aws.Credentials{}, ctx.Err()
		}, credentials.RefreshTimeout, context.DeadlineExceeded, "deadline exceeded"},
		{"hangs for ever", func(ctx context.Context) (aws.Credentials, error) {
			time.Sleep(time.Hour) // in the bubble of synctest below
			return keys, nil
		}, credentials.RefreshTimeout, context.DeadlineExceeded, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				chain := newChain(t, s.cloud.Config(), credentials.Assume(s.target.ARN()), func(o *credentials.Options) {
					o.Source = credentials.Provider{Name: "vault", Credentials: aws.CredentialsProviderFunc(row.retrieve)}
				})
				_, err := chain.Retrieve(t.Context())
				if !errors.Is(err, row.kind) || row.is != nil && !errors.Is(err, row.is) {
					t.Errorf("got %v, want %v and %v", err, row.kind, row.is)
				}
				if e, ok := errors.AsType[*credentials.Error](err); !ok || e.Hop != 1 || !strings.Contains(err.Error(), row.want) {
					t.Errorf("got %v, want hop 1 and %q", err, row.want)
				}
				if calls := s.cloud.Calls(); len(calls) > 0 {
					t.Errorf("requests were sent: %v", calls)
				}
				time.Sleep(2 * time.Hour) // who hangs comes back, and is not waited for
			})
		})
	}
}

func TestSourcesDescribeThemselves(t *testing.T) {
	keys := sdkcredentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", "")
	base := newScene(t).cloud.Config()
	base.Credentials = keys
	for _, row := range []struct {
		source  credentials.Source
		string  string
		sources []aws.CredentialSource
	}{
		{credentials.WebIdentity{RoleARN: hubARN, TokenFile: "/token"}, "web identity", []aws.CredentialSource{aws.CredentialSourceSTSAssumeRoleWebID}},
		{credentials.PodIdentity{Endpoint: agentEndpoint, TokenFile: "/token"}, "EKS Pod Identity", []aws.CredentialSource{aws.CredentialSourceHTTP}},
		{credentials.NodeRole{}, "EC2 node role", []aws.CredentialSource{aws.CredentialSourceIMDS}},
		{credentials.FromBase{}, "base configuration", keys.ProviderSources()},
		{credentials.Provider{Credentials: keys}, "provider", keys.ProviderSources()},
		{credentials.Provider{Name: "vault", Credentials: aws.CredentialsProviderFunc(keys.Retrieve)}, "vault", []aws.CredentialSource{aws.CredentialSourceCode}},
	} {
		if got := row.source.String(); got != row.string {
			t.Errorf("%T is %q, want %q", row.source, got, row.string)
		}
		chain := newChain(t, base, credentials.Assume(targetARN), func(o *credentials.Options) { o.Source = row.source })
		want := append(row.sources, aws.CredentialSourceSTSAssumeRole)
		if got := chain.ProviderSources(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: sources %v, want %v", row.string, got, want)
		}
		if got := chain.String(); !strings.HasPrefix(got, row.string+" → ") || !strings.HasSuffix(got, " → "+targetARN) {
			t.Errorf("the chain is %q", got)
		}
	}
}
