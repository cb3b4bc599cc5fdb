package credentials

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
	STSUnreachable      Kind = "STSUnreachable"      // no usable answer from the endpoint: connection, 5xx, not STS at all
	RefreshTimeout      Kind = "RefreshTimeout"      // nothing came back within Refresh.Timeout
	CredentialsExpired  Kind = "CredentialsExpired"  // a service refuses the session as expired, also after a refresh
	RegionNotEnabled    Kind = "RegionNotEnabled"    // the region is not enabled in the account
	WrongSession        Kind = "WrongSession"        // the reply is not a usable session of the role asked for
	Unknown             Kind = "Unknown"             // none of the above: read Code and Message, or Err
)

// Error makes a Kind usable with [errors.Is].
func (k Kind) Error() string { return string(k) }
