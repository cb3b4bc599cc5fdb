package credentials

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Options are the settings of a chain. The zero value is a direct chain that
// starts from the pod's web identity.
type Options struct {
	// Source is where the pod's own identity comes from. Nil: WebIdentity{}.
	// No failure of a source ever selects another one.
	Source Source

	// Roles are assumed one after the other, from the source's session on.
	// Empty: a direct chain.
	Roles []Role

	// ExpectedAccount refuses a final session of any other account with
	// [WrongSession]. Empty: not checked. It guards against reading, or
	// writing, under an identity that was not intended.
	ExpectedAccount string

	// STS changes the STS client alone: its endpoint (BaseEndpoint), region or
	// FIPS setting. Without it the endpoint is AWS_ENDPOINT_URL_STS, or the
	// region's. Credentials, Retryer and ClientLogMode set here have no effect:
	// the chain signs, retries and logs for itself. A TracerProvider or
	// MeterProvider, such as the SDK's adapters to OpenTelemetry, sees one
	// operation an attempt, within the trace of the caller that caused it.
	STS func(*sts.Options)

	Refresh Refresh

	// Logger receives a line for what a person should know: refreshes, their
	// failures, variables that are set and not used. What is well comes at Info,
	// warnings and the first of several failures at Warn. Nil: silent.
	//
	// Except for what New itself logs, its handler is called like OnEvent: one line
	// of a chain at a time and in order, from a goroutine that no caller waits for,
	// with the time at which it happened. At most 100 lines wait for a handler that
	// does not return. The last lines before the process exits may be lost.
	Logger *slog.Logger

	// OnEvent is called for each [Event], one at a time and in order, from a
	// goroutine that no caller of the chain waits for, after the callers who waited
	// for what it reports were served. It may block, take locks and call the chain.
	// While it does not return, at most 100 events wait for it: the oldest are
	// dropped, and the log says so once. A panic in it is logged.
	OnEvent func(Event)

	// Strict turns the warning for environment variables that shadow a source
	// elsewhere (AWS_ACCESS_KEY_ID, AWS_PROFILE, …) into [ConfigInvalid].
	Strict bool
}

// Refresh sets when and how long a session is renewed. The zero value is right
// for almost all programs.
type Refresh struct {
	// Window is how long before it expires a session counts as due. Zero: 5
	// minutes for sessions of up to 20 minutes, 15 for less than 90, 60 for
	// longer ones. It is never more than a quarter of the session's life.
	Window time.Duration

	// Timeout bounds a refresh with all its attempts. Zero: 30 seconds. More than an
	// hour counts as an hour.
	Timeout time.Duration

	// FailureCap bounds the pause after repeated failures. Zero: 60 seconds.
	FailureCap time.Duration
}

// Assume appends one Role for each ARN: the shorthand for roles without further
// settings.
func Assume(roleARNs ...string) func(*Options) {
	return func(o *Options) {
		for _, arn := range roleARNs {
			o.Roles = append(slices.Clip(o.Roles), Role{ARN: arn}) // the slice may be the caller's
		}
	}
}

// Format prints the source and the roles, and no external id, under every verb:
// for one that does not fit, fmt would print the fields of a *Options as they are.
func (o Options) Format(f fmt.State, _ rune) { fmt.Fprint(f, o.describe("Options")) }

func (o Options) describe(name string) string {
	return fmt.Sprintf("credentials.%s{Source: %v, Roles: %v}", name, o.Source, o.Roles)
}

// Role is one sts:AssumeRole hop. Only ARN is required.
//
// Limits are those of the AssumeRole API reference; whatever breaks one is
// [ConfigInvalid] from [New].
type Role struct {
	ARN string

	// SessionName is 2–64 of [\w+=,.@-]. Empty: the name of the source's
	// session, so that CloudTrail shows in every account which pod called; after a
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
