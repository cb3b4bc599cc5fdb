package credentials

import "time"

// Status is the state of a chain's sessions at one moment. It holds no secret.
type Status struct {
	Source string
	Hops   []HopStatus
}

// HopStatus is the state of one hop's session.
type HopStatus struct {
	RoleARN     string
	CallerARN   string    // who STS says we are; empty before the first session, and where the source does not tell
	Expires     time.Time // on the local clock; zero: no session, or keys without an end
	NextAttempt time.Time // zero: no failure is remembered
	Err         error     // an *Error, the last since the last success; its Hop tells if a hop before failed

	// FailingSince is when the first refresh after the last success failed;
	// zero: none did.
	FailingSince time.Time

	// Waiting is how many goroutines wait for a session now. A refresh of the next
	// hop is one of this one.
	Waiting int
}
