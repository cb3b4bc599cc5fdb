package credentials

import (
	"time"
	"weak"

	"github.com/crossrole/crossrole/credentials/internal/eventowner"
)

// EventType names what happened to a session.
type EventType string

// The events of a chain.
const (
	Refreshed     EventType = "refreshed"      // a new session is in use
	RefreshFailed EventType = "refresh-failed" // a refresh failed, with all its attempts; a valid session stays in use
	Recovered     EventType = "recovered"      // follows the Refreshed that ends failures
	TokenRotated  EventType = "token-rotated"  // the token file held another token than before
	IssuerChanged EventType = "issuer-changed" // the token comes from another cluster than before
	Invalidated   EventType = "invalidated"    // a session was given up before its end
)

// Event reports what happened to one hop's session. It holds no secret.
type Event struct {
	Type    EventType
	Hop     int    // 1: the source's
	RoleARN string // of the hop; empty where the source names none
	Err     error  // RefreshFailed: an *Error

	// Endpoint is the host that the refresh asked last, of STS or of the agent that
	// gives the credentials. Empty: it asked none, or the source is a provider.
	Endpoint string

	// Expires is the end of the new session, of the one still in use
	// (RefreshFailed), or of the one given up (Invalidated). Zero: there is none.
	Expires time.Time

	// Duration is what the exchange that ended a refresh took, from request to
	// reply: the latency of STS. Pauses between attempts and the wait for the
	// hop before are not in it. Zero: nothing was asked.
	Duration time.Duration

	chain weak.Pointer[Chain] // that sent it
}

// eventOwner is a chain as package metrics knows it.
type eventOwner struct{ chain weak.Pointer[Chain] }

func (o eventOwner) Alive() bool { return o.chain.Value() != nil }

func init() {
	eventowner.Of = func(event any) eventowner.Owner {
		if e, ok := event.(Event); ok && e.chain != (weak.Pointer[Chain]{}) {
			return eventOwner{e.chain}
		}
		return nil
	}
}
