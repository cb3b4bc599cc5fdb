package credentials_test

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// A long list of roles that do not let us in pushes out one another, and no role
// that works; those of them that are asked for again are remembered.
func TestStrangersPushNobodyOut(t *testing.T) {
	s := newScene(t)
	p, good := s.pool(t, func(o *credentials.PoolOptions) { o.MaxChains = 40 }), s.targets(25)
	use := func() {
		t.Helper()
		for _, role := range good {
			if _, err := poolChain(t, p, role).Retrieve(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		runtime.GC() // what is not in use is gone
	}
	use()
	for _, role := range strangers(500) {
		if _, err := poolChain(t, p, role).Retrieve(t.Context()); !errors.Is(err, credentials.AssumeDenied) {
			t.Fatal(err)
		}
	}
	before := s.count("AssumeRole")
	use()
	if n := s.count("AssumeRole") - before; n != 0 {
		t.Errorf("%d sessions of roles that work were pushed out", n)
	}
	if !strings.HasSuffix(p.String(), "40 roles") {
		t.Errorf("got %s, want 40 roles", p)
	}
}

// A new role finds room among many that work.
func TestPoolOfRolesThatWorkTakesANewOne(t *testing.T) {
	for _, most := range []int{1, 2, 3, 8} {
		s := newScene(t)
		p, roles := s.pool(t, func(o *credentials.PoolOptions) { o.MaxChains = most }), s.targets(most+3)
		for _, role := range roles {
			before := s.count("AssumeRole")
			for range 3 {
				if _, err := poolChain(t, p, role).Retrieve(t.Context()); err != nil {
					t.Fatal(err)
				}
				runtime.GC()
			}
			if n := s.count("AssumeRole") - before; n != 1 {
				t.Errorf("MaxChains %d: %d sessions for three uses", most, n)
			}
		}
	}
}

// A chain that is let go during its first refresh serves those who wait, and is
// the one that is given to others meanwhile.
func TestLettingGoDuringARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		p, roles := s.pool(t, func(o *credentials.PoolOptions) { o.MaxChains = 1 }), s.targets(5)
		s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Delay: 5 * time.Second})
		var wg sync.WaitGroup
		retrieve := func(role credentials.Role) {
			wg.Go(func() {
				if _, err := poolChain(t, p, role).Retrieve(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		for _, role := range roles {
			retrieve(role)
			time.Sleep(time.Millisecond)
		}
		runtime.GC()
		for _, role := range roles {
			retrieve(role)
		}
		wg.Wait()
		if n := s.count("AssumeRole"); n != len(roles) {
			t.Errorf("%d sessions for %d roles", n, len(roles))
		}
	})
}

// Chains that come and go leave nothing behind, and neither does the pool.
func TestPoolLeavesNothingBehind(t *testing.T) {
	s := newScene(t)
	var pool weak.Pointer[credentials.Pool]
	func() {
		p, roles := s.pool(t, func(o *credentials.PoolOptions) { o.MaxChains = 2 }), s.targets(4)
		var inUse []*credentials.Chain
		for _, role := range roles {
			inUse = append(inUse, poolChain(t, p, role))
		}
		before := heapInUse()
		for range 20_000 {
			for _, role := range roles {
				poolChain(t, p, role)
			}
		}
		if grown := heapInUse() - before; grown > 256<<10 {
			t.Errorf("%d bytes more after 80,000 turns", grown)
		}
		runtime.KeepAlive(inUse)
		pool = weak.Make(p)
	}()
	for range 100 {
		if runtime.GC(); pool.Value() == nil {
			return
		}
	}
	t.Error("a pool that is not in use any more is still there")
}

// However many roles are entered: the pool takes the room of MaxChains.
func TestLongListTakesNoMemory(t *testing.T) {
	p := newScene(t).pool(t, func(o *credentials.PoolOptions) { o.MaxChains = 100 })
	roles := many(20_000)
	defer func() { runtime.KeepAlive(p); runtime.KeepAlive(roles) }()
	for _, role := range roles[:100] {
		poolChain(t, p, role)
	}
	before := heapInUse()
	for _, role := range roles {
		poolChain(t, p, role)
	}
	for range 100 { // cleanups run some time after a collection
		// 200 bytes a role: a map keeps its greatest size, and the cleanups lag behind.
		// A chain that stays has 1,200.
		if grown := heapInUse() - before; grown < 4<<20 {
			return
		}
	}
	t.Errorf("%d bytes more after %d roles", heapInUse()-before, len(roles))
}

// heapInUse is what is alive, in bytes.
func heapInUse() int64 {
	runtime.GC()
	runtime.GC() // what the first one's cleanups let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
