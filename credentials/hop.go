package credentials

import (
	"time"

	"github.com/crossrole/crossrole/credentials/internal/stsclient"
)

// hop describes one step of a chain: what errors, fixes and reports say about it.
// It never changes once the chain is made, so that diagnosing a failure takes no
// lock and needs no session. A session embeds the hop that it belongs to.
type hop struct {
	n         int    // 1: the source's
	role      string // ARN; empty where the source names none
	web       bool   // the exchange posts a token; hop 1 only
	tokenFile string // of hop 1; empty: none
	settings  *Role  // of the role to assume; nil at hop 1
	prev      *hop   // nil at hop 1
	facts     *chainFacts
}

// chainFacts are the facts that all hops of a chain have in common. All chains of a
// pool share one copy.
type chainFacts struct {
	source Source
	roles  []*Role // of the chain; in a pool, of the shared hops only. By pointer, so that fmt stops before their external IDs
	hops   int     // number of hops; in a pool, of the shared ones and the target's
	sts    *stsclient.Client
}

// agent reports whether the hop asks a service on the node instead of STS.
func (h *hop) agent() bool {
	if h.n > 1 {
		return false
	}
	switch h.facts.source.(type) {
	case PodIdentity, NodeRole:
		return true
	}
	return false
}

// provider reports whether the hop asks the user's own credentials provider.
func (h *hop) provider() bool {
	if h.n > 1 {
		return false
	}
	switch h.facts.source.(type) {
	case FromBase, Provider:
		return true
	}
	return false
}

// describe returns the hop's role, or the name of its source where that names no
// role.
func (h *hop) describe() string {
	if h.role != "" {
		return h.role
	}
	return h.facts.source.String()
}

// longest returns how long the hop's sessions last at most; zero if unknown. STS
// gives an hour where no duration was asked for.
func (h *hop) longest() time.Duration {
	if h.settings != nil {
		return h.settings.duration() - dateIsFloor
	}
	if w, ok := h.facts.source.(WebIdentity); ok {
		if w.Duration == 0 {
			return time.Hour - dateIsFloor
		}
		return w.Duration - dateIsFloor
	}
	return 0
}
