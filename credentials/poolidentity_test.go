package credentials_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/credentials"
)

// Many goroutines over some roles, more than the pool holds, while sessions of
// the roles and of the hub are given up: every session that is returned is the
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
