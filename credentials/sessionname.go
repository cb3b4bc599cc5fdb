package credentials

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"

	"github.com/crossrole/crossrole/trust"
)

// The lengths of a role session name:
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
const (
	minSessionName = 2
	maxSessionName = 64
)

// isSessionName also holds for a source identity.
func isSessionName(s string) bool {
	return len(s) >= minSessionName && len(s) <= maxSessionName && madeOf(s, sessionNameRunes)
}

// podSessionName names the pod as namespace.serviceaccount@pod. A namespace has
// no dot and no Kubernetes name has an @, so that the parts can be told apart.
// A token that is not bound to a pod leaves the host's name, which is the pod's.
func podSessionName(t trust.Token) string {
	pod := t.Pod
	if pod == "" {
		pod = hostname()
	}
	if t.Namespace == "" && t.ServiceAccount == "" {
		return cleanSessionName(t.Subject + "@" + pod)
	}
	return cleanSessionName(t.Namespace + "." + t.ServiceAccount + "@" + pod)
}

// hostSessionName is the default where no token tells the pod.
func hostSessionName() string { return cleanSessionName("crossrole@" + hostname()) }

func hostname() string {
	h, err := os.Hostname()
	if err != nil || h == "" {
		return "unknown-host"
	}
	return h
}

// cleanSessionName replaces what STS does not take and cuts to 64 characters,
// keeping a hash of the whole, so that two long names stay different.
func cleanSessionName(s string) string {
	clean := strings.Map(func(c rune) rune {
		if strings.ContainsRune(sessionNameRunes, c) {
			return c
		}
		return '-'
	}, s)
	if len(clean) <= maxSessionName {
		return clean
	}
	sum := sha256.Sum256([]byte(s))
	hash := "-" + hex.EncodeToString(sum[:5])
	return clean[:maxSessionName-len(hash)] + hash
}

// nameSession is explicit if set; else one name for all of this process's
// sessions, decided by the first hop, so that CloudTrail tells in every account
// which pod called, and a new cluster changes nothing in what later hops send.
func (c *Chain) nameSession(explicit string, derive func() string) string {
	if c.prefix != nil {
		if explicit != "" {
			return explicit
		}
		return c.prefix.nameSession("", derive)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if explicit == "" && c.name == "" {
		c.name = derive()
	}
	if explicit != "" {
		if c.name == "" {
			c.name = explicit
		}
		return explicit
	}
	return c.name
}
