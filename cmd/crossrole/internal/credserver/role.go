package credserver

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/credentials"
)

// Role is one role whose sessions are served. It is safe for concurrent use.
type Role struct {
	name     string
	digest   [sha256.Size]byte // of its authorization token
	required bool              // the pod is ready only when this role has a session

	mu      sync.Mutex // guards what follows
	current *credentials.Chain
	stop    context.CancelFunc // ends the renewals of current; nil: keepFresh does not run
}

// NewRole returns a role under the given name. A request must present the token.
// optional says that the pod counts as ready without a session of the role.
func NewRole(name, token string, c *credentials.Chain, optional bool) *Role {
	return &Role{name: name, current: c, digest: sha256.Sum256([]byte(token)), required: !optional}
}

// Name returns the name of the role.
func (r *Role) Name() string { return r.name }

// Path returns the path of the URL at which the role's sessions are served.
func (r *Role) Path() string { return "/v1/" + r.name }

// chain returns the chain whose sessions are served now.
func (r *Role) chain() *credentials.Chain {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

// replace serves the sessions of c from now on.
func (r *Role) replace(c *credentials.Chain) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = c
	if r.stop != nil {
		r.stop()
	}
}

const (
	// quickWait is how long a request waits while there may be a valid session:
	// some SDKs time out after a second.
	quickWait = 500 * time.Millisecond
	// maxWait is how long a request waits while there is no session.
	maxWait = 10 * time.Second
)

// retrieve returns a valid session immediately, even if STS is down. It waits only if
// there is none.
func (r *Role) retrieve(ctx context.Context) (aws.Credentials, error) {
	chain := r.chain()
	var creds aws.Credentials
	var err error
	for _, wait := range []time.Duration{quickWait, maxWait} {
		brief, cancel := context.WithTimeout(ctx, wait)
		creds, err = chain.Retrieve(brief)
		late := brief.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil || !late {
			return creds, err
		}
	}
	return aws.Credentials{}, fmt.Errorf("%w: %w", errNotYet, err)
}

// Clients renew some time before a session expires, most SDKs 15 minutes before: the
// session that they get should be valid for longer than that.
const (
	renewLeft = 20 * time.Minute
	renewLife = 29 * time.Minute // a shorter session is renewed at half of its life
)

// keepFresh renews the role's sessions until ctx ends, also while no client asks.
func (r *Role) keepFresh(ctx context.Context) {
	for ctx.Err() == nil {
		one, stop := context.WithCancel(ctx)
		r.mu.Lock()
		chain := r.current
		r.stop = stop
		r.mu.Unlock()
		var both sync.WaitGroup
		both.Go(func() { _ = chain.KeepFresh(one) }) // always nil
		renewEarly(one, chain)
		both.Wait()
		stop()
	}
}

// renewEarly renews sessions before KeepFresh would. KeepFresh alone does not guarantee
// renewLeft: a session becomes due at a random time, and the first session of a chain, or
// one of half an hour, may have only minutes left then. Failures cost nothing while the
// session is valid; the chain's Status, log and events report them.
func renewEarly(ctx context.Context, chain *credentials.Chain) {
	var expires time.Time
	var margin time.Duration
	for ctx.Err() == nil {
		now := time.Now()
		hops := chain.Status().Hops
		last := hops[len(hops)-1]
		if !last.Expires.Equal(expires) {
			expires = last.Expires
			margin = max(0, marginOf(expires.Sub(now), rand.Float64()))
		}
		wait := time.Second
		switch left := expires.Sub(now); {
		case left > margin:
			// At most a minute: timers stop while a machine sleeps.
			wait = min(left-margin, time.Minute)
		case last.NextAttempt.After(now):
			wait = min(last.NextAttempt.Sub(now), time.Minute)
		default:
			creds, err := chain.RetrieveFor(ctx, margin)
			if err == nil && !creds.CanExpire {
				wait = time.Minute
			}
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
		case <-t.C:
		}
	}
}

// marginOf returns how long before it expires a session of this life is renewed. The
// random part keeps pods that started together apart.
func marginOf(life time.Duration, random float64) time.Duration {
	if life < renewLife {
		return life / 2
	}
	return renewLeft + time.Duration(random*float64(min(5*time.Minute, life/12)))
}
