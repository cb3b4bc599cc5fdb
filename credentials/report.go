package credentials

import (
	"context"
	"errors"
)

// Report is what [Chain.Check] found.
type Report struct {
	Source string
	Err    error // why the check could not be made
}

// Check tries every hop of the chain now and reports what to fix. It is not
// built yet: the report's Err says so.
func (c *Chain) Check(ctx context.Context) *Report {
	return &Report{Source: c.source.String(), Err: errors.New("credentials: Check is not built yet")}
}
