package credentials

import (
	"cmp"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/crossrole/crossrole/internal/denial"
	"github.com/crossrole/crossrole/trust"
)

// Error describes a failure of a chain: the hop, the request, the response, what that
// means and how to fix it. It shows no secret under any verb. errors.Is finds its Kind
// and its causes (fs.ErrPermission, …), errors.As reaches smithy.APIError.
type Error struct {
	Hop       int    // 1: the source's; 0: not of one hop (New)
	Operation string // "AssumeRole", "read token file", "call token function", …
	RoleARN   string // the requested role
	Caller    string // ARN that requested it; empty at hop 1

	Kind          Kind
	Code, Message string // AWS's, without secrets
	RequestID     string
	Endpoint      string // host

	Attempts    int       // made by the refresh that failed
	NextAttempt time.Time // until then callers get this same error immediately; zero: no pause

	Token *trust.Token // claims of the token that was sent; nil at later hops

	// Fixes say what to do, the most likely fix first. Each is a sentence that may end
	// in a shell command, or in ": " and a policy statement in JSON. Add the statement
	// to the policy that the sentence names; it replaces none of those there. It has
	// "<the external id>" in place of an external ID.
	Fixes []string

	Err error // the cause; never printed where the server wrote it

	hops       int           // number of the chain's hops
	took       time.Duration // of the last exchange
	retryAfter time.Duration // how long the response asks to wait; zero: it does not
	also       []string      // other endpoints that gave no usable response, each with the reason
}

// Error returns one paragraph: where, what, why, and the first fix in a sentence. Two
// failures with the same cause have the same text: request ID, attempts and times are
// fields, and in LogValue. Only a ConfigInvalid with up to four problems has a line for
// each.
func (e *Error) Error() string {
	text := "credentials: " + e.describe()
	if len(e.Fixes) == 0 {
		return text
	}
	text += ". To fix it: " + summary(e.Fixes[0])
	if more := len(e.Fixes) - 1; more > 0 {
		text += fmt.Sprintf("; %d more in Error.Fixes", more)
	}
	return text
}

// describe returns the error without its fixes.
func (e *Error) describe() string {
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
			b.WriteString(" as " + oneLine(e.Caller))
		}
		if e.Endpoint != "" {
			b.WriteString(" at " + e.Endpoint)
		}
		b.WriteString(": ")
	}
	b.WriteString(string(e.Kind))
	if cause := e.cause(); cause != "" {
		b.WriteString(": " + cause)
	}
	if len(e.also) > 0 {
		b.WriteString("; no session either from " + strings.Join(e.also, ", "))
	}
	if m := e.meaning(); m != "" {
		b.WriteString(". " + m)
	}
	return b.String()
}

// meaning explains the kind, unless STS names the policy that denied the request: then the
// fixes say what to do about that one.
func (e *Error) meaning() string {
	if _, named := e.denial(); named {
		return ""
	}
	return e.Kind.meaning()
}

// denial returns the policy that denied the request, if STS names it.
func (e *Error) denial() (d denial.Denial, named bool) {
	if e.Kind != TrustDenied && e.Kind != AssumeDenied {
		return d, false
	}
	d, named = denial.Read(e.Message)
	d.Action, d.Resource = cmp.Or(d.Action, "sts:"+e.Operation), e.RoleARN
	if role, err := parseRoleARN(e.RoleARN); err == nil {
		d.ResourceAccount = role.account
	}
	if caller, err := arn.Parse(e.Caller); err == nil && isAccount(caller.AccountID) {
		d.CallerAccount = caller.AccountID
	}
	return d, named
}

// maxCause limits what the text of an error quotes, in bytes.
const maxCause = 600

// cause returns the response, or why there was none.
func (e *Error) cause() string {
	switch {
	case e.Code == "" && e.Message == "" && e.Err == nil:
		return ""
	case e.Code == "" && e.Message == "":
		if list, ok := e.Err.(problems); ok { //nolint:errorlint // ours, and never wrapped
			return list.Error()
		}
		return shorten(oneLine(e.Err.Error()), maxCause)
	case e.Kind == TokenExpired && e.Token != nil: // STS's message changes with the time
		return e.Code + ", the token expired at " + e.Token.Expires.UTC().Format(time.RFC3339)
	case e.Message == "":
		return shorten(oneLine(e.Code), maxCause)
	}
	return fmt.Sprintf("%s %q", shorten(oneLine(e.Code), maxCause), shorten(e.Message, maxCause))
}

// oneLine returns text without line breaks.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// Is reports whether target is the Kind, for errors.Is.
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && k == e.Kind
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Format prints the paragraph under every verb: %#v would print the cause's fields, which
// may be secret. Like the two methods below it has a value receiver, so that a copy of
// an Error is as safe to print.
func (e Error) Format(f fmt.State, verb rune) {
	if verb == 'q' {
		fmt.Fprintf(f, "%q", e.Error())
		return
	}
	fmt.Fprint(f, e.Error())
}

// MarshalText returns Error, for JSON.
func (e Error) MarshalText() ([]byte, error) { return []byte(e.Error()), nil }

// LogValue returns the fields to search for. RequestID, Attempts and NextAttempt are not
// in the text.
func (e Error) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("kind", string(e.Kind)),
		slog.Int("hop", e.Hop),
		slog.String("role", e.RoleARN),
		slog.String("code", e.Code),
		slog.String("request", e.RequestID),
		slog.Int("attempts", e.Attempts),
		slog.Time("next", e.NextAttempt),
		slog.String("text", e.Error()),
	)
}

// meaning explains a kind where AWS's text does not.
func (k Kind) meaning() string {
	switch k {
	case TrustDenied:
		return "The role's trust policy does not admit this token, or there is no such role; AWS does not say which condition refused"
	case OIDCProviderMissing:
		return "STS looks up the token's issuer in the role's account, not in the cluster's"
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
		return "A new session was refused as expired too"
	}
	return ""
}

// Kind is the reason why a chain failed. A Kind is an error, so that
//
//	errors.Is(err, credentials.TrustDenied)
//
// reports whether any hop failed for that reason.
type Kind string

// The kinds of failure. [Error.Fixes] says what to do about each.
const (
	ConfigInvalid       Kind = "ConfigInvalid"       // a setting breaks a rule; found before any call, or STS's ValidationError
	TokenUnreadable     Kind = "TokenUnreadable"     // the token file cannot be opened or read, or the token function failed
	TokenMalformed      Kind = "TokenMalformed"      // the file holds, or the function returned, no token
	TokenExpired        Kind = "TokenExpired"        // the token's exp has passed and there is no newer one
	AudienceMismatch    Kind = "AudienceMismatch"    // the token's aud is not one that was registered or asked for
	OIDCProviderMissing Kind = "OIDCProviderMissing" // the role's account does not know the token's issuer
	TrustDenied         Kind = "TrustDenied"         // web identity: the role's trust policy does not admit the token, or there is no such role
	AssumeDenied        Kind = "AssumeDenied"        // one side or both refused sts:AssumeRole
	DurationTooLong     Kind = "DurationTooLong"     // more than the role's MaxSessionDuration or the chaining cap
	TagsTooLarge        Kind = "TagsTooLarge"        // session policies and tags exceed the packed size
	TokenRejected       Kind = "TokenRejected"       // STS refuses the token for another reason: signature, key, issuer
	Throttled           Kind = "Throttled"           // too many requests, until the refresh's deadline
	IssuerUnreachable   Kind = "IssuerUnreachable"   // STS could not fetch the issuer's keys
	STSUnreachable      Kind = "STSUnreachable"      // no usable response from the endpoint: connection, 5xx, not STS at all
	RefreshTimeout      Kind = "RefreshTimeout"      // no response within Refresh.Timeout
	CredentialsExpired  Kind = "CredentialsExpired"  // a service refuses the session as expired, and the next one too
	RegionNotEnabled    Kind = "RegionNotEnabled"    // the region is not enabled in the account
	WrongSession        Kind = "WrongSession"        // the response is not a usable session of the requested role
	Unknown             Kind = "Unknown"             // none of the above: see Code and Message, or Err
)

// Error makes a Kind usable with [errors.Is].
func (k Kind) Error() string { return string(k) }
