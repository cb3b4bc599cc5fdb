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
	CallerARN   string    // who STS says we are; empty before the first session
	Expires     time.Time // on the local clock; zero: no session
	NextAttempt time.Time // zero: no failure is remembered
	Err         error     // the last failure since the last success

	// FailingSince is when the first refresh after the last success failed;
	// zero: none did.
	FailingSince time.Time

	// Waiting is how many callers wait for a session now. A refresh of the next
	// hop is one caller of this one.
	Waiting int
}
