package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

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
	named  []namedRole                                                 // the same, in the same order
	opener func() (func(namedRole) (*credentials.Chain, error), error) // with sessions of its own
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

func (r *renewals) one(ctx context.Context, s *served, n namedRole, open func(namedRole) (*credentials.Chain, error)) error {
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
