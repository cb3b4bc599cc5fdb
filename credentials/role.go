package credentials

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Role is one sts:AssumeRole hop. Only ARN is required.
//
// Limits are those of the AssumeRole API reference; whatever breaks one is
// [ConfigInvalid] from [New].
type Role struct {
	ARN string

	// SessionName is 2–64 of [\w+=,.@-]. Empty: the name of the source's
	// session, so that CloudTrail tells in every account which pod called; after a
	// source without a token crossrole@ and the host's name.
	SessionName string

	// ExternalID is 2–1224 of [\w+=,.@:/-]. Every type of this package leaves it
	// out when printed; but fmt cannot call methods of what an unexported field of
	// your own struct holds, and prints a Role or Options there with all fields.
	ExternalID string

	SourceIdentity string // 2–64 of [\w+=,.@-]

	Policy     string   // inline session policy, JSON of at most 2,048 characters
	PolicyARNs []string // managed session policies, at most 10

	// Duration is 15 minutes to 1 hour, the limit of role chaining. Zero: 1
	// hour. The first role after NodeRole, Provider or FromBase may ask for up
	// to 12 hours; STS decides.
	Duration time.Duration

	Tags              map[string]string // at most 50 session tags
	TransitiveTagKeys []string          // keys of Tags that later hops inherit
}

// clone makes a copy that shares nothing with r, so that a caller's later
// changes to its maps change nothing here.
func (r Role) clone() Role {
	r.PolicyARNs = slices.Clone(r.PolicyARNs)
	r.Tags = maps.Clone(r.Tags)
	r.TransitiveTagKeys = slices.Clone(r.TransitiveTagKeys)
	return r
}

func pointersTo(roles []Role) []*Role {
	var list []*Role
	for i := range roles {
		list = append(list, &roles[i])
	}
	return list
}

// duration is what is asked of STS.
func (r Role) duration() time.Duration {
	if r.Duration == 0 {
		return time.Hour
	}
	return r.Duration
}

// Format leaves out the external id, which is a shared secret of two accounts,
// and the policy and tags, which would only be long.
func (r Role) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "credentials.Role{ARN: %q, SessionName: %q}", r.ARN, r.SessionName)
}

// MarshalText is the role's ARN, for JSON and slog.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.ARN), nil }
