package credentials_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/credentials"
)

// Many goroutines over some roles, more than the pool holds, while sessions of
// the roles and of the hub are discarded: every session that is returned is the
// role's own, by the word of STS.
func TestEverySessionIsItsRoles(t *testing.T) {
	s := newScene(t)
	p, roles := s.pool(t, func(o *credentials.PoolOptions) { o.MaxChains = 3 }), s.targets(8)
	base := s.cloud.Config()
	whose := func(creds aws.Credentials) (string, error) {
		cfg := base.Copy()
		cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return creds, nil })
		out, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
		if err != nil {
			return "", err
		}
		return aws.ToString(out.Arn), nil
	}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for range 8 {
				role := roles[rand.IntN(len(roles))]
				c := poolChain(t, p, role)
				creds, err := c.Retrieve(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				caller, err := whose(creds)
				if name := role.ARN[strings.LastIndex(role.ARN, "/")+1:]; err != nil || !strings.Contains(caller, ":assumed-role/"+name+"/") {
					t.Errorf("asked for a session of %s, got one of %s, %v", role.ARN, caller, err)
					return
				}
				if rand.IntN(10) == 0 {
					c.Invalidate(creds.AccessKeyID)
				}
			}
		})
	}
	wg.Wait()
}

// Whoever asks at the same time gets the same chain.
func TestOneChainForAll(t *testing.T) {
	p := newScene(t).pool(t)
	for _, role := range many(300) {
		start, chains := make(chan struct{}), make(chan *credentials.Chain, 8)
		for range cap(chains) {
			go func() {
				<-start
				c, _ := p.Chain(role)
				chains <- c
			}()
		}
		close(start)
		one := <-chains
		for range cap(chains) - 1 {
			if c := <-chains; c == nil || c != one {
				t.Fatalf("%s has two chains", role.ARN)
			}
		}
	}
	n := 0
	for range p.All() {
		n++
	}
	if n != 300 {
		t.Errorf("%d chains, want 300", n)
	}
}

// What is true for all chains is said once.
func TestPoolWarnsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		base, user := s.cloud.Config(), regexp.MustCompile(`(?s)<AssumedRoleUser>.*</AssumedRoleUser>`)
		inner := base.HTTPClient
		base.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
			resp, err := inner.Do(r)
			if err != nil {
				return nil, err
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body = io.NopCloser(bytes.NewReader(user.ReplaceAll(body, nil)))
			return resp, err
		})
		var j journal
		p, err := credentials.NewPool(base, func(o *credentials.PoolOptions) {
			o.Source = s.web()
			j.options(&o.Options)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Warm(t.Context(), s.targets(5), nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the log is written after the callers were served
		if n := strings.Count(j.text(), "no AssumedRoleUser"); n != 1 {
			t.Errorf("said %d times, want once", n)
		}
	})
}
