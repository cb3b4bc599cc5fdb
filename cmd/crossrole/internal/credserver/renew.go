package credserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/crossrole/crossrole/credentials"
)

// renewer replaces sessions on request, before they expire: after "Revoke active
// sessions" in the console, AWS denies what a session may do and does not say that the
// session is the reason.
//
// A renewal starts again from the pod's own identity, since any hop may have been
// revoked. It replaces a session only by a new one: if it fails, the old session is
// still served.
type renewer struct {
	roles  []*Role
	open   func() (OpenChain, error)
	watch  func(*credentials.Chain)
	logger *slog.Logger

	mu   sync.Mutex
	last map[string]time.Time // of each role's last renewal, by name
}

func (s *Server) newRenewer() *renewer {
	return &renewer{roles: s.Roles, open: s.Open, watch: s.watch, logger: s.Logger, last: map[string]time.Time{}}
}

const (
	// renewPause is the least time between two renewals of a role: anyone who
	// reaches the admin port may request them.
	renewPause = time.Minute

	// renewTimeout is how long a renewal may take.
	renewTimeout = maxWait
)

// renewal is the result for one role.
type renewal struct {
	name string
	wait time.Duration // more than 0: not renewed, since that was done a moment ago
	err  error
}

func (r renewal) String() string {
	switch {
	case r.wait > 0:
		return fmt.Sprintf("%s: not renewed: that was done a moment ago; possible again in %v", r.name, r.wait.Round(time.Second))
	case r.err != nil:
		return fmt.Sprintf("%s: not renewed, the session is kept: %s", r.name, kindOf(r.err))
	}
	return r.name + ": renewed"
}

func kindOf(err error) credentials.Kind {
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		return e.Kind
	}
	return credentials.Unknown
}

// renew renews the role of that name, or all roles for "". It returns nothing if there
// is no such role.
func (r *renewer) renew(ctx context.Context, name string) []renewal {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	open, err := r.open()
	var all []renewal
	var running sync.WaitGroup
	results := make([]renewal, len(r.roles))
	for i, role := range r.roles {
		if name != "" && role.name != name {
			continue
		}
		results[i] = renewal{name: role.name, err: err, wait: r.take(role.name)}
		if err != nil || results[i].wait > 0 {
			continue
		}
		running.Go(func() { results[i].err = r.replace(ctx, role, open) })
	}
	running.Wait()
	for _, result := range results {
		if result.name != "" {
			logger := r.logger
			if result.err != nil {
				logger = logger.With("error", result.err)
			}
			logger.Info("renewal", "name", result.name, "result", result.String())
			all = append(all, result)
		}
	}
	return all
}

// take starts a renewal of the role and returns 0, or returns how long the next one has
// to wait.
func (r *renewer) take(name string) time.Duration {
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

// replace gives the role a chain with a new session.
func (r *renewer) replace(ctx context.Context, role *Role, open OpenChain) error {
	chain, err := open(role.name)
	if err != nil {
		return err
	}
	if _, err := chain.Retrieve(ctx); err != nil {
		return err
	}
	role.replace(chain)
	r.watch(chain)
	return nil
}

// ServeHTTP serves POST /renew[?role=NAME]. It shows no credentials.
func (r *renewer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	// Browsers send these with every POST, curl and programs do not. So no web page can
	// renew sessions, whatever its name resolves to.
	for _, header := range []string{"Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode"} {
		if req.Header.Get(header) != "" {
			http.Error(w, "web pages may not renew sessions", http.StatusForbidden)
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
