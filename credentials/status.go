package credentials

import "time"

// Status is the state of a chain's sessions at one moment. It holds no secret, and
// is fit for JSON.
type Status struct {
	Source string      `json:"source"`
	Hops   []HopStatus `json:"hops"`
}

// Healthy reports whether the chain had a session of its last hop: one that has not
// expired, or keys without an expiry. A refresh that fails meanwhile changes nothing
// in that; see HopStatus.Err. Before the first Retrieve it is false. It is what a
// readiness probe wants to know.
func (s Status) Healthy() bool { return len(s.Hops) > 0 && s.Hops[len(s.Hops)-1].HasSession }

// HopStatus is the state of one hop's session.
type HopStatus struct {
	RoleARN     string    `json:"role,omitempty"`
	CallerARN   string    `json:"caller,omitempty"`      // who STS says we are; empty before the first session, and where the source does not say
	Endpoint    string    `json:"endpoint,omitempty"`    // host that the last refresh asked; empty: none was asked, or a provider was
	HasSession  bool      `json:"has_session"`           // there is a session that has not expired, or keys without an expiry
	Expires     time.Time `json:"expires,omitzero"`      // on the local clock; zero: no session yet, or keys without an expiry: see HasSession
	NextAttempt time.Time `json:"next_attempt,omitzero"` // zero: no failure is remembered
	Err         *Error    `json:"error,omitempty"`       // the last since the last success; its Hop says if a previous hop failed

	// FailingSince is when the first refresh after the last success failed;
	// zero: none did.
	FailingSince time.Time `json:"failing_since,omitzero"`

	// Waiting is how many goroutines wait for a session now. A refresh of the next
	// hop is one of this one.
	Waiting int `json:"waiting"`

	// Skew is the local clock less the server's, as the last response showed it:
	// positive if the local clock is ahead, in nanoseconds in JSON. Zero also where
	// it is unknown. S3 refuses requests at 15 minutes.
	Skew time.Duration `json:"skew_nanoseconds,omitzero"`
}
