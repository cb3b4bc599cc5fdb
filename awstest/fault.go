package awstest

import (
	"fmt"
	"time"
)

// Fault is one thing that goes wrong. The first group of fields selects the
// requests (empty: any), the second says how often, the third what happens.
type Fault struct {
	Operation   string // "AssumeRole", "GetObject", …
	RoleARN     string // the role asked for (STS)
	Bucket, Key string // S3
	AccessKeyID string // the key that signed

	Skip  int // let this many matching requests through first
	Times int // strike this often; 0: until removed

	// Before the answer.
	Delay time.Duration // wait, or until the client gives up
	Hang  bool          // never answer: end with the client's context
	Drop  bool          // close the connection without an answer

	// Instead of the answer.
	Status        int    // HTTP status of an error answer; with Code
	Code, Message string // AWS error code
	Body          string // with Status: these bytes instead of AWS's error document
	Header        map[string]string

	// Done to the true answer of S3.
	ResetAfter  *int64                // reset the connection after n bytes of the body
	StallAfter  *int64                // send nothing more after n bytes
	IgnoreRange bool                  // 200 with the whole object for a range
	WrongRange  bool                  // another range than asked for, truthfully labelled
	Edit        func(b []byte) []byte // change the body; Content-Length follows

	// Done to the true answer of STS.
	Expiration   *time.Time // this end of session (a past one, say)
	NoExpiration bool
	WrongRole    string        // AssumedRoleUser names this role ARN instead
	ServerClock  time.Duration // the answer's Date, and what it says of time, are ahead by this
}

// Call is one request that the cloud answered. It holds no secret: tokens,
// signatures and keys are left out.
type Call struct {
	Time        time.Time
	Operation   string
	Caller      string            // ARN of the signer; empty if unsigned or unknown
	AccessKeyID string            // empty if unsigned
	Host        string            // as asked for
	Params      map[string]string // parameters by their API names: RoleArn, DurationSeconds, Key, Range, …
	Status      int               // 0 if no answer was sent
	Code        string            // AWS error code; empty on success
	Subject     string            // AssumeRoleWithWebIdentity: sub of the token
}

// String is the call in one line, for a failing test's message.
func (c Call) String() string {
	return fmt.Sprintf("%s %v → %d %s", c.Operation, c.Params, c.Status, c.Code)
}
