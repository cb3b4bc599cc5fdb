package credentials

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/crossrole/crossrole/trust"
)

// Error is every failure of a chain: which hop, what was asked of whom, what
// came back, what that means and how to fix it. It shows no secret under any
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
	NextAttempt time.Time // until then callers get this same error immediately; zero: no pause

	Token *trust.Token // claims of the token that was used; nil at later hops

	// Fixes are what to do, the likeliest first: a sentence, which may end in a
	// command for a shell, or in ": " and a policy statement in JSON. The statement
	// is to be added to the policy that the sentence names, and replaces none of
	// those there. In the place of an external id it has "<the external id>".
	Fixes []string

	Err error // the cause; never printed where the server wrote it

	hops int           // how many the chain has
	took time.Duration // of the last exchange
}

// Error is one paragraph: where, what, why, and the first fix in a sentence. Two
// failures of the same cause have the same text: request id, attempts and times
// are fields, and in LogValue. Only a ConfigInvalid that lists settings has a line
// for each, of up to four.
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
			b.WriteString(" as " + e.Caller)
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
	if m := e.Kind.meaning(); m != "" {
		b.WriteString(". " + m)
	}
	return b.String()
}

// maxCause limits what the text of an error quotes, in bytes.
const maxCause = 600

// cause returns what the other side responded, or why there was no response.
func (e *Error) cause() string {
	switch {
	case e.Code == "" && e.Message == "" && e.Err == nil:
		return ""
	case e.Code == "" && e.Message == "":
		if list, ok := e.Err.(problems); ok { //nolint:errorlint // ours, and never wrapped
			return list.Error()
		}
		return shorten(space().ReplaceAllString(strings.TrimSpace(e.Err.Error()), " "), maxCause)
	case e.Kind == TokenExpired && e.Token != nil: // STS's message has the time of day
		return e.Code + ", the token expired at " + e.Token.Expires.UTC().Format(time.RFC3339)
	case e.Message == "":
		return shorten(e.Code, maxCause)
	}
	return fmt.Sprintf("%s %q", shorten(e.Code, maxCause), shorten(e.Message, maxCause))
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

// LogValue gives slog the fields to search for. RequestID, Attempts and
// NextAttempt are not in the text.
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

// Kind is why a chain failed. A Kind is an error, so that
//
//	errors.Is(err, credentials.TrustDenied)
//
// asks for it wherever in the chain it happened.
type Kind string

// The kinds of failure. What to do about each stands in [Error.Fixes].
const (
	ConfigInvalid       Kind = "ConfigInvalid"       // a setting breaks a rule; found before any call, or STS's ValidationError
	TokenUnreadable     Kind = "TokenUnreadable"     // the token file cannot be opened or read
	TokenMalformed      Kind = "TokenMalformed"      // the file holds no service-account token
	TokenExpired        Kind = "TokenExpired"        // the token's exp has passed and kubelet has written no newer one
	AudienceMismatch    Kind = "AudienceMismatch"    // the token's aud is not one that was registered or asked for
	OIDCProviderMissing Kind = "OIDCProviderMissing" // the role's account does not know the token's issuer
	TrustDenied         Kind = "TrustDenied"         // web identity: the role's trust policy does not admit the token, or there is no such role
	AssumeDenied        Kind = "AssumeDenied"        // sts:AssumeRole was refused on either side
	DurationTooLong     Kind = "DurationTooLong"     // more than the role's MaxSessionDuration or the chaining cap
	TagsTooLarge        Kind = "TagsTooLarge"        // session policies and tags exceed the packed size
	TokenRejected       Kind = "TokenRejected"       // STS refuses the token for another reason: signature, key, issuer
	Throttled           Kind = "Throttled"           // too many requests, to the end of the retry budget
	IssuerUnreachable   Kind = "IssuerUnreachable"   // STS could not fetch the issuer's keys
	STSUnreachable      Kind = "STSUnreachable"      // no usable response from the endpoint: connection, 5xx, not STS at all
	RefreshTimeout      Kind = "RefreshTimeout"      // nothing came back within Refresh.Timeout
	CredentialsExpired  Kind = "CredentialsExpired"  // a service refuses the session as expired, also after a refresh
	RegionNotEnabled    Kind = "RegionNotEnabled"    // the region is not enabled in the account
	WrongSession        Kind = "WrongSession"        // the reply is not a usable session of the role asked for
	Unknown             Kind = "Unknown"             // none of the above: read Code and Message, or Err
)

// Error makes a Kind usable with [errors.Is].
func (k Kind) Error() string { return string(k) }
