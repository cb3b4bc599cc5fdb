package credentials_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// pool is a pool of the scene's pod, through the hub if there is none named.
func (s *scene) pool(t testing.TB, optFns ...func(*credentials.PoolOptions)) *credentials.Pool {
	t.Helper()
	p, err := credentials.NewPool(s.cloud.Config(), append([]func(*credentials.PoolOptions){func(o *credentials.PoolOptions) {
		o.Source = s.web()
	}}, optFns...)...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// targets are roles of the shared account that trust the hub.
func (s *scene) targets(n int) []credentials.Role {
	var roles []credentials.Role
	for i := range n {
		r := s.shared.CreateRole(fmt.Sprintf("target-%d", i), trust.RolePolicy(s.hub.ARN()).String(), trust.ReadBucketPolicy("pics", "").String())
		roles = append(roles, credentials.Role{ARN: r.ARN()})
	}
	return roles
}

func poolChain(t testing.TB, p *credentials.Pool, role credentials.Role) *credentials.Chain {
	t.Helper()
	c, err := p.Chain(role)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Many goroutines over some roles: each gets its own role's session, and STS is
// asked once for each, and once for the hub.
func TestPoolSharesTheHub(t *testing.T) {
	s := newScene(t)
	p, roles := s.pool(t), s.targets(8)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			for j := range roles {
				role := roles[(i+j)%len(roles)]
				c := poolChain(t, p, role)
				if _, err := c.Retrieve(t.Context()); err != nil {
					t.Error(err)
					return
				}
				hops := c.Status().Hops
				name := role.ARN[strings.LastIndex(role.ARN, "/"):]
				if len(hops) != 2 || hops[0].RoleARN != s.hub.ARN() || !strings.Contains(hops[1].CallerARN, name+"/") {
					t.Errorf("%s: got a session of %+v", role.ARN, hops)
				}
			}
		})
	}
	wg.Wait()
	if web, assume := s.count("AssumeRoleWithWebIdentity"), s.count("AssumeRole"); web != 1 || assume != len(roles) {
		t.Errorf("%d + %d calls, want 1 + %d", web, assume, len(roles))
	}
	cfg, err := p.Config(credentials.Role{ARN: roles[0].ARN})
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := credentials.ChainOf(cfg); !ok || c != poolChain(t, p, roles[0]) {
		t.Error("Config is signed by another chain than Chain's")
	}
	if got, err := fetch(t.Context(), cfg); err != nil || got != photo {
		t.Errorf("got %q, %v", got, err)
	}
	if name := poolChain(t, p, roles[1]).String(); !strings.HasPrefix(name, "web identity → "+s.hub.ARN()) || !strings.HasSuffix(name, roles[1].ARN) {
		t.Errorf("got %s", name)
	}
}

// For each field of Role: chains that differ in it alone are two, and equal ones
// are one.
func TestPoolTellsRolesApart(t *testing.T) {
	base := func() credentials.Role {
		return credentials.Role{
			ARN: "arn:aws:iam::444455556666:role/a", SessionName: "name", ExternalID: "external", SourceIdentity: "source",
			Policy: trust.ReadBucketPolicy("pics", "").String(), PolicyARNs: []string{"arn:aws:iam::aws:policy/A", "arn:aws:iam::aws:policy/B"}, Duration: time.Hour,
			Tags: map[string]string{"a": "1", "b": "2"}, TransitiveTagKeys: []string{"a"},
		}
	}
	changed := map[string]func(*credentials.Role){
		"ARN":               func(r *credentials.Role) { r.ARN += "b" },
		"SessionName":       func(r *credentials.Role) { r.SessionName = "other" },
		"ExternalID":        func(r *credentials.Role) { r.ExternalID = "" },
		"SourceIdentity":    func(r *credentials.Role) { r.SourceIdentity = "other" },
		"Policy":            func(r *credentials.Role) { r.Policy += " " },
		"PolicyARNs":        func(r *credentials.Role) { r.PolicyARNs = r.PolicyARNs[:1] },
		"Duration":          func(r *credentials.Role) { r.Duration = 30 * time.Minute },
		"Tags":              func(r *credentials.Role) { r.Tags["b"] = "3" },
		"TransitiveTagKeys": func(r *credentials.Role) { r.TransitiveTagKeys = nil },
	}
	p := newScene(t).pool(t)
	one := poolChain(t, p, base())
	if two := poolChain(t, p, base()); two != one {
		t.Error("equal roles have two chains")
	}
	for field := range reflect.TypeFor[credentials.Role]().Fields() {
		change, ok := changed[field.Name]
		if !ok {
			t.Errorf("%s: not tested", field.Name)
			continue
		}
		role := base()
		change(&role)
		if poolChain(t, p, role) == one {
			t.Errorf("roles that differ in %s share a chain", field.Name)
		}
	}
	// What moves from one field to its neighbour is another role, too.
	a, b := base(), base()
	a.SessionName, a.ExternalID = "ab", "cde"
	b.SessionName, b.ExternalID = "abc", "de"
	if poolChain(t, p, a) == poolChain(t, p, b) {
		t.Error("fields run into one another")
	}
}

func TestPoolSettings(t *testing.T) {
	s := newScene(t)
	_, err := credentials.NewPool(s.cloud.Config(), func(o *credentials.PoolOptions) {
		o.Source = s.web()
		o.MaxChains, o.STSRate, o.STSConcurrency = -1, math.NaN(), -2
	})
	for _, name := range []string{"MaxChains", "STSRate", "STSConcurrency"} {
		if !errors.Is(err, credentials.ConfigInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %s in it", err, name)
		}
	}
	p := s.pool(t)
	for _, arn := range []string{"", "nonsense", s.hub.ARN(), "arn:aws-cn:iam::444455556666:role/x"} {
		if _, err := p.Chain(credentials.Role{ARN: arn}); !errors.Is(err, credentials.ConfigInvalid) {
			t.Errorf("%q: got %v", arn, err)
		}
	}
	for c := range p.All() {
		t.Errorf("a bad role left %s behind", c)
	}
	strict := s.pool(t, func(o *credentials.PoolOptions) { o.ExpectedAccount = "999999999999" })
	if _, err := strict.Chain(credentials.Role{ARN: s.target.ARN()}); err == nil {
		t.Error("a role of another account than the expected one was accepted")
	}
}

// An error of the hub says so, and is not asked for by each target.
func TestPoolHubFails(t *testing.T) {
	s := newScene(t)
	s.hub.SetTrust(trust.RolePolicy(s.target.ARN()).String())
	p := s.pool(t)
	for _, role := range s.targets(5) {
		_, err := poolChain(t, p, role).Retrieve(t.Context())
		if !errors.Is(err, credentials.TrustDenied) || !strings.Contains(err.Error(), "hop 1 of 2") {
			t.Errorf("got %v", err)
		}
	}
	if n := len(s.cloud.Calls()); n != 1 {
		t.Errorf("%d calls, want one", n)
	}
}

// Chains beyond the limit are evicted, and keep working where they are in use.
func TestPoolLetsGo(t *testing.T) {
	s := newScene(t)
	p, roles := s.pool(t, func(o *credentials.PoolOptions) { o.MaxChains = 2 }), s.targets(6)
	kept := poolChain(t, p, roles[0])
	if _, err := kept.Retrieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, role := range roles[1:] {
		if _, err := poolChain(t, p, role).Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	before := len(s.cloud.Calls())
	if _, err := kept.Retrieve(t.Context()); err != nil {
		t.Errorf("a chain in use broke: %v", err)
	}
	if poolChain(t, p, roles[0]) != kept {
		t.Error("a chain in use has a double")
	}
	if n := len(s.cloud.Calls()); n != before {
		t.Errorf("%d calls for sessions that were there", n-before)
	}
	count := func() int {
		n := 0
		for range p.All() {
			n++
		}
		return n
	}
	for range 100 { // cleanups run some time after a collection
		if runtime.GC(); count() <= 2 {
			break
		}
		runtime.Gosched()
	}
	if n := count(); n > 2 {
		t.Errorf("%d chains are in memory", n)
	}
	runtime.KeepAlive(kept)
}

// Who does not let us in is asked less and less often; who was busy, soon.
func TestPoolRemembersDenialsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		p, roles := s.pool(t), s.targets(1)
		denied := poolChain(t, p, credentials.Role{ARN: "arn:aws:iam::444455556666:role/nobody"})
		busy := poolChain(t, p, roles[0])
		if _, err := denied.Retrieve(t.Context()); !errors.Is(err, credentials.AssumeDenied) {
			t.Fatal(err)
		}
		s.cloud.Fault(awstest.Fault{RoleARN: roles[0].ARN, Status: 400, Code: "Throttling"})
		if _, err := busy.Retrieve(t.Context()); !errors.Is(err, credentials.Throttled) {
			t.Fatal(err)
		}
		if next := time.Until(busy.Status().Hops[1].NextAttempt); next > time.Minute {
			t.Errorf("a role that was busy is asked for again in %v", next)
		}
		before := s.count("AssumeRole")
		latest, calls, longest := time.Now(), before, time.Duration(0)
		for range 2 * 60 * 60 {
			_, _ = denied.Retrieve(t.Context()) // is denied
			if n := s.count("AssumeRole"); n > calls {
				latest, calls = time.Now(), n
			}
			longest = max(longest, time.Since(latest))
			time.Sleep(time.Second)
		}
		if n := calls - before; n > 15 {
			t.Errorf("%d calls in two hours for a role that does not let us in", n)
		}
		if longest > 15*time.Minute {
			t.Errorf("%v without a call, want at most 15 minutes", longest)
		}
	})
}
