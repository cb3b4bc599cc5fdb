package metrics

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"time"
	"weak"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/crossrole/crossrole/credentials"
)

// The metrics whose values are read at the scrape.
var (
	remaining   = desc("crossrole_session_remaining_seconds", "Until the session expires; 0: there is none; +Inf: keys without an expiry.", "last")
	failing     = desc("crossrole_failing_seconds", "Since the first refresh failed after the last success; 0: none did.")
	nextAttempt = desc("crossrole_next_attempt_seconds", "Until a refresh is tried again after failures; 0: no pause.")
	waiting     = desc("crossrole_waiting_callers", "Callers that wait for a session now.")
	stsRegion   = desc("crossrole_sts_region", "1 for each region whose STS the last refresh of a chain asked last.", "region")
)

func desc(name, help string, more ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"hop", "role"}, more...), nil)
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{remaining, failing, nextAttempt, waiting, stsRegion} {
		ch <- d
	}
	for _, v := range c.counted() {
		v.Describe(ch)
	}
}

// Collect implements prometheus.Collector. It makes no call and opens no file.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	c.sweep()
	c.mu.Unlock()
	for of, s := range c.states(time.Now()) {
		gauge := func(d *prometheus.Desc, v float64, more ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{strconv.Itoa(of.hop), of.role}, more...)...)
		}
		for last, left := range s.remaining {
			gauge(remaining, left, strconv.FormatBool(last))
		}
		gauge(failing, s.failing.Seconds())
		gauge(nextAttempt, s.nextAttempt.Seconds())
		gauge(waiting, float64(s.waiting))
		for region := range s.regions {
			gauge(stsRegion, 1, region)
		}
	}
	for _, v := range c.counted() {
		v.Collect(ch)
	}
}

func (c *Collector) counted() []prometheus.Collector {
	return []prometheus.Collector{c.refreshes, c.exchanges, c.invalidations, c.rotations, c.issuers}
}

// series is a pair of labels.
type series struct {
	hop  int
	role string
}

// state is the worst state of a series' chains.
type state struct {
	remaining            map[bool]float64 // seconds, by whether it is a chain's last hop
	failing, nextAttempt time.Duration
	waiting              int
	regions              map[string]bool // whose STS was asked last
}

func (c *Collector) states(now time.Time) map[series]state {
	states := map[series]state{}
	for chain := range c.held() {
		hops := chain.Status().Hops
		for i, hop := range hops {
			of, last := series{i + 1, hop.RoleARN}, i == len(hops)-1
			s, ok := states[of]
			if !ok {
				s.remaining, s.regions = map[bool]float64{}, map[string]bool{}
			}
			if hop.Region != "" {
				s.regions[hop.Region] = true
			}
			left := max(0, hop.Expires.Sub(now).Seconds())
			if hop.HasSession && hop.Expires.IsZero() {
				left = math.Inf(1)
			}
			if other, ok := s.remaining[last]; ok {
				left = min(left, other)
			}
			s.remaining[last] = left
			if !hop.FailingSince.IsZero() {
				s.failing = max(s.failing, now.Sub(hop.FailingSince))
			}
			s.nextAttempt = max(s.nextAttempt, hop.NextAttempt.Sub(now))
			s.waiting = max(s.waiting, hop.Waiting)
			states[of] = s
		}
	}
	return states
}

// held returns the chains that are still in use, each once.
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
	for _, pool := range c.pools {
		for chain := range pool.All() {
			chains[chain] = true
		}
	}
	return chains
}

func kindOf(err error) string {
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		return string(e.Kind)
	}
	return string(credentials.Unknown)
}
