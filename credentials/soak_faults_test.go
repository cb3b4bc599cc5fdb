package credentials_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

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

	outages *outages
	agent   *soakAgent
	link    string // to the pod's token file; chains read the token here

	faulty time.Duration // all spells together
	spells int
	taken  int // sessions taken away
	starts int // of every route's program
	diary  []string
}

// spellMean is how long a spell lasts on average, if it does not say otherwise.
// outageMean lets one in eight outlast a session.
const (
	spellMean  = 12 * time.Minute
	outageMean = 30 * time.Minute
)

// playFaults runs spell after spell, with pauses between, up to the calm hour,
// in the bubble of synctest.
func (w *soakWorld) playFaults(t *testing.T) {
	for {
		time.Sleep(time.Duration(w.rng.ExpFloat64() * float64(45*time.Minute)))
		left := soakCalm - time.Since(w.start)
		if left <= 0 {
			break
		}
		what := spells[w.rng.IntN(len(spells))]
		length := min(left, time.Duration(w.rng.ExpFloat64()*float64(cmp.Or(what.mean, spellMean))))
		w.diary = append(w.diary, fmt.Sprintf("%v: %s for %v", time.Since(w.start), what.name, length))
		w.spells++
		w.faulty += length
		for _, r := range w.routes {
			r.spare(what.spares != nil && what.spares(r))
		}
		end := what.begin(w, t)
		time.Sleep(length)
		if end != nil {
			end()
		}
		for _, r := range w.routes {
			r.spare(true)
		}
	}
}

// mostCalls bounds the requests of all routes: a refresh for each session's window, the
// attempts of each first session, and for each spell the attempts of a refresh, the growing
// pauses, and then one in 16 seconds.
func (w *soakWorld) mostCalls() int {
	// The hops of the third route may ask two regions.
	const hops, refreshes, start = 3 + 2*2, int(soakTime / (45 * time.Minute)), 20
	spell := w.spells*(12+7) + int(w.faulty/(16*time.Second))
	return hops*(refreshes+start*w.starts+spell+4*w.taken) + 2*w.spells
}

// spell is one kind of trouble: begin starts it and returns what ends it. No call of a
// route that it spares may fail.
type spell struct {
	name   string
	begin  func(w *soakWorld, t *testing.T) (end func())
	spares func(r *soakRoute) bool // nil: none
	mean   time.Duration           // zero: spellMean
}

// sparesAll is for troubles that no caller may see.
func sparesAll(*soakRoute) bool { return true }

func fault(name string, f awstest.Fault) spell {
	return spell{name: name, begin: func(w *soakWorld, _ *testing.T) func() { return w.cloud.Fault(f) }}
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
	{name: "slow", spares: sparesAll, begin: fault("", awstest.Fault{Delay: 4 * time.Second}).begin},
	fault("very slow", awstest.Fault{Delay: 40 * time.Second}),
	fault("no Expiration", awstest.Fault{NoExpiration: true}),
	{name: "Expiration in the past", begin: func(w *soakWorld, _ *testing.T) func() {
		past := time.Now().Add(-time.Hour)
		return w.cloud.Fault(awstest.Fault{Expiration: &past})
	}},

	regionalOutage("own region refuses", home, refuses),
	regionalOutage("own region hangs", home, never),
	regionalOutage("own region: 503", home, replies(503, "ServiceUnavailable", "")),
	regionalOutage("fallback region hangs", nearby, never),
	{name: "outage moves from region to region", mean: outageMean, spares: (*soakRoute).hasFallback, begin: func(w *soakWorld, _ *testing.T) func() {
		w.outages.set(home, never)
		moves := time.AfterFunc(10*time.Minute, func() {
			w.outages.set(home, nil)
			w.outages.set(nearby, refuses)
		})
		return func() {
			moves.Stop()
			w.outages.set(home, nil)
			w.outages.set(nearby, nil)
		}
	}},

	slowStart("STS refuses", 27*time.Second, stsLate(refuses)),
	slowStart("STS hangs", 18*time.Second, stsLate(never)),
	slowStart("STS: 503", 27*time.Second, stsLate(replies(503, "ServiceUnavailable", ""))),
	slowStart("no token file", 27*time.Second, func(w *soakWorld, t *testing.T) func() {
		check(t, os.Remove(w.link))
		return func() { check(t, os.Symlink(w.pod.TokenFile(), w.link)) }
	}),
	slowStart("no agent", 27*time.Second, func(w *soakWorld, _ *testing.T) func() {
		w.agent.away.Store(true)
		return func() { w.agent.away.Store(false) }
	}),

	denial("target's trust policy", nil, func(w *soakWorld, _ *testing.T) (repair func()) {
		repaired := targetTrust(w.scene)
		w.target.SetTrust(trust.RolePolicy("arn:aws:iam::" + w.shared.ID() + ":root").String())
		return func() { w.target.SetTrust(repaired) }
	}),
	denial("hub's trust policy", (*soakRoute).isDirect, func(w *soakWorld, _ *testing.T) (repair func()) {
		w.hub.SetTrust(trust.RolePolicy("arn:aws:iam::" + w.dev.ID() + ":root").String())
		return func() { w.hub.SetTrust(hubTrust(w.scene)) }
	}),
	denial("hub's permissions", (*soakRoute).isDirect, func(w *soakWorld, _ *testing.T) (repair func()) {
		w.hub.SetPolicy("")
		return func() { w.hub.SetPolicy(hubPolicy) }
	}),
	// The sessions of a deleted role die. A trust policy that names the role has to be saved
	// again, because the new role has another unique ID.
	denial("hub deleted and created again", (*soakRoute).isDirect, func(w *soakWorld, _ *testing.T) (repair func()) {
		w.taken++
		w.dev.DeleteRole(w.hub)
		return func() {
			w.hub = w.dev.CreateRole("hub", hubTrust(w.scene), hubPolicy)
			w.target.SetTrust(targetTrust(w.scene))
		}
	}),
	denial("target deleted and created again", nil, func(w *soakWorld, t *testing.T) (repair func()) {
		w.shared.DeleteRole(w.target)
		w.forget(t)
		return func() { w.target = w.shared.CreateRole("S3_Pics", targetTrust(w.scene), targetPolicy) }
	}),

	{name: "rotation", spares: sparesAll, begin: func(w *soakWorld, _ *testing.T) func() { w.pod.Rotate(); return nil }},
	{name: "garbage token", spares: (*soakRoute).hasAgent, begin: func(w *soakWorld, _ *testing.T) func() {
		w.pod.Mount([]byte("<html>not a token</html>"))
		return func() { w.pod.Rotate() }
	}},
	{name: "half a token", spares: (*soakRoute).hasAgent, begin: func(w *soakWorld, _ *testing.T) func() {
		token := w.blue.Token("default", "s3-shared-content")
		w.pod.Mount([]byte(token[:len(token)/2]))
		return func() { w.pod.Mount([]byte(token + "\n")) }
	}},
	{name: "expired token", spares: (*soakRoute).hasAgent, begin: func(w *soakWorld, _ *testing.T) func() {
		w.pod.Rotate(func(token *trust.Token) { token.Expires = time.Now().Add(-time.Minute) })
		return func() { w.pod.Rotate() }
	}},
	{name: "server clock ahead", begin: clockStep(40 * time.Minute)},
	{name: "server clock behind", begin: clockStep(-40 * time.Minute)},
	{name: "hub sessions revoked", spares: sparesAll, begin: func(w *soakWorld, _ *testing.T) func() {
		w.hub.RevokeSessions()
		w.taken++
		return nil
	}},
	{name: "target sessions revoked", spares: sparesAll, begin: func(w *soakWorld, t *testing.T) func() {
		w.target.RevokeSessions()
		w.forget(t)
		return nil
	}},
	{name: "revoked while STS is down", begin: func(w *soakWorld, t *testing.T) func() {
		end := w.cloud.Fault(awstest.Fault{Status: 503, Code: "ServiceUnavailable"})
		w.target.RevokeSessions()
		w.forget(t)
		return end
	}},
}

// regionalOutage takes STS of one region away, often for longer than a session lasts.
func regionalOutage(name, host string, fail func(*http.Request) (*http.Response, error)) spell {
	return spell{name: name, mean: outageMean, spares: func(r *soakRoute) bool { return host != home || r.hasFallback() }, begin: func(w *soakWorld, _ *testing.T) func() {
		w.outages.set(host, fail)
		return func() { w.outages.set(host, nil) }
	}}
}

// slowStart starts every program anew, on a node where something is late by a random time
// up to most.
func slowStart(what string, most time.Duration, breakIt func(w *soakWorld, t *testing.T) (repair func())) spell {
	return spell{name: "slow start: " + what, spares: sparesAll, begin: func(w *soakWorld, t *testing.T) func() {
		repair := breakIt(w, t)
		w.startAll(t)
		time.Sleep(time.Duration(w.rng.Float64() * float64(most))) // in the bubble of synctest
		repair()
		return nil
	}}
}

// stsLate makes STS of all regions fail.
func stsLate(fail func(*http.Request) (*http.Response, error)) func(*soakWorld, *testing.T) func() {
	return func(w *soakWorld, _ *testing.T) func() {
		set := func(fail func(*http.Request) (*http.Response, error)) {
			w.outages.set(home, fail)
			w.outages.set(nearby, fail)
		}
		set(fail)
		return func() { set(nil) }
	}
}

// denial breaks what IAM allows, for minutes or hours, and repairs it. No other region is
// asked because of it. An outage before the denial may be remembered for its first
// minutes.
func denial(what string, spares func(*soakRoute) bool, breakIt func(w *soakWorld, t *testing.T) (repair func())) spell {
	return spell{name: "denied: " + what, mean: outageMean, spares: spares, begin: func(w *soakWorld, t *testing.T) func() {
		repair := breakIt(w, t)
		var forgotten atomic.Bool
		forgets := time.AfterFunc(2*time.Minute, func() { w.outages.hosts(); forgotten.Store(true) })
		return func() {
			forgets.Stop()
			if forgotten.Load() && slices.Contains(w.outages.hosts(), nearby) {
				t.Errorf("denied: %s: another region was asked", what)
			}
			repair()
		}
	}}
}

// clockStep moves the server's clock for a while and back.
func clockStep(by time.Duration) func(*soakWorld, *testing.T) func() {
	return func(w *soakWorld, _ *testing.T) func() {
		w.taken += 2 // sessions may die of it at the server
		return w.cloud.Fault(awstest.Fault{ServerClock: by})
	}
}

// soakAgent is an EKS Pod Identity agent that asks the cloud for each session, as the real
// one asks EKS.
type soakAgent struct {
	hub   string // its ARN, which stays when the role is created again
	token string
	sts   *sts.Client
	away  atomic.Bool
}

func newSoakAgent(s *scene) *soakAgent {
	token := s.blue.Token("default", "s3-shared-content", forAYear)
	return &soakAgent{hub: s.hub.ARN(), token: token, sts: sts.NewFromConfig(s.cloud.Config(), func(o *sts.Options) {
		o.Credentials, o.Retryer = aws.AnonymousCredentials{}, aws.NopRetryer{}
	})}
}

func (a *soakAgent) Do(r *http.Request) (*http.Response, error) {
	if a.away.Load() {
		return refuses(r)
	}
	out, err := a.sts.AssumeRoleWithWebIdentity(r.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String(a.hub), RoleSessionName: aws.String("agent"),
		WebIdentityToken: aws.String(a.token),
	})
	if denied, ok := errors.AsType[smithy.APIError](err); ok {
		status := http.StatusForbidden
		if resp, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && resp.HTTPStatusCode() >= 500 {
			status = resp.HTTPStatusCode()
		}
		return answer(status, "text/plain", fmt.Sprintf("[3f4e]: (%sException): %s, fault: client", denied.ErrorCode(), denied.ErrorMessage())), nil
	}
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{
		"AccessKeyId": out.Credentials.AccessKeyId, "SecretAccessKey": out.Credentials.SecretAccessKey,
		"Token": out.Credentials.SessionToken, "Expiration": out.Credentials.Expiration,
	})
	return answer(http.StatusOK, "application/json", string(body)), err
}
