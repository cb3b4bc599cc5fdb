package credentials_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
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
	soakCallers = 12
	soakPause   = time.Minute // mean time between two calls of a caller
)

// soakRecovery is how long after a trouble calls may still fail: a refresh that began in
// it may take 30 seconds to end, and the pause after it 20.
const soakRecovery = 51 * time.Second

// TestSoak plays a day of faults in virtual time for three chains: the hub route, the direct
// one, and a hub route with a fallback region, which for every second seed starts from a
// node's agent and runs KeepFresh. At every call it holds the chain to its promises; see the
// checks of [soakRoute].
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
	w := &soakWorld{scene: s, rng: rng, start: start, outages: newOutages(s), agent: newSoakAgent(s), link: t.TempDir() + "/token"}
	w.ledger = newLedger(w.outages)
	s.pod.Rotate(forAYear) // no kubelet rotates it
	check(t, os.Symlink(s.pod.TokenFile(), w.link))
	base := s.cloud.Config()
	base.HTTPClient = w.ledger
	withAgent := base
	withAgent.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
		if "http://"+r.URL.Host+r.URL.Path == agentEndpoint {
			return w.agent.Do(r)
		}
		return w.ledger.Do(r)
	})
	agentToken := t.TempDir() + "/agent-token"
	write(t, agentToken, "agent-token")

	// The ARNs stay when a role is created again.
	web := credentials.WebIdentity{RoleARN: s.hub.ARN(), TokenFile: w.link}
	direct := credentials.WebIdentity{RoleARN: s.target.ARN(), TokenFile: w.link}
	roles := []credentials.Role{{ARN: s.target.ARN()}}
	w.routes = []*soakRoute{
		{name: "hub", callers: soakCallers, make: func() (*credentials.Chain, error) {
			return credentials.New(base, func(o *credentials.Options) { o.Source, o.Roles = web, roles })
		}},
		{name: "direct", callers: soakCallers, make: func() (*credentials.Chain, error) {
			return credentials.New(base, func(o *credentials.Options) { o.Source = direct })
		}},
		{name: "fallback", callers: soakCallers, make: func() (*credentials.Chain, error) {
			return credentials.New(base, func(o *credentials.Options) {
				o.Source, o.Roles, o.FallbackRegions = web, roles, []string{"us-east-2"}
			})
		}},
		{name: "agent", callers: 1, make: func() (*credentials.Chain, error) {
			return credentials.New(withAgent, func(o *credentials.Options) {
				o.Source = credentials.PodIdentity{Endpoint: agentEndpoint, TokenFile: agentToken}
				o.Roles, o.FallbackRegions = roles, []string{"us-east-2"}
			})
		}},
	}
	for _, r := range w.routes {
		draws := rand.New(rand.NewPCG(seed, 1))
		var mu sync.Mutex
		r.world, r.random = w, func() float64 {
			mu.Lock()
			defer mu.Unlock()
			return draws.Float64()
		}
	}
	other := 2 + int(seed%2)
	w.routes = slices.Delete(w.routes, other, other+1)
	w.startAll(t)

	var wg sync.WaitGroup
	wg.Go(func() { w.playFaults(t) })
	for _, r := range w.routes {
		for i := range r.callers {
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
		r.stop()
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

// startAll starts the program of every route, anew if it runs.
func (w *soakWorld) startAll(t *testing.T) {
	w.starts++
	for _, r := range w.routes {
		r.restart(t)
	}
}

// forget takes every route's session away.
func (w *soakWorld) forget(t *testing.T) {
	for _, r := range w.routes {
		r.forget(t)
		w.taken++
	}
}

// soakRoute is a program with one chain and what is known of its last hop's session.
type soakRoute struct {
	name    string
	callers int
	make    func() (*credentials.Chain, error)
	random  func() float64
	world   *soakWorld

	mu        sync.Mutex
	chain     *credentials.Chain
	stop      context.CancelFunc // of KeepFresh
	validTill time.Time          // promised end of the best session that the chain was given and keeps
	forgotten int                // how often its session was taken away
	spared    bool               // nothing is wrong that may make a call fail
	safeFrom  time.Time          // from then on, as long as it is spared
}

func (r *soakRoute) isDirect() bool    { return r.name == "direct" }
func (r *soakRoute) hasAgent() bool    { return r.name == "agent" }
func (r *soakRoute) hasFallback() bool { return r.name == "fallback" || r.hasAgent() }

// restart replaces the chain by a new one, which remembers nothing: from now on all is well.
func (r *soakRoute) restart(t *testing.T) {
	chain, err := r.make()
	check(t, err)
	credentials.SetRandom(chain, r.random)
	ctx, stop := context.WithCancel(context.Background())
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop != nil {
		r.stop()
	}
	r.chain, r.stop, r.validTill, r.spared, r.safeFrom = chain, stop, time.Time{}, true, time.Now()
	r.forgotten++
	if r.hasAgent() {
		go chain.KeepFresh(ctx)
	}
}

// spare notes whether calls may fail from now on. After a trouble they may for a while.
func (r *soakRoute) spare(spared bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if spared && !r.spared {
		r.safeFrom = time.Now().Add(soakRecovery)
	}
	r.spared = spared
}

// call retrieves once and compares the result with what was true at that moment.
func (r *soakRoute) call(t *testing.T) {
	before := time.Now()
	r.mu.Lock()
	chain, till, forgotten, safe := r.chain, r.validTill, r.forgotten, r.spared && !before.Before(r.safeFrom)
	r.mu.Unlock()
	creds, err := chain.Retrieve(t.Context())
	took := time.Since(before)
	at := fmt.Sprintf("%s at %v", r.name, before.Sub(r.world.start))
	r.mu.Lock()
	undisturbed, same := forgotten == r.forgotten, chain == r.chain
	if err != nil && safe && r.spared && same {
		t.Errorf("%s: failed though nothing is wrong that it may notice: %v", at, err)
	}
	r.mu.Unlock()

	// The chain may count the last second as gone (Date has whole seconds), and
	// in the last ten a caller may wait two for a refresh in flight: four seconds
	// before the end it is sure to get away with the old session.
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
		r.take(t, at, creds, chain)
	}
}

// take checks that the credentials are alive by the server's own account of
// them, and remembers their end.
func (r *soakRoute) take(t *testing.T, at string, creds aws.Credentials, chain *credentials.Chain) {
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
	if chain == r.chain && end.promised.After(r.validTill) {
		r.validTill = end.promised
	}
}

// forget takes the session away, as a service's report that it is dead does.
func (r *soakRoute) forget(t *testing.T) {
	r.mu.Lock()
	chain := r.chain
	r.validTill = time.Time{}
	r.forgotten++
	r.mu.Unlock()
	if creds, err := chain.Retrieve(t.Context()); err == nil {
		chain.Invalidate(creds.AccessKeyID)
	}
	r.mu.Lock()
	r.validTill = time.Time{}
	r.forgotten++
	r.mu.Unlock()
}

// checkEnd is called after the calm hour: nothing is remembered of the faults.
func (r *soakRoute) checkEnd(t *testing.T) {
	for _, h := range r.chain.Status().Hops {
		if h.Err != nil {
			t.Errorf("%s: hop %s still remembers %v", r.name, h.RoleARN, h.Err)
		}
	}
}
