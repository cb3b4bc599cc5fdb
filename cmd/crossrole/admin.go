package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/crossrole/crossrole/credentials"
)

// newAdmin answers for those who operate the pod: kubelet's probes, Prometheus
// and people. It knows no credentials.
func newAdmin(roles []*served, renew http.Handler, counted ...prometheus.Collector) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(counted...)
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	pages := map[string]http.Handler{
		"/healthz": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }),
		"/readyz":  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeReady(w, statusOf(roles)) }),
		"/status":  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeStatus(w, statusOf(roles)) }),
		"/metrics": promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 5 * time.Second}),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := pages[r.URL.Path]
		switch {
		case r.URL.Path == "/renew" && r.Method == http.MethodPost:
			renew.ServeHTTP(w, r)
		case r.URL.Path == "/renew":
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "POST only", http.StatusMethodNotAllowed)
		case page == nil:
			http.Error(w, "here are /healthz, /readyz, /metrics, /status and /renew, and nothing else", http.StatusNotFound)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			http.Error(w, "GET only", http.StatusMethodNotAllowed)
		default:
			page.ServeHTTP(w, r)
		}
	})
}

// status is what /status shows. Nothing secret is in it.
type status struct {
	Ready bool         `json:"ready"`
	Roles []roleStatus `json:"roles"`
}

type roleStatus struct {
	Name     string      `json:"name"`
	Chain    string      `json:"chain"`
	Ready    bool        `json:"ready"` // there is a session
	Required bool        `json:"required"`
	Hops     []hopStatus `json:"hops"`
}

type hopStatus struct {
	Role         string           `json:"role,omitempty"`
	Caller       string           `json:"caller,omitempty"`
	Expires      time.Time        `json:"expires,omitzero"`
	FailingSince time.Time        `json:"failing_since,omitzero"`
	NextAttempt  time.Time        `json:"next_attempt,omitzero"`
	Waiting      int              `json:"waiting"`
	Kind         credentials.Kind `json:"kind,omitempty"`
	Error        string           `json:"error,omitempty"`
}

func statusOf(roles []*served) status {
	st := status{Ready: true}
	for _, s := range roles {
		chain := s.chain()
		r := roleStatus{Name: s.name, Chain: chain.String(), Required: s.required}
		now := chain.Status()
		r.Ready = now.Healthy()
		for _, h := range now.Hops {
			hop := hopStatus{
				Role: h.RoleARN, Caller: h.CallerARN, Expires: h.Expires.UTC(), Waiting: h.Waiting,
				FailingSince: h.FailingSince.UTC(), NextAttempt: h.NextAttempt.UTC(),
			}
			if h.Err != nil {
				hop.Kind, hop.Error = kindOf(h.Err), h.Err.Error()
			}
			r.Hops = append(r.Hops, hop)
		}
		st.Roles = append(st.Roles, r)
		st.Ready = st.Ready && (r.Ready || !s.required)
	}
	return st
}

func writeStatus(w http.ResponseWriter, st status) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(st) // the client may have left
}

// writeReady is short: kubelet shows it among the pod's events.
func writeReady(w http.ResponseWriter, st status) {
	if !st.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	for _, r := range st.Roles {
		fmt.Fprintln(w, r)
	}
}

// String is one line: "pics: ready", "pics: no session: hop 2 of 2: AssumeDenied".
func (r roleStatus) String() string {
	var b strings.Builder
	b.WriteString(r.Name + ": ")
	if r.Ready {
		b.WriteString("ready")
	} else {
		b.WriteString("no session")
	}
	if !r.Required {
		b.WriteString(" (optional)")
	}
	for i, h := range r.Hops {
		if h.Kind != "" {
			fmt.Fprintf(&b, ": hop %d of %d: %s", i+1, len(r.Hops), h.Kind)
			break // a later hop repeats it
		}
	}
	return b.String()
}

func kindOf(err error) credentials.Kind {
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		return e.Kind
	}
	return credentials.Unknown
}

// requests counts what the endpoint answered.
type requests struct{ *prometheus.CounterVec }

// newRequests counts for these names. Prometheus sees no increase in a series
// that begins with 1: the usual ones are there from the start.
func newRequests(roles []*served) requests {
	r := requests{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "crossrole_serve_requests_total",
		Help: "Answers of the credential endpoint by name of the role (empty: no such path) and HTTP status.",
	}, []string{"name", "status"})}
	for _, status := range []string{"400", "401", "403", "405", "503"} {
		r.WithLabelValues("", status)
		for _, s := range roles {
			r.WithLabelValues(s.name, status)
		}
	}
	return r
}

func (r requests) observe(name string, status int) {
	r.WithLabelValues(name, strconv.Itoa(status)).Inc()
}

// refusals logs requests that were refused, at a limited rate: a caller that keeps
// asking must not fill the log. It logs nothing that the peer sent.
type refusals struct {
	logger *slog.Logger

	mu      sync.Mutex
	logged  map[string]time.Time // by reason and role
	skipped map[string]int       // since then
}

const refusalPause = time.Minute

func newRefusals(logger *slog.Logger) *refusals {
	return &refusals{logger: logger, logged: map[string]time.Time{}, skipped: map[string]int{}}
}

// log logs the first refusal for a reason in a minute.
func (r *refusals) log(reason, role string) {
	key := reason + " " + role
	r.mu.Lock()
	defer r.mu.Unlock()
	if since := time.Since(r.logged[key]); since < refusalPause {
		r.skipped[key]++
		return
	}
	r.logger.Warn("request refused", "reason", reason, "name", role, "more_before", r.skipped[key])
	r.logged[key], r.skipped[key] = time.Now(), 0
}
