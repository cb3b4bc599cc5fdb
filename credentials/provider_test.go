package credentials_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	sdkcredentials "github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// embedding is a provider of a user's own around a chain.
type embedding struct{ *credentials.Chain }

// hubProviders give sessions of the hub and keep them.
func (s *scene) hubProviders(t *testing.T) map[string]aws.CredentialsProvider {
	hub := func() *credentials.Chain {
		return newChain(t, s.cloud.Config(), func(o *credentials.Options) { o.Source = s.web() })
	}
	return map[string]aws.CredentialsProvider{
		"chain":          hub(),
		"embeds a chain": embedding{hub()},
		"SDK's cache": aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			return hub().Retrieve(ctx)
		})),
	}
}

// A provider that gave a session which STS refuses hears of it, whatever keeps
// that session.
func TestRefusedSessionReachesTheProvider(t *testing.T) {
	s := newScene(t)
	for name, provider := range s.hubProviders(t) {
		for _, source := range []credentials.Source{credentials.FromBase{}, credentials.Provider{Credentials: provider}} {
			t.Run(name+" "+source.String(), func(t *testing.T) {
				base := s.cloud.Config()
				base.Credentials = provider
				chain := newChain(t, base, credentials.Assume(s.target.ARN()), func(o *credentials.Options) { o.Source = source })
				creds, err := chain.Retrieve(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				s.hub.RevokeSessions()
				chain.Invalidate(creds.AccessKeyID)
				sessions := s.count("AssumeRoleWithWebIdentity")
				if _, err := chain.Retrieve(t.Context()); err != nil {
					t.Error(err)
				}
				if n := s.count("AssumeRoleWithWebIdentity") - sessions; n != 1 {
					t.Errorf("%d new sessions of the hub, want 1", n)
				}
			})
		}
	}
}

// The same where the provider's session is what services see.
func TestInvalidateReachesTheProvider(t *testing.T) {
	s := newScene(t)
	inner := s.directChain(t)
	chain := newChain(t, s.cloud.Config(), func(o *credentials.Options) { o.Source = credentials.Provider{Credentials: inner} })
	first, err := chain.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	chain.Invalidate("ASIASOMEOTHERKEY")
	if again, _ := inner.Retrieve(t.Context()); again.AccessKeyID != first.AccessKeyID {
		t.Error("another key's report cost the provider's session")
	}
	chain.Invalidate(first.AccessKeyID)
	if again, err := inner.Retrieve(t.Context()); err != nil || again.AccessKeyID == first.AccessKeyID {
		t.Errorf("the provider still gives %s, %v", again.AccessKeyID, err)
	}
}

// slowToHear is the SDK's cache of a provider that takes a while to give its
// session up.
type slowToHear struct{ *aws.CredentialsCache }

func (p slowToHear) Invalidate() {
	time.Sleep(time.Second) // in the bubble of synctest below
	p.CredentialsCache.Invalidate()
}

// Many requests are refused at the same time: the provider is notified once, and no caller gets
// the dead key from it meanwhile.
func TestManyRefusalsReachTheProviderOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		cache := aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			return s.directChain(t).Retrieve(ctx)
		}))
		cfg := newChain(t, s.cloud.Config(), func(o *credentials.Options) {
			o.Source = credentials.Provider{Credentials: slowToHear{cache}}
		}).Config()
		if _, err := fetch(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		s.target.RevokeSessions()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if got, err := fetch(t.Context(), cfg); err != nil || got != photo {
					t.Errorf("%q, %v", got, err)
				}
			})
		}
		wg.Wait()
		if n := s.count("AssumeRoleWithWebIdentity"); n != 2 {
			t.Errorf("%d sessions for one revocation, want 2", n)
		}
	})
}

// STS says the same of a key that is mistyped as of a region that is off: the
// fixes begin with what is likely, and say both (case B30).
func TestKeyThatSTSDoesNotKnow(t *testing.T) {
	s := newScene(t)
	for _, tt := range []struct {
		name, token string
		kind        credentials.Kind
		fixes       [2]string // the beginnings
	}{
		{"long-lived", "", credentials.Unknown, [2]string{"check the access key that the vault gives", "if the key is right, enable the region"}},
		{"session", "token", credentials.RegionNotEnabled, [2]string{"enable the region", "or else the caller's session from the vault was revoked"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Status: 403, Code: "InvalidClientTokenId", Message: "The security token included in the request is invalid."})
			before := s.count("AssumeRole")
			chain := newChain(t, s.cloud.Config(), credentials.Assume(s.target.ARN()), func(o *credentials.Options) {
				o.Source = credentials.Provider{Name: "vault", Credentials: sdkcredentials.NewStaticCredentialsProvider("AKIAMISTYPED", "secret", tt.token)}
			})
			_, err := chain.Retrieve(t.Context())
			e, ok := errors.AsType[*credentials.Error](err)
			if !ok || e.Kind != tt.kind || len(e.Fixes) != 2 || !strings.HasPrefix(e.Fixes[0], tt.fixes[0]) || !strings.HasPrefix(e.Fixes[1], tt.fixes[1]) {
				t.Errorf("got %v, want %v and %q", err, tt.kind, tt.fixes)
			}
			if n := s.count("AssumeRole") - before; n != 1 {
				t.Errorf("%d requests with the same key, want 1", n)
			}
		})
	}
}

// stuck is a provider whose Invalidate blocks, or panics.
type stuck struct {
	aws.CredentialsProvider
	invalidate func()
}

func (p stuck) Invalidate() { p.invalidate() }

// A provider that is slow to discard a session, or panics, holds no request beyond
// its context and ends no process.
func TestProviderThatDoesNotDiscardItsSession(t *testing.T) {
	for name, invalidate := range map[string]func(){
		"blocks": func() { select {} },
		"panics": func() { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			inner := s.directChain(t)
			chain := newChain(t, s.cloud.Config(), func(o *credentials.Options) {
				o.Source = credentials.Provider{Credentials: stuck{inner, invalidate}}
			})
			creds, err := chain.Retrieve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s.target.RevokeSessions()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			for range 3 {
				before := time.Now()
				if _, err := fetch(ctx, chain.Config()); err == nil {
					t.Error("a revoked session was taken")
				}
				chain.Invalidate(creds.AccessKeyID)
				if took := time.Since(before); took > 5*time.Second {
					t.Errorf("held for %v", took)
				}
			}
		})
	}
}

// A provider's error stays the hop's, even if the SDK had retried what the provider does.
func TestProviderWhoseRequestsWereRetried(t *testing.T) {
	for name, inner := range map[string]error{"an error": errors.New("vault is sealed"), "an error of a chain": &credentials.Error{Kind: credentials.AssumeDenied}} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			retried := &retry.MaxAttemptsError{Attempt: 3, Err: inner}
			chain := newChain(t, s.cloud.Config(), credentials.Assume(s.target.ARN()), func(o *credentials.Options) {
				o.Source = credentials.Provider{Name: "vault", Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
					return aws.Credentials{}, fmt.Errorf("login: %w", retried)
				})}
			})
			_, err := chain.Retrieve(t.Context())
			e, ok := errors.AsType[*credentials.Error](err)
			if !ok || e.Hop != 1 || !strings.Contains(e.Operation, "Retrieve from") || !errors.Is(err, inner) || !errors.Is(err, retried) {
				t.Errorf("got %#v: %v", e, err)
			}
			if n := s.count("AssumeRole"); n != 0 {
				t.Errorf("%d requests", n)
			}
		})
	}
}
