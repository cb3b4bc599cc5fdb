package awstest

import "time"

// Role is an IAM role.
type Role struct{}

// ARN is arn:aws:iam::<account>:role/<path and name>.
func (r *Role) ARN() string { return "" }

// SetTrust replaces the trust policy; sessions already given out stay valid. It
// panics on a policy that IAM refuses.
func (r *Role) SetTrust(trustJSON string) {}

// SetPolicy replaces the identity policy, at once also for the sessions given
// out. It panics on a policy that IAM refuses.
func (r *Role) SetPolicy(policyJSON string) {}

// SetMaxSessionDuration sets the longest session that may be asked for: 1 to 12
// hours, 1 hour at first.
func (r *Role) SetMaxSessionDuration(d time.Duration) {}

// RevokeSessions makes every session given out so far expired for all services.
func (r *Role) RevokeSessions() {}
