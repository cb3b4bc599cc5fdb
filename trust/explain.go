package trust

// Request is what a policy decides about.
type Request struct {
	// Action, such as "sts:AssumeRoleWithWebIdentity" or "s3:GetObject".
	Action string
	// Resource is an ARN; empty for trust policies, whose resource is the role.
	Resource string
	// Principal is who asks, by type: {"Federated": {provider ARN}} or {"AWS":
	// {session ARN, role ARN, account root ARN, …}}: all names of the caller.
	// Nil for identity policies, which have no principal.
	Principal Principals
	// Context holds the condition keys of the request, by name without regard
	// to case: {"oidc.eks.…/id/X:sub": {"system:serviceaccount:ns:sa"}}.
	Context map[string][]string
}

// Decision is what a policy says about a [Request].
type Decision struct {
	Allowed bool
	// Denied is true when a Deny statement matched, so that no other policy
	// can allow the request either.
	Denied  bool
	Reasons []Reason // one a statement, in order
}

// Reason says why one statement did or did not match.
type Reason struct {
	Statement int    // index in Policy.Statements
	SID       string // its Sid, if it has one
	Matched   bool
	Element   string // what refused: "Principal", "Action", "Resource" or "Condition"
	Text      string // in words, with the values compared
}

// Explain decides a request as IAM does: a Deny that matches wins, else an
// Allow that matches, else the request is refused.
func (p *Policy) Explain(req Request) Decision { return Decision{} }
