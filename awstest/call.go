package awstest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Call records one request that the cloud received. It contains no tokens, signatures
// or secret keys. The external ID is in Params, so that a test can check that it was
// sent.
//
// A request to a host that the cloud does not serve (such as an instance's metadata
// service) is a call without Operation.
type Call struct {
	Time        time.Time
	Operation   string            // "AssumeRole", "GetObject", …; empty: no such host
	Caller      string            // ARN of the signer; empty if unsigned or unknown
	AccessKeyID string            // empty if unsigned
	Host        string            // the host of the request's URL
	Params      map[string]string // parameters by their API names: RoleArn, DurationSeconds, Key, Range, …; lists joined by commas, tags as key=value
	Status      int               // 0 if no response was sent
	Code        string            // AWS error code; empty on success
	Subject     string            // AssumeRoleWithWebIdentity: sub of the token
	Explain     string            // why the request was refused, where AWS does not disclose it; else empty
	Allowed     string            // the statements that grant the request, and their policies; empty if it is refused or needs none
}

// allow records the statements that grant an action of the request. Of a request for
// many objects it keeps about the first thousand bytes.
func (c *Call) allow(why string) {
	if why != "" && !strings.Contains(c.Allowed, why) && len(c.Allowed) < 1000 {
		c.Allowed = strings.TrimPrefix(c.Allowed+"; "+why, "; ")
	}
}

// String returns the call in one line, for a failing test's message.
func (c Call) String() string {
	var b strings.Builder
	if c.Operation == "" {
		fmt.Fprintf(&b, "request to unknown host %s", c.Host)
	} else {
		b.WriteString(c.Operation)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Params)) {
		fmt.Fprintf(&b, " %s=%s", name, quoteIfNeeded(c.Params[name]))
	}
	if c.Subject != "" {
		fmt.Fprintf(&b, " sub=%s", c.Subject)
	}
	switch {
	case c.Caller != "":
		fmt.Fprintf(&b, " by %s", c.Caller)
	case c.AccessKeyID != "":
		fmt.Fprintf(&b, " by unknown key %s", c.AccessKeyID)
	}
	if c.Status == 0 {
		b.WriteString(" → no answer")
	} else {
		fmt.Fprintf(&b, " → %d", c.Status)
	}
	if c.Code != "" {
		b.WriteString(" " + c.Code)
	}
	if c.Explain != "" {
		fmt.Fprintf(&b, " (%s)", c.Explain)
	}
	return b.String()
}

func quoteIfNeeded(s string) string {
	if s == "" || strings.ContainsAny(s, " \t\r\n\"") {
		return fmt.Sprintf("%q", s)
	}
	return s
}

func (c Call) clone() Call {
	c.Params = maps.Clone(c.Params)
	return c
}
