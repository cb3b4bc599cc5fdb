package credentials

import (
	"cmp"
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
	// Source is where the pod's own identity comes from. Nil: WebIdentity{}. The chain
	// never falls back to another source.
	Source Source

	// Roles are assumed one after the other, starting with the source's session. Empty:
	// a direct chain.
	Roles []Role

	// ExpectedAccount is the account of the last session; one of another account is
	// [WrongSession]. Empty: not checked. It guards against reading or writing under
	// an unintended identity.
	ExpectedAccount string

	// STS changes the STS client only: its endpoint (BaseEndpoint), region or FIPS
	// setting. Without it the endpoint is AWS_ENDPOINT_URL_STS, or the region's.
	// Credentials, Retryer and ClientLogMode set here have no effect: the chain signs,
	// retries and logs itself. A TracerProvider or MeterProvider, such as the SDK's
	// adapters to OpenTelemetry, sees one operation per attempt, within the trace of the
	// caller that caused it.
	STS func(*sts.Options)

	// FallbackRegions are the regions whose STS is asked, in order, while STS of the
	// chain's own region gives no usable response: no connection, no response in time, or
	// a 5xx. A refusal or throttling is a response. The chain stays with the region that
	// works and tries its own again at each renewal. All regions share Refresh.Timeout. A
	// session is valid in every region, whichever issued it.
	//
	// The regions must be of the chain's partition and differ in their endpoint; STS is
	// called once for each, with o.Region set. An opt-in region must be enabled in the
	// accounts of all roles: one that answers RegionDisabledException for an account is
	// not asked for its roles again.
	FallbackRegions []string

	Refresh Refresh

	// Logger receives refreshes (Info), the first of a run of failures, and variables
	// that are set but not used (Warn). Nil: silent.
	//
	// Except for what New itself logs, its handler is called like OnEvent: one line of
	// a chain at a time and in order, from a goroutine that no caller waits for, with
	// the time at which it happened. At most 100 lines wait for a handler that does not
	// return. The last lines before the process exits may be lost.
	Logger *slog.Logger

	// OnEvent is called for each [Event], one at a time and in order, from a goroutine
	// that no caller of the chain waits for, after the callers that waited for the
	// session were served. It may block, take locks and call the chain. While it does
	// not return, at most 100 events wait for it: the oldest are dropped, which is
	// logged once. A panic in it is logged.
	OnEvent func(Event)

	// Strict makes environment variables that would select other credentials in the
	// SDK (AWS_ACCESS_KEY_ID, AWS_PROFILE, …) a [ConfigInvalid] instead of a warning.
	Strict bool
}

// Refresh sets when and how long a session is renewed. The zero value is right
// for almost all programs.
type Refresh struct {
	// Window is how long before it expires a session counts as due. Zero: 5
	// minutes for sessions of up to 20 minutes, 15 for less than 90, 60 for
	// longer ones. It is never more than a quarter of the session's life.
	Window time.Duration

	// Timeout limits a refresh with all its attempts. Zero: 30 seconds. The maximum is
	// an hour.
	//
	// A chain's first session is retried until then if the failure may pass by itself, as
	// on a node that has just started: no connection, a name that does not resolve, a 5xx,
	// throttling, issuer keys that STS cannot fetch, a token file that does not exist yet.
	Timeout time.Duration

	// FailureCap limits the pause after repeated failures while the session is valid.
	// Zero: 60 seconds. While there is no valid session the pause is at most 20 seconds,
	// or FailureCap if that is less. A server's Retry-After lengthens a pause up to the
	// same limit.
	FailureCap time.Duration

	// RetryDenied is how long after the chain's first attempt a denial is retried:
	// TrustDenied, AssumeDenied, OIDCProviderMissing and the code InvalidClientTokenId. It
	// is for a role that was created a moment ago, since changes of IAM take seconds to
	// reach STS. Zero: a denial is never retried within a refresh. Each refresh still
	// ends at its Timeout.
	RetryDenied time.Duration
}

// Assume appends one Role for each ARN, for roles without further settings.
func Assume(roleARNs ...string) func(*Options) {
	return func(o *Options) {
		for _, arn := range roleARNs {
			o.Roles = append(slices.Clip(o.Roles), Role{ARN: arn}) // the slice may be the caller's
		}
	}
}

// Format prints the source and the roles, and no external ID, under every verb: for a
// verb that does not fit, fmt would print all fields of a *Options.
func (o Options) Format(f fmt.State, _ rune) { fmt.Fprint(f, o.describe("Options")) }

func (o Options) describe(name string) string {
	return fmt.Sprintf("credentials.%s{Source: %v, Roles: %v}", name, o.Source, o.Roles)
}

// Role is one sts:AssumeRole hop. Only ARN is required.
//
// The limits are those of the AssumeRole API reference. [New] returns [ConfigInvalid] for
// a role that exceeds one.
type Role struct {
	ARN string

	// SessionName is 2–64 of [\w+=,.@-]. Empty: the name of the source's session, so that
	// CloudTrail shows in every account which pod called; after a source without a
	// token, crossrole@ and the host's name.
	SessionName string

	// ExternalID is 2–1224 of [\w+=,.@:/-]. No type of this package prints it. But if an
	// unexported field of your own struct holds a Role or Options, fmt cannot call their
	// methods and prints all their fields.
	ExternalID string

	SourceIdentity string // 2–64 of [\w+=,.@-]

	Policy     string   // inline session policy, JSON of at most 2,048 characters
	PolicyARNs []string // managed session policies, at most 10

	// Duration is 15 minutes to 1 hour, the limit of role chaining. Zero: 1 hour. For
	// the first role after NodeRole, Provider or FromBase, up to 12 hours are allowed;
	// STS decides.
	Duration time.Duration

	Tags              map[string]string // at most 50 session tags
	TransitiveTagKeys []string          // keys of Tags that later hops inherit
}

// clone returns a copy that shares no slice or map with the caller's role.
func (r Role) clone() Role {
	r.PolicyARNs = slices.Clone(r.PolicyARNs)
	r.Tags = maps.Clone(r.Tags)
	r.TransitiveTagKeys = slices.Clone(r.TransitiveTagKeys)
	return r
}

// duration returns the duration to request.
func (r Role) duration() time.Duration { return cmp.Or(r.Duration, time.Hour) }

// Format leaves out the external ID, which is a secret, and the policy and tags, which are
// long.
func (r Role) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "credentials.Role{ARN: %q, SessionName: %q}", r.ARN, r.SessionName)
}

// MarshalText returns the role's ARN, for JSON and slog.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.ARN), nil }
