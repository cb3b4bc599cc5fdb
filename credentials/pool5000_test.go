package credentials_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/credentials"
)

// many are roles of as many accounts.
func many(n int) []credentials.Role {
	roles := make([]credentials.Role, n)
	for i := range roles {
		roles[i].ARN = fmt.Sprintf("arn:aws:iam::%012d:role/audit", i)
	}
	return roles
}

// Five thousand targets through one hub at an account's quota of 600 requests a
// second: one call for each and one for the hub, no request is throttled, and the
// quota is used to within a tenth.
func TestWarmFiveThousand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, rate = 5000, 600
		s := newScene(t)
		gate := &quota{inner: wideSTS(), perSecond: rate, tokens: rate / 60}
		base := s.cloud.Config()
		base.HTTPClient = gate
		p, err := credentials.NewPool(base, func(o *credentials.PoolOptions) { o.Source, o.STSRate = s.web(), rate })
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := p.Warm(t.Context(), many(n), nil); err != nil {
			t.Fatal(err)
		}
		if gate.asked != n+1 {
			t.Errorf("%d calls, want %d", gate.asked, n+1)
		}
		if took, most := time.Since(start).Seconds(), 1.1*(n+1)/rate; took > most {
			t.Errorf("took %.2f s, want at most %.2f", took, most)
		}
	})
}

// A chain that idles, with a session token of 1,024 bytes, takes at most 4 KiB.
func TestChainOfAPoolIsSmall(t *testing.T) {
	const n = 1000
	s := newScene(t)
	base := s.cloud.Config()
	base.HTTPClient = wideSTS()
	p, err := credentials.NewPool(base, func(o *credentials.PoolOptions) { o.Source = s.web() })
	if err != nil {
		t.Fatal(err)
	}
	roles := many(n + 1)
	use := func(role credentials.Role) {
		if _, err := poolChain(t, p, role).Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	use(roles[n]) // what they share
	before := heapInUse()
	for _, role := range roles[:n] {
		use(role)
	}
	each := (heapInUse() - before) / n
	runtime.KeepAlive(p)
	runtime.KeepAlive(roles)
	if t.Logf("%d bytes for each chain", each); each > 4096 || each < 1024 {
		t.Error("want at most 4,096, and the token's 1,024")
	}
}

// Among many chains as alone, a session that is valid costs no allocation.
func TestFreshSessionOfAPoolCostsNoAllocation(t *testing.T) {
	s := newScene(t)
	p := s.pool(t)
	var chains []*credentials.Chain
	for _, role := range s.targets(10) {
		c := poolChain(t, p, role)
		if _, err := c.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		chains = append(chains, c)
	}
	ctx, i := t.Context(), 0
	if n := testing.AllocsPerRun(1000, func() { i++; chains[i%len(chains)].Retrieve(ctx) }); n != 0 {
		t.Errorf("%v allocations a call, want none", n)
	}
}
