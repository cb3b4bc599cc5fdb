package metrics

import (
	"strconv"
	"sync"
	"weak"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/crossrole/crossrole/credentials"
)

// Collector is a prometheus.Collector of chains. Make one with [New]; one is
// enough for a process. Observe counts what happens, Watch reads how things are:
// a chain needs both. Its methods may be called from many goroutines.
type Collector struct {
	refreshes     *prometheus.CounterVec
	exchanges     *prometheus.HistogramVec
	invalidations *prometheus.CounterVec
	rotations     *prometheus.CounterVec
	issuers       *prometheus.CounterVec

	mu     sync.Mutex
	chains []weak.Pointer[credentials.Chain]
	pools  []*credentials.Pool
}

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
			// An attempt is given up after a third of Refresh.Timeout: ten
			// seconds, if not set otherwise.
			Buckets: []float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 9, 15},
		}, []string{"hop", "role", "result"}),
		invalidations: counter("crossrole_invalidations_total", "Sessions given up before their end."),
		rotations:     counter("crossrole_token_rotations_total", "Changes of the token file."),
		issuers:       counter("crossrole_issuer_changes_total", "Changes of the cluster that issues the tokens."),
	}
}

// Observe counts the events of a chain that is made with these options, in
// addition to what OnEvent does already. As an option of New, Wrap or NewPool
// (on its Options) it comes after those that set OnEvent.
func (c *Collector) Observe(o *credentials.Options) {
	before := o.OnEvent
	o.OnEvent = func(e credentials.Event) {
		if before != nil {
			before(e)
		}
		c.count(e)
	}
}

func (c *Collector) count(e credentials.Event) {
	hop := strconv.Itoa(e.Hop)
	switch e.Type {
	case credentials.Refreshed:
		c.refreshed(hop, e, "success", "")
	case credentials.RefreshFailed:
		c.refreshed(hop, e, "failure", kindOf(e.Err))
	case credentials.Invalidated:
		c.invalidations.WithLabelValues(hop, e.RoleARN).Inc()
	case credentials.TokenRotated:
		c.rotations.WithLabelValues(hop, e.RoleARN).Inc()
	case credentials.IssuerChanged:
		c.issuers.WithLabelValues(hop, e.RoleARN).Inc()
	}
}

func (c *Collector) refreshed(hop string, e credentials.Event, result, kind string) {
	c.refreshes.WithLabelValues(hop, e.RoleARN, result, kind).Inc()
	if e.Duration > 0 { // else nothing was asked
		c.exchanges.WithLabelValues(hop, e.RoleARN, result).Observe(e.Duration.Seconds())
	}
}

// Watch has each scrape tell the state of the chain's sessions. A chain that
// nobody else holds any more, such as one that a pool has dropped, is forgotten.
func (c *Collector) Watch(chain *credentials.Chain) {
	for i, hop := range chain.Status().Hops {
		// Prometheus sees no increase in a series that begins with 1.
		number := strconv.Itoa(i + 1)
		c.refreshes.WithLabelValues(number, hop.RoleARN, "success", "")
		c.exchanges.WithLabelValues(number, hop.RoleARN, "success")
		c.invalidations.WithLabelValues(number, hop.RoleARN)
		if i == 0 {
			c.rotations.WithLabelValues(number, hop.RoleARN)
			c.issuers.WithLabelValues(number, hop.RoleARN)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.chains = append(c.chains, weak.Make(chain))
}

// WatchPool has each scrape tell the state of the pool's chains, as many as
// there are then: series for each role. Of a pool with thousands of them, watch
// those chains that matter instead.
func (c *Collector) WatchPool(pool *credentials.Pool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pools = append(c.pools, pool)
}
