package credentials_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/trust"
)

// soakWorld plays a seeded schedule of faults on a scene.
type soakWorld struct {
	*scene
	rng    *rand.Rand
	start  time.Time
	ledger *ledger
	routes []*soakRoute

	outages  *outages
	regional atomic.Int64 // from when on a regional outage is all that is wrong, in ns; 0: it is not

	lastFault time.Time
	faulty    time.Duration // all spells together
	spells    int
	taken     int // sessions taken away
	diary     []string
}

// playFaults runs spell after spell, with pauses between, up to the calm hour,
// in the bubble of synctest.
func (w *soakWorld) playFaults(t *testing.T) {
	for {
		time.Sleep(time.Duration(w.rng.ExpFloat64() * float64(25*time.Minute)))
		left := soakCalm - time.Since(w.start)
		if left <= 0 {
			break
		}
		length := min(left, time.Duration(w.rng.ExpFloat64()*float64(12*time.Minute)))
		what := spells[w.rng.IntN(len(spells))]
		w.diary = append(w.diary, fmt.Sprintf("%v: %s for %v", time.Since(w.start), what.name, length))
		w.spells++
		w.faulty += length
		end := what.begin(w, t)
		time.Sleep(length)
		if end != nil {
			end()
		}
		w.lastFault = time.Now()
	}
}

// mostCalls bounds the requests of both routes: a refresh for each session's
// window, and for each spell the attempts of a first flight, the growing
// pauses, and then one in 16 seconds.
func (w *soakWorld) mostCalls() int {
	// The hops of the fallback route may ask two regions.
	const hops, refreshes, start = 3 + 2*2, int(soakTime / (45 * time.Minute)), 20
	spell := w.spells*(12+7) + int(w.faulty/(16*time.Second))
	return hops*(refreshes+start+spell+4*w.taken) + 2*w.spells
}

// spell is one kind of trouble: begin starts it and returns what ends it.
type spell struct {
	name  string
	begin func(w *soakWorld, t *testing.T) (end func())
}

func fault(name string, f awstest.Fault) spell {
	return spell{name, func(w *soakWorld, _ *testing.T) func() { return w.cloud.Fault(f) }}
}

var spells = []spell{
	fault("503", awstest.Fault{Status: 503, Code: "ServiceUnavailable"}),
	fault("500 at hop 2", awstest.Fault{Operation: "AssumeRole", Status: 500, Code: "InternalFailure"}),
	fault("throttling", awstest.Fault{Status: 400, Code: "Throttling"}),
	fault("a few throttles", awstest.Fault{Status: 400, Code: "Throttling", Times: 5}),
	fault("hang", awstest.Fault{Hang: true}),
	fault("dropped connections", awstest.Fault{Drop: true}),
	fault("access denied", awstest.Fault{Status: 403, Code: "AccessDenied"}),
	fault("access denied at hop 1", awstest.Fault{Operation: "AssumeRoleWithWebIdentity", Status: 403, Code: "AccessDenied"}),
	fault("slow", awstest.Fault{Delay: 4 * time.Second}),
	fault("very slow", awstest.Fault{Delay: 40 * time.Second}),
	fault("no Expiration", awstest.Fault{NoExpiration: true}),
	regionalOutage("own region refuses", refuses),
	regionalOutage("own region hangs", never),
	regionalOutage("own region: 503", replies(503, "ServiceUnavailable", "")),
	{"Expiration in the past", func(w *soakWorld, _ *testing.T) func() {
		past := time.Now().Add(-time.Hour)
		return w.cloud.Fault(awstest.Fault{Expiration: &past})
	}},
	{"rotation", func(w *soakWorld, _ *testing.T) func() { w.pod.Rotate(); return nil }},
	{"garbage token", func(w *soakWorld, _ *testing.T) func() {
		w.pod.Mount([]byte("<html>not a token</html>"))
		return func() { w.pod.Rotate() }
	}},
	{"half a token", func(w *soakWorld, _ *testing.T) func() {
		token := w.blue.Token("default", "s3-shared-content")
		w.pod.Mount([]byte(token[:len(token)/2]))
		return func() { w.pod.Mount([]byte(token + "\n")) }
	}},
	{"expired token", func(w *soakWorld, _ *testing.T) func() {
		w.pod.Rotate(func(token *trust.Token) { token.Expires = time.Now().Add(-time.Minute) })
		return func() { w.pod.Rotate() }
	}},
	{"server clock ahead", clockStep(40 * time.Minute)},
	{"server clock behind", clockStep(-40 * time.Minute)},
	{"hub sessions revoked", func(w *soakWorld, _ *testing.T) func() {
		w.hub.RevokeSessions()
		w.taken++
		return nil
	}},
	{"target sessions revoked", func(w *soakWorld, t *testing.T) func() {
		w.target.RevokeSessions()
		for _, r := range w.routes {
			r.forget(t)
			w.taken++
		}
		return nil
	}},
	{"revoked while STS is down", func(w *soakWorld, t *testing.T) func() {
		end := w.cloud.Fault(awstest.Fault{Status: 503, Code: "ServiceUnavailable"})
		w.target.RevokeSessions()
		for _, r := range w.routes {
			r.forget(t)
			w.taken++
		}
		return end
	}},
}

// regionalOutage takes STS of the own region away. What went wrong before may be
// remembered for a minute and a refresh's time.
func regionalOutage(name string, fail func(*http.Request) (*http.Response, error)) spell {
	return spell{name, func(w *soakWorld, _ *testing.T) func() {
		w.outages.set(home, fail)
		w.regional.Store(time.Now().Add(91 * time.Second).UnixNano())
		return func() {
			w.regional.Store(0)
			w.outages.set(home, nil)
		}
	}}
}

// onlyRegional reports whether a regional outage is all that is wrong since a while before
// at, and still is.
func (w *soakWorld) onlyRegional(at time.Time) bool {
	from := w.regional.Load()
	return from != 0 && at.UnixNano() > from
}

// clockStep moves the server's clock for a while and back.
func clockStep(by time.Duration) func(*soakWorld, *testing.T) func() {
	return func(w *soakWorld, _ *testing.T) func() {
		w.taken += 2 // sessions may die of it at the server
		return w.cloud.Fault(awstest.Fault{ServerClock: by})
	}
}
