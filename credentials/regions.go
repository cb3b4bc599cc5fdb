package credentials

// The STS regions of a chain: which region a refresh asks, and what is remembered of
// regions that gave no usable response or are not activated for an account.

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/crossrole/crossrole/credentials/internal/stsclient"
)

// regionPause is how long a region that gave no usable response is asked only if no other
// region works. It is longer than most refreshes, so that the next hop does not wait for
// the same region again.
const regionPause = 30 * time.Second

// stsRegions are a chain's own region and its fallback regions, in order. All hops of a
// chain share them; in a pool, all chains do.
type stsRegions []*stsRegion

// stsRegion is STS of one region and what its responses have shown. It is safe for
// concurrent use.
type stsRegion struct {
	*stsclient.Client

	mu       sync.Mutex      // guards what follows
	retryAt  time.Time       // zero: the last request had a usable response
	worked   bool            // it has given a session
	disabled map[string]bool // accounts for which STS is not activated here
}

// own returns the chain's own region.
func (rs stsRegions) own() *stsRegion { return rs[0] }

// route returns the regions in the order in which a refresh for a role of this account
// asks them: first those that work or may work again, then those that failed less than
// regionPause ago. When a region's pause is over, one refresh asks it first, and the
// others do not wait for it meanwhile.
func (rs stsRegions) route(account string) stsRegions {
	if len(rs) == 1 {
		return rs
	}
	var working, failing stsRegions
	now := time.Now()
	for _, r := range rs {
		switch usable, enabled := r.usable(account, now, len(working) == 0); {
		case !enabled && r != rs[0]:
		case usable:
			working = append(working, r)
		default:
			failing = append(failing, r)
		}
	}
	return append(working, failing...)
}

// usable reports whether the region may work, and whether the account may use it. If first
// is set and the region's pause is over, the caller has to ask it: the pause starts again.
func (r *stsRegion) usable(account string, now time.Time, first bool) (usable, enabled bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	usable = !now.Before(r.retryAt)
	if usable && first && !r.retryAt.IsZero() {
		r.retryAt = now.Add(regionPause)
	}
	return usable, !r.disabled[account]
}

// responded records that the region's STS sent a usable response: a session or a refusal.
func (r *stsRegion) responded(session bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retryAt = time.Time{}
	r.worked = r.worked || session
}

// failed records that there was no usable response.
func (r *stsRegion) failed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retryAt = time.Now().Add(regionPause)
}

// disable records that STS is not activated in the region for an account.
func (r *stsRegion) disable(account string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.disabled == nil {
		r.disabled = map[string]bool{}
	}
	r.disabled[account] = true
}

func (r *stsRegion) hasWorked() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.worked
}

// regional reports whether the hop asks STS of a region, and not an agent or a provider.
func (h *hop) regional() bool { return h.web || h.settings != nil }

// account returns the account of the hop's role; empty if it has no role.
func (h *hop) account() string {
	a, _ := parseRoleARN(h.role)
	return a.account
}

// stsRegions returns the chain's STS clients and checks what Options.STS made of them.
func (r *resolver) stsRegions() stsRegions {
	list := stsRegions{{Client: r.stsClient(r.region)}}
	names := []string{r.region}
	for i, name := range r.options.FallbackRegions {
		field := fmt.Sprintf("Options.FallbackRegions[%d]", i)
		switch {
		case !isRegion(name):
			r.addf(field, "%q is not the name of a region; want one like us-west-2, of which %s is the closest", name, closestRegion(name))
		case slices.Contains(names, name):
			r.addf(field, "%q is the chain's own region or stands in the list twice; leave it out", name)
		default:
			r.partition(partitionOf(name), field+" "+name)
			names = append(names, name)
			c := r.stsClient(name)
			r.checkDistinct(field, name, c, list)
			list = append(list, &stsRegion{Client: c})
		}
	}
	return list
}

// checkDistinct reports an endpoint that serves two of the regions: a fallback to it would
// ask the STS that failed.
func (r *resolver) checkDistinct(field, name string, c *stsclient.Client, others stsRegions) {
	url := c.URL()
	for _, other := range others {
		if url == "" || url != other.URL() {
			continue
		}
		from := "Options.STS sets"
		if c.Endpoint() != "" && c.Endpoint() == r.stsEndpoint {
			from = envSTSEndpoint + " sets"
		}
		if c.Endpoint() == "" {
			from = "it has"
		}
		r.addf(field, "%s: %s the same endpoint %s for two regions, so there is nothing to fall back to; let Options.STS choose BaseEndpoint by o.Region, or leave the region out", name, from, c.Host())
		return
	}
}
