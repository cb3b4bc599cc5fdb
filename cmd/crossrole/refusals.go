package main

import (
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

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

// refusals logs requests that were refused: whoever asks without end must not
// fill the log. Nothing of what the peer sent is in it.
type refusals struct {
	logger *slog.Logger

	mu   sync.Mutex
	told map[string]time.Time // by reason and role
	more map[string]int       // since then
}

const refusalPause = time.Minute

func newRefusals(logger *slog.Logger) *refusals {
	return &refusals{logger: logger, told: map[string]time.Time{}, more: map[string]int{}}
}

// tell logs the first refusal of a reason in a minute.
func (r *refusals) tell(reason, role string) {
	key := reason + " " + role
	r.mu.Lock()
	defer r.mu.Unlock()
	if since := time.Since(r.told[key]); since < refusalPause {
		r.more[key]++
		return
	}
	r.logger.Warn("request refused", "reason", reason, "name", role, "more_before", r.more[key])
	r.told[key], r.more[key] = time.Now(), 0
}
