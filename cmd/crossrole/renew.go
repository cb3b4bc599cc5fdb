package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/crossrole/crossrole/cmd/crossrole/internal/rolesetting"
	"github.com/crossrole/crossrole/credentials"
)

// renewals get new sessions before the old ones expire, on request: after
// "Revoke active sessions" in the console, AWS denies what a session may do and
// does not say that the session is why.
//
// A renewal starts from the pod's own identity again, for any hop may have been
// revoked. It replaces a session only by another: where it fails, the old one is
// served on.
type renewals struct {
	roles  []*served
	named  []rolesetting.Named                                                 // the same, in the same order
	opener func() (func(rolesetting.Named) (*credentials.Chain, error), error) // with sessions of its own
	watch  func(*credentials.Chain)
	logger *slog.Logger

	mu   sync.Mutex
	last map[string]time.Time // by name
}

const (
	// renewPause is the least time between two renewals of a role: anyone who
	// reaches the admin port may ask for them.
	renewPause = time.Minute

	// renewPatience is how long a renewal may take.
	renewPatience = patience
)

// renewed is what became of one role.
type renewed struct {
	name string
	wait time.Duration // more than 0: it was renewed a moment ago
	err  error
}

func (r renewed) String() string {
	switch {
	case r.wait > 0:
		return fmt.Sprintf("%s: not renewed: that was done a moment ago; the next time is in %v", r.name, r.wait.Round(time.Second))
	case r.err != nil:
		return fmt.Sprintf("%s: not renewed, the session is kept: %s", r.name, kindOf(r.err))
	}
	return r.name + ": renewed"
}

// renew renews the role of that name, or all for "". It returns nothing if there
// is no such role.
func (r *renewals) renew(ctx context.Context, name string) []renewed {
	ctx, cancel := context.WithTimeout(ctx, renewPatience)
	defer cancel()
	open, err := r.opener()
	var all []renewed
	var running sync.WaitGroup
	results := make([]renewed, len(r.roles))
	for i, s := range r.roles {
		if name != "" && s.name != name {
			continue
		}
		results[i] = renewed{name: s.name, err: err, wait: r.take(s.name)}
		if err != nil || results[i].wait > 0 {
			continue
		}
		running.Go(func() { results[i].err = r.one(ctx, s, r.named[i], open) })
	}
	running.Wait()
	for _, result := range results {
		if result.name != "" {
			r.logger.Info("renewal", "name", result.name, "result", result.String(), "error", result.err)
			all = append(all, result)
		}
	}
	return all
}

// take returns how long the role's next renewal has to wait; if not at all, it
// counts as begun.
func (r *renewals) take(name string) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.last[name]; ok {
		if wait := renewPause - time.Since(last); wait > 0 {
			return wait
		}
	}
	r.last[name] = time.Now()
	return 0
}

func (r *renewals) one(ctx context.Context, s *served, n rolesetting.Named, open func(rolesetting.Named) (*credentials.Chain, error)) error {
	chain, err := open(n)
	if err != nil {
		return err
	}
	if _, err := chain.Retrieve(ctx); err != nil {
		return err
	}
	s.replace(chain)
	r.watch(chain)
	return nil
}

// ServeHTTP answers POST /renew[?role=NAME]. It shows no credentials.
func (r *renewals) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	// Browsers send these with every POST, curl and programs do not: no web page
	// can have sessions renewed, whatever its name resolves to.
	for _, header := range []string{"Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode"} {
		if req.Header.Get(header) != "" {
			http.Error(w, "renewals are not for web pages", http.StatusForbidden)
			return
		}
	}
	query := req.URL.Query()
	name := query.Get("role")
	if len(query) > 1 || len(query) == 1 && (len(query["role"]) != 1 || name == "") {
		http.Error(w, "want /renew, or /renew?role=NAME", http.StatusBadRequest)
		return
	}
	results := r.renew(req.Context(), name)
	if len(results) == 0 {
		http.Error(w, "there is no role of that name; /status lists them", http.StatusNotFound)
		return
	}
	status := http.StatusOK
	var wait time.Duration
	for _, result := range results {
		if result.err != nil {
			status = http.StatusServiceUnavailable
		}
		wait = max(wait, result.wait)
	}
	if wait > 0 && status == http.StatusOK {
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	w.WriteHeader(status)
	for _, result := range results {
		fmt.Fprintln(w, result)
	}
}

// The clients' SDKs renew some time before the end, most of them at 15 minutes:
// a session that they are handed should have more than that left.
const (
	aheadLeft = 20 * time.Minute
	aheadLife = 29 * time.Minute // of a shorter session more than two thirds would be thrown away
)

// keep renews the role's sessions until ctx ends, whether anything asks or not.
func (s *served) keep(ctx context.Context) {
	for ctx.Err() == nil {
		one, leave := context.WithCancel(ctx)
		s.mu.Lock()
		chain := s.current
		s.leave = leave
		s.mu.Unlock()
		var both sync.WaitGroup
		both.Go(func() { _ = chain.KeepFresh(one) }) // nil when one ends, and nothing else
		keepAhead(one, chain)
		both.Wait()
		leave()
	}
}

// keepAhead renews earlier than the chain itself would. The chain's Status, its
// log and its events report failures; they cost nothing while the session is
// valid.
func keepAhead(ctx context.Context, chain *credentials.Chain) {
	var end time.Time
	var margin time.Duration
	for ctx.Err() == nil {
		now := time.Now()
		hops := chain.Status().Hops
		last := hops[len(hops)-1]
		if !last.Expires.Equal(end) {
			end = last.Expires
			margin = max(0, marginOf(end.Sub(now), rand.Float64()))
		}
		rest := time.Second
		switch left := end.Sub(now); {
		case left > margin:
			// Not longer than a minute: timers stand still while a machine sleeps.
			rest = min(left-margin, time.Minute)
		case last.NextAttempt.After(now):
			rest = min(last.NextAttempt.Sub(now), time.Minute)
		default:
			creds, err := chain.RetrieveFor(ctx, margin)
			if err == nil && !creds.CanExpire {
				rest = time.Minute
			}
		}
		t := time.NewTimer(rest)
		select {
		case <-ctx.Done():
			t.Stop()
		case <-t.C:
		}
	}
}

// marginOf is how long before its end a session of this life is renewed. The
// random part keeps pods that started together apart.
func marginOf(life time.Duration, random float64) time.Duration {
	if life < aheadLife {
		return life / 2
	}
	return aheadLeft + time.Duration(random*float64(min(5*time.Minute, life/12)))
}
