package credentials

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/crossrole/crossrole/trust"
)

// Error is every failure of a chain: which hop, what was asked of whom, what
// came back, what that means and how to mend it. It holds no secret under any
// verb. errors.Is finds its Kind and its causes (fs.ErrPermission, …),
// errors.As reaches smithy.APIError.
type Error struct {
	Hop       int    // 1: the source's; 0: not of one hop (New)
	Operation string // "AssumeRole", "read token file", …
	RoleARN   string // the role asked for
	Caller    string // ARN that asked; empty at hop 1

	Kind          Kind
	Code, Message string // AWS's, without secrets
	RequestID     string
	Endpoint      string // host

	Attempts    int       // made by the refresh that failed
	NextAttempt time.Time // until then callers get this same error at once; zero: no pause

	Token *trust.Token // claims of the token that was used; nil at later hops
	Fixes []string     // statements and commands, ready to use

	Err error // the cause; never printed where the server wrote it

	hops int           // how many the chain has
	took time.Duration // of the last exchange
}

// Error is one readable paragraph: where, what, why, and the fix.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("credentials: " + e.paragraph())
	for i, fix := range e.Fixes {
		switch {
		case len(e.Fixes) == 1:
			b.WriteString(". To fix it: ")
		case i == 0:
			b.WriteString(". To fix it: (1) ")
		default:
			fmt.Fprintf(&b, "; (%d) ", i+1)
		}
		b.WriteString(fix)
	}
	return b.String()
}

// paragraph is the error without its fixes.
func (e *Error) paragraph() string {
	var b strings.Builder
	if e.Hop > 0 && e.hops > 0 {
		fmt.Fprintf(&b, "hop %d of %d: ", e.Hop, e.hops)
	}
	if e.Operation != "" {
		b.WriteString(e.Operation)
		if e.RoleARN != "" {
			if c := e.Operation[0]; 'a' <= c && c <= 'z' { // ours, not one of STS's
				b.WriteString(" for")
			}
			b.WriteString(" " + e.RoleARN)
		}
		if e.Caller != "" {
			b.WriteString(" as " + e.Caller)
		}
		if e.Endpoint != "" {
			b.WriteString(" at " + e.Endpoint)
		}
		b.WriteString(": ")
	}
	b.WriteString(string(e.Kind))
	if said := e.said(); said != "" {
		b.WriteString(": " + said)
	}
	if m := e.Kind.meaning(); m != "" {
		b.WriteString(". " + m)
	}
	if e.Attempts > 1 {
		fmt.Fprintf(&b, ". %d attempts", e.Attempts)
	}
	if !e.NextAttempt.IsZero() {
		fmt.Fprintf(&b, ". Next attempt not before %s", e.NextAttempt.UTC().Format(time.RFC3339))
	}
	return b.String()
}

// said is what the other side answered, or the cause when there was no answer.
func (e *Error) said() string {
	if e.Code == "" && e.Message == "" {
		if e.Err == nil {
			return ""
		}
		return e.Err.Error()
	}
	s := e.Code
	if e.Message != "" {
		s += fmt.Sprintf(" %q", e.Message)
	}
	if e.RequestID != "" {
		s += " (request " + e.RequestID + ")"
	}
	return s
}

// Is makes errors.Is(err, credentials.TrustDenied) work.
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && k == e.Kind
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Format prints the paragraph under every verb: %#v would print the cause's
// fields, which are not ours to show. It has a value receiver, as the two
// below, so that a copy of an Error keeps as silent as the Error.
func (e Error) Format(f fmt.State, verb rune) {
	if verb == 'q' {
		fmt.Fprintf(f, "%q", e.Error())
		return
	}
	fmt.Fprint(f, e.Error())
}

// MarshalText is Error, for JSON.
func (e Error) MarshalText() ([]byte, error) { return []byte(e.Error()), nil }

// LogValue gives slog the fields a person searches for.
func (e Error) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("kind", string(e.Kind)),
		slog.Int("hop", e.Hop),
		slog.String("role", e.RoleARN),
		slog.String("code", e.Code),
		slog.String("request", e.RequestID),
		slog.String("text", e.Error()),
	)
}

// meaning says what a kind means where AWS's text does not.
func (k Kind) meaning() string {
	switch k {
	case TrustDenied:
		return "The role's trust policy does not admit this token, or there is no such role; AWS does not say which condition refused"
	case OIDCProviderMissing:
		return "STS looks the token's issuer up in the account of the role, not in the cluster's"
	case AudienceMismatch:
		return "The token's audience must be among the client ids of the OIDC provider in the role's account and match the trust policy's :aud condition, byte for byte"
	case AssumeDenied:
		return "Both sides must agree: the role's trust policy must name the caller, and across accounts the caller's own policy must allow the action on the role"
	case DurationTooLong:
		return "A session may last as long as the role's MaxSessionDuration, and 1 hour where a role's session assumes another role"
	case TagsTooLarge:
		return "Session policies and tags are packed together and have one limit"
	case Throttled:
		return "STS limits requests per account and region"
	case IssuerUnreachable:
		return "STS could not fetch the cluster's public keys from the issuer"
	case RegionNotEnabled:
		return "Opt-in regions must be enabled in both accounts, and STS must be active there"
	case CredentialsExpired:
		return "The session was refused as expired also after a refresh"
	}
	return ""
}
