package metrics

import (
	"strconv"
	"sync"
	"weak"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/credentials/internal/eventowner"
)

// Collector is a prometheus.Collector of chains. Make one with [New]; one is enough for a
// process. Observe counts events, Watch reads the state at each scrape: a chain needs both.
// It is safe for concurrent use.
type Collector struct {
	refreshes     *prometheus.CounterVec
	exchanges     *prometheus.HistogramVec
	invalidations *prometheus.CounterVec
	rotations     *prometheus.CounterVec
	issuers       *prometheus.CounterVec

	mu     sync.Mutex // guards what follows, and the deletion of series
	chains []weak.Pointer[credentials.Chain]
	pools  []*credentials.Pool
	owned  map[series]*ownership
	owners int // in owned
	swept  int // number of owners after the last sweep
}

// ownership holds the chains that the counters of a series count for. The series is deleted
// when they are gone.
type ownership struct {
	owners map[eventowner.Owner]bool
	kinds  map[string]bool // of failures counted so far
}

// watched is a chain given to Watch.
type watched struct {
	chain weak.Pointer[credentials.Chain]
}

func (w watched) Alive() bool { return w.chain.Value() != nil }

var _ prometheus.Collector = (*Collector)(nil)

// New returns a collector that observes nothing yet.
func New() *Collector {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"hop", "role"}, labels...))
	}
	return &Collector{
		refreshes: counter("crossrole_refreshes_total", "Refreshes by result, and failed ones by kind.", "result", "kind"),
		exchanges: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "crossrole_exchange_duration_seconds",
			Help: "From request to reply of the exchange with STS (or another source) that ended a refresh.",
			// An attempt times out after a third of Refresh.Timeout: ten seconds,
			// if not set otherwise.
			Buckets: []float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 9, 15},
		}, []string{"hop", "role", "result"}),
		invalidations: counter("crossrole_invalidations_total", "Sessions discarded before their expiry."),
		rotations:     counter("crossrole_token_rotations_total", "Changes of the token file, or of the token that a function returns."),
		issuers:       counter("crossrole_issuer_changes_total", "Changes of the cluster that issues the tokens."),
		owned:         map[series]*ownership{},
	}
}

// Observe counts the events of a chain that is made with these options, in addition to
// calling o.OnEvent. As an option of New, Wrap or NewPool (on its Options) it comes after
// those that set OnEvent.
func (c *Collector) Observe(o *credentials.Options) {
	onEvent := o.OnEvent
	o.OnEvent = func(e credentials.Event) {
		if onEvent != nil {
			onEvent(e)
		}
		c.count(e)
	}
}

func (c *Collector) count(e credentials.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hop := strconv.Itoa(e.Hop)
	owned := c.addOwner(series{e.Hop, e.RoleARN}, eventowner.Of(e))
	switch e.Type {
	case credentials.Refreshed:
		c.refreshed(hop, e, "success", "")
	case credentials.RefreshFailed:
		owned.kinds[kindOf(e.Err)] = true
		c.refreshed(hop, e, "failure", kindOf(e.Err))
	case credentials.Invalidated:
		c.invalidations.WithLabelValues(hop, e.RoleARN).Inc()
	case credentials.TokenRotated:
		c.rotations.WithLabelValues(hop, e.RoleARN).Inc()
	case credentials.IssuerChanged:
		c.issuers.WithLabelValues(hop, e.RoleARN).Inc()
	}
}

// addOwner keeps the counters of a series until owner is gone; a nil owner never is. The
// caller holds c.mu.
func (c *Collector) addOwner(of series, owner eventowner.Owner) *ownership {
	if c.owners > 2*c.swept+100 {
		c.sweep()
	}
	owned := c.owned[of]
	if owned == nil {
		owned = &ownership{owners: map[eventowner.Owner]bool{}, kinds: map[string]bool{}}
		c.owned[of] = owned
	}
	if !owned.owners[owner] {
		owned.owners[owner] = true
		c.owners++
	}
	return owned
}

// sweep deletes the counters of the series whose chains are gone. The caller holds c.mu.
func (c *Collector) sweep() {
	c.owners = 0
	for of, owned := range c.owned {
		for owner := range owned.owners {
			if owner != nil && !owner.Alive() {
				delete(owned.owners, owner)
			}
		}
		if c.owners += len(owned.owners); len(owned.owners) > 0 {
			continue
		}
		delete(c.owned, of)
		hop := strconv.Itoa(of.hop)
		c.refreshes.DeleteLabelValues(hop, of.role, "success", "")
		for kind := range owned.kinds {
			c.refreshes.DeleteLabelValues(hop, of.role, "failure", kind)
		}
		for _, result := range []string{"success", "failure"} {
			c.exchanges.DeleteLabelValues(hop, of.role, result)
		}
		c.invalidations.DeleteLabelValues(hop, of.role)
		c.rotations.DeleteLabelValues(hop, of.role)
		c.issuers.DeleteLabelValues(hop, of.role)
	}
	c.swept = c.owners
}

func (c *Collector) refreshed(hop string, e credentials.Event, result, kind string) {
	c.refreshes.WithLabelValues(hop, e.RoleARN, result, kind).Inc()
	if e.Duration > 0 { // 0: no request was sent
		c.exchanges.WithLabelValues(hop, e.RoleARN, result).Observe(e.Duration.Seconds())
	}
}

// Watch makes each scrape report the state of the chain's sessions. When the chain is no
// longer used elsewhere, such as one that a pool has evicted, its series end.
func (c *Collector) Watch(chain *credentials.Chain) {
	c.mu.Lock()
	defer c.mu.Unlock()
	held := weak.Make(chain)
	for i, hop := range chain.Status().Hops {
		// Prometheus sees no increase in a series that begins with 1.
		number := strconv.Itoa(i + 1)
		c.addOwner(series{i + 1, hop.RoleARN}, watched{held})
		c.refreshes.WithLabelValues(number, hop.RoleARN, "success", "")
		c.exchanges.WithLabelValues(number, hop.RoleARN, "success")
		c.invalidations.WithLabelValues(number, hop.RoleARN)
		if i == 0 {
			c.rotations.WithLabelValues(number, hop.RoleARN)
			c.issuers.WithLabelValues(number, hop.RoleARN)
		}
	}
	c.chains = append(c.chains, held)
}

// WatchPool makes each scrape report the state of the chains that are in the pool then:
// series for each role. If there are thousands of them, watch the chains that matter
// instead. The series of a chain end when the pool has evicted it and it is no longer used
// elsewhere.
func (c *Collector) WatchPool(pool *credentials.Pool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pools = append(c.pools, pool)
}
