package metrics

import (
	"errors"
	"slices"
	"strconv"
	"time"
	"weak"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/crossrole/crossrole/credentials"
)

// The metrics that are read at the scrape.
var (
	remaining   = desc("crossrole_session_remaining_seconds", "Until the session ends; 0: there is none.")
	failing     = desc("crossrole_failing_seconds", "Since the first refresh failed after the last success; 0: none did.")
	nextAttempt = desc("crossrole_next_attempt_seconds", "Until a refresh is tried again after failures; 0: no pause.")
	waiting     = desc("crossrole_waiting_callers", "Callers that wait for a session now.")
)

func desc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, []string{"hop", "role"}, nil)
}

// Describe is for the registry.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{remaining, failing, nextAttempt, waiting} {
		ch <- d
	}
	for _, v := range c.counted() {
		v.Describe(ch)
	}
}

// Collect is for the registry. It makes no call and opens no file.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	for of, s := range c.states(time.Now()) {
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, strconv.Itoa(of.hop), of.role)
		}
		gauge(remaining, s.remaining.Seconds())
		gauge(failing, s.failing.Seconds())
		gauge(nextAttempt, s.nextAttempt.Seconds())
		gauge(waiting, float64(s.waiting))
	}
	for _, v := range c.counted() {
		v.Collect(ch)
	}
}

func (c *Collector) counted() []prometheus.Collector {
	return []prometheus.Collector{c.refreshes, c.exchanges, c.invalidations, c.rotations, c.issuers}
}

// series is what the labels name.
type series struct {
	hop  int
	role string
}

// state is that of one series, the worst of its chains'.
type state struct {
	remaining, failing, nextAttempt time.Duration
	waiting                         int
}

func (c *Collector) states(now time.Time) map[series]state {
	states := map[series]state{}
	for chain := range c.held() {
		for i, hop := range chain.Status().Hops {
			of := series{i + 1, hop.RoleARN}
			s := state{
				remaining:   max(0, hop.Expires.Sub(now)),
				nextAttempt: max(0, hop.NextAttempt.Sub(now)),
				waiting:     hop.Waiting,
			}
			if !hop.FailingSince.IsZero() {
				s.failing = now.Sub(hop.FailingSince)
			}
			if other, ok := states[of]; ok {
				s = state{
					remaining:   min(s.remaining, other.remaining),
					failing:     max(s.failing, other.failing),
					nextAttempt: max(s.nextAttempt, other.nextAttempt),
					waiting:     max(s.waiting, other.waiting),
				}
			}
			states[of] = s
		}
	}
	return states
}

// held are the chains that somebody holds, each once.
func (c *Collector) held() map[*credentials.Chain]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	chains := map[*credentials.Chain]bool{}
	c.chains = slices.DeleteFunc(c.chains, func(p weak.Pointer[credentials.Chain]) bool {
		chain := p.Value()
		if chain == nil || chains[chain] {
			return true
		}
		chains[chain] = true
		return false
	})
	return chains
}

func kindOf(err error) string {
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		return string(e.Kind)
	}
	return string(credentials.Unknown)
}
