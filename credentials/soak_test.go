package credentials_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/credentials"
)

var (
	soakSeeds = flag.Int("soak.seeds", 4, "how many seeds TestSoak runs")
	soakSeed  = flag.Uint64("soak.seed", 0, "the one seed to run, for a replay")
)

const (
	soakTime    = 24 * time.Hour
	soakCalm    = 23 * time.Hour // no faults from here on
	soakCallers = 20
	soakPause   = time.Minute // mean time between two calls of a caller
)

// TestSoak plays a day of faults in virtual time for both routes. At every call
// it holds the chain to its promises; see the checks of [soakRoute].
func TestSoak(t *testing.T) {
	first, count := uint64(1), *soakSeeds
	if *soakSeed != 0 {
		first, count = *soakSeed, 1
	}
	for seed := first; seed < first+uint64(count); seed++ {
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { soak(t, seed) })
			if t.Failed() {
				t.Logf("replay: go test ./credentials -run '^TestSoak$' -soak.seed=%d", seed)
			}
		})
		if !ok {
			t.Logf("seed %d failed", seed)
		}
	}
}

// soak plays one seed's day in a bubble of synctest.
func soak(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	s := newScene(t)
	start := time.Now()
	w := &soakWorld{scene: s, rng: rng, start: start, outages: newOutages(s)}
	w.ledger = newLedger(w.outages)
	base := s.cloud.Config()
	base.HTTPClient = w.ledger

	web := s.web()
	direct := web
	direct.RoleARN = s.target.ARN()
	w.routes = []*soakRoute{
		{name: "hub", world: w, chain: newChain(t, base, func(o *credentials.Options) {
			o.Source, o.Roles = web, []credentials.Role{{ARN: s.target.ARN()}}
		})},
		{name: "direct", world: w, chain: newChain(t, base, func(o *credentials.Options) { o.Source = direct })},
		{name: "fallback", world: w, fallback: true, chain: newChain(t, base, s.with("us-east-2"))},
	}
	for _, r := range w.routes {
		draws := rand.New(rand.NewPCG(seed, 1))
		var mu sync.Mutex
		credentials.SetRandom(r.chain, func() float64 {
			mu.Lock()
			defer mu.Unlock()
			return draws.Float64()
		})
	}

	var wg sync.WaitGroup
	wg.Go(func() { w.playFaults(t) })
	for _, r := range w.routes {
		for i := range soakCallers {
			pauses := rand.New(rand.NewPCG(seed, uint64(10+i)))
			wg.Go(func() {
				for time.Since(start) < soakTime {
					time.Sleep(time.Duration(pauses.ExpFloat64() * float64(soakPause)))
					r.call(t)
				}
			})
		}
	}
	wg.Wait()
	for _, r := range w.routes {
		r.checkEnd(t)
	}
	if calls, most := len(s.cloud.Calls()), w.mostCalls(); calls > most {
		t.Errorf("%d STS requests in the day, at most %d are explained by refreshes and faults", calls, most)
	}
	if t.Failed() {
		for _, line := range w.diary {
			t.Log(line)
		}
	}
}

// soakRoute is one chain and what is known of its last hop's session.
type soakRoute struct {
	name  string
	world *soakWorld
	chain *credentials.Chain

	fallback bool // another region works while the own region is away

	mu        sync.Mutex
	validTill time.Time // promised end of the best session that the chain was given and keeps
	forgotten int       // how often its session was taken away
	lastFail  time.Time
}

// call retrieves once and compares the result with what was true at that moment.
func (r *soakRoute) call(t *testing.T) {
	before := time.Now()
	r.mu.Lock()
	till, forgotten := r.validTill, r.forgotten
	r.mu.Unlock()
	creds, err := r.chain.Retrieve(t.Context())
	took := time.Since(before)
	r.mu.Lock()
	if err != nil && r.fallback && r.world.onlyRegional(before) {
		t.Errorf("%s at %v: failed while another region works: %v", r.name, before.Sub(r.world.start), err)
	}
	undisturbed := forgotten == r.forgotten
	if err != nil {
		r.lastFail = time.Now()
	}
	r.mu.Unlock()

	// The chain may count the last second as gone (Date has whole seconds), and
	// in the last ten a caller may wait two for a refresh in flight: four seconds
	// before the end it is sure to get away with the old session.
	at := fmt.Sprintf("%s at %v", r.name, before.Sub(r.world.start))
	switch left := till.Sub(before); {
	case !undisturbed:
	case left > 4*time.Second && err != nil:
		t.Errorf("%s: failed with %v of a valid session left: %v", at, left, err)
	case left > 12*time.Second && took > 0:
		t.Errorf("%s: waited %v with %v of a valid session left", at, took, left)
	case left > 4*time.Second && took > 2*time.Second:
		t.Errorf("%s: waited %v, more than 2s, with %v of a valid session left", at, took, left)
	}
	if took > 31*time.Second {
		t.Errorf("%s: a call took %v", at, took)
	}
	if err == nil {
		r.take(t, at, creds)
	}
}

// take checks that the credentials are alive by the server's own account of
// them, and remembers their end.
func (r *soakRoute) take(t *testing.T, at string, creds aws.Credentials) {
	end, ok := r.world.ledger.end(creds.AccessKeyID)
	if !ok {
		t.Errorf("%s: key %s was never given by a usable reply", at, creds.AccessKeyID)
		return
	}
	if over := time.Since(end.actual); over >= 0 {
		t.Errorf("%s: handed out %v after its end", at, over)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if end.promised.After(r.validTill) {
		r.validTill = end.promised
	}
}

// forget takes the session away, as a service's report that it is dead does.
func (r *soakRoute) forget(t *testing.T) {
	r.mu.Lock()
	r.validTill = time.Time{}
	r.forgotten++
	r.mu.Unlock()
	if creds, err := r.chain.Retrieve(t.Context()); err == nil {
		r.chain.Invalidate(creds.AccessKeyID)
	}
	r.mu.Lock()
	r.validTill = time.Time{}
	r.forgotten++
	r.mu.Unlock()
}

// checkEnd is asked after the calm hour: all must have recovered within the cap
// of a minute and one refresh's time.
func (r *soakRoute) checkEnd(t *testing.T) {
	calm := r.world.lastFault
	r.mu.Lock()
	defer r.mu.Unlock()
	if late := r.lastFail.Sub(calm); late > 91*time.Second {
		t.Errorf("%s: a call failed %v after the last fault", r.name, late)
	}
	for _, h := range r.chain.Status().Hops {
		if h.Err != nil {
			t.Errorf("%s: hop %s still remembers %v", r.name, h.RoleARN, h.Err)
		}
	}
}
