package credserver

import (
	"encoding/json"
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

// newAdmin returns the handler for operators: kubelet's probes, Prometheus and people.
// It serves no credentials.
func (s *Server) newAdmin(counter requestCounter, renewer http.Handler) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.Metrics, counter, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	pages := map[string]http.Handler{
		"/healthz": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }),
		"/readyz":  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeReady(w, statusOf(s.Roles)) }),
		"/status":  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeStatus(w, statusOf(s.Roles)) }),
		"/metrics": promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 5 * time.Second}),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := pages[r.URL.Path]
		switch {
		case r.URL.Path == "/renew" && r.Method == http.MethodPost:
			renewer.ServeHTTP(w, r)
		case r.URL.Path == "/renew":
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "POST only", http.StatusMethodNotAllowed)
		case page == nil:
			http.Error(w, "not found; there are /healthz, /readyz, /metrics, /status and /renew", http.StatusNotFound)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			http.Error(w, "GET only", http.StatusMethodNotAllowed)
		default:
			page.ServeHTTP(w, r)
		}
	})
}

// status is the content of /status. It holds no secret.
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

// hopStatus is a hop's status with its times in UTC, and the kind of its error.
type hopStatus struct {
	credentials.HopStatus
	Kind credentials.Kind `json:"kind,omitempty"`
}

func statusOf(roles []*Role) status {
	st := status{Ready: true}
	for _, role := range roles {
		chain := role.chain()
		now := chain.Status()
		r := roleStatus{Name: role.name, Chain: chain.String(), Required: role.required, Ready: now.Healthy()}
		for _, h := range now.Hops {
			hop := hopStatus{HopStatus: h}
			hop.Expires, hop.FailingSince, hop.NextAttempt = h.Expires.UTC(), h.FailingSince.UTC(), h.NextAttempt.UTC()
			if h.Err != nil {
				hop.Kind = h.Err.Kind
			}
			r.Hops = append(r.Hops, hop)
		}
		st.Roles = append(st.Roles, r)
		st.Ready = st.Ready && (r.Ready || !role.required)
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

// writeReady writes a line for each role. kubelet shows the text in the pod's events, so
// it is short.
func writeReady(w http.ResponseWriter, st status) {
	if !st.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	for _, r := range st.Roles {
		fmt.Fprintln(w, r)
	}
}

// String returns one line, such as "pics: ready", "pics: no session: hop 2 of 2: AssumeDenied".
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

// RequestsMetric is the name of the metric that counts the endpoint's responses.
const RequestsMetric = "crossrole_serve_requests_total"

// requestCounter counts the endpoint's responses.
type requestCounter struct{ *prometheus.CounterVec }

// newRequestCounter returns a counter for these roles. Prometheus sees no increase in a
// series that begins with 1, so the usual series exist from the start.
func newRequestCounter(roles []*Role) requestCounter {
	c := requestCounter{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: RequestsMetric,
		Help: "Responses of the credential endpoint by name of the role (empty: no such path) and HTTP status.",
	}, []string{"name", "status"})}
	for _, status := range []string{"400", "401", "403", "405", "503"} {
		c.WithLabelValues("", status)
		for _, r := range roles {
			c.WithLabelValues(r.name, status)
		}
	}
	return c
}

func (c requestCounter) count(name string, status int) {
	c.WithLabelValues(name, strconv.Itoa(status)).Inc()
}

// refusalLog logs refused requests, at a limited rate: a client that keeps asking must
// not fill the log. It logs nothing that the client sent.
type refusalLog struct {
	logger *slog.Logger // nil: nothing is logged

	mu      sync.Mutex
	logged  map[string]time.Time // by reason and role
	skipped map[string]int       // since then
}

const refusalPause = time.Minute

func newRefusalLog(logger *slog.Logger) *refusalLog {
	return &refusalLog{logger: logger, logged: map[string]time.Time{}, skipped: map[string]int{}}
}

// log logs the first refusal per minute for each reason and role.
func (r *refusalLog) log(reason, role string) {
	if r.logger == nil {
		return
	}
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
