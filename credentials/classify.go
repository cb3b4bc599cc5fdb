package credentials

// Which Kind a failure is and whether it is retried: the response of the server, the
// retry table, and its look-up. refresh.go retries, diagnose.go makes the error.

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/xml"
	"errors"
	"slices"
	"strings"
	"time"

	awsretry "github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"

	"github.com/crossrole/crossrole/internal/lazyregexp"
)

// retry is what to do after a failed attempt, within the same refresh.
type retry int

const (
	retryNever           retry = iota
	retryIfFirst               // after a pause, until the refresh's deadline, but only in a chain's first session
	retryBackoff               // the same; in a later refresh without a valid session, at most backoffAttempts
	retryUntilDeadline         // after longer pauses, until the refresh's deadline
	retryOnce                  // one more attempt, immediately
	retryIfTokenChanged        // one more attempt, if the token file changed meanwhile or the token function returns another token
	retryIfParentRenewed       // one more attempt, after the previous hop was renewed
)

// class is the result of classify.
type class struct {
	kind  Kind
	retry retry
}

// rule is one row: an error code, and part of the message where one code has several
// causes.
type rule struct {
	code, message string
	class
}

// retryTable is searched from the top; the rows of a code go from special to general.
// Codes and texts are those of the STS API reference,
// https://docs.aws.amazon.com/STS/latest/APIReference/, and of public reports.
var retryTable = []rule{
	{"ExpiredTokenException", "", class{TokenExpired, retryIfTokenChanged}},
	{"InvalidIdentityToken", "retrieve verification key", class{IssuerUnreachable, retryBackoff}},
	{"InvalidIdentityToken", "audience", class{AudienceMismatch, retryNever}},
	{"InvalidIdentityToken", "no openidconnect provider", class{OIDCProviderMissing, retryNever}},
	{"InvalidIdentityToken", "thumbprint", class{OIDCProviderMissing, retryOnce}},
	{"InvalidIdentityToken", "could not be validated", class{TokenRejected, retryNever}},
	{"InvalidIdentityToken", "not valid", class{TokenRejected, retryNever}},
	{"InvalidIdentityToken", "not a valid", class{TokenRejected, retryNever}},
	{"InvalidIdentityToken", "", class{TokenRejected, retryOnce}},
	{"IDPCommunicationError", "", class{IssuerUnreachable, retryBackoff}},
	{"IDPRejectedClaim", "", class{TokenRejected, retryNever}},

	{"PackedPolicyTooLarge", "", class{TagsTooLarge, retryNever}},
	{"ValidationError", "1 hour session limit", class{DurationTooLong, retryNever}},
	{"ValidationError", "maxsessionduration", class{DurationTooLong, retryNever}},
	{"ValidationError", "", class{ConfigInvalid, retryNever}},
	{"MalformedPolicyDocument", "", class{ConfigInvalid, retryNever}},
	{"RegionDisabledException", "", class{RegionNotEnabled, retryNever}},

	// The session that signed was revoked before it expired, or the clock is off.
	{"ExpiredToken", "", class{CredentialsExpired, retryIfParentRenewed}},
	{"InvalidClientTokenId", "", class{RegionNotEnabled, retryIfParentRenewed}},
	{"UnrecognizedClientException", "", class{RegionNotEnabled, retryIfParentRenewed}},
	{"SignatureDoesNotMatch", "signature expired", class{Unknown, retryOnce}},
	{"SignatureDoesNotMatch", "not yet current", class{Unknown, retryOnce}},
	{"RequestTimeTooSkewed", "", class{Unknown, retryOnce}},
	{"RequestExpired", "", class{Unknown, retryOnce}},
	{"RequestInTheFuture", "", class{Unknown, retryOnce}},

	// EKS Auth's, as the Pod Identity agent passes them on:
	// https://docs.aws.amazon.com/eks/latest/APIReference/API_auth_AssumeRoleForPodIdentity.html
	{"InvalidTokenException", "", class{TokenRejected, retryNever}},
	{"InternalServerException", "", class{STSUnreachable, retryBackoff}},
	{"ServiceUnavailableException", "", class{STSUnreachable, retryBackoff}},

	{"Throttling", "", class{Throttled, retryUntilDeadline}},
	{"ThrottlingException", "", class{Throttled, retryUntilDeadline}},
	{"ThrottledException", "", class{Throttled, retryUntilDeadline}},
	{"RequestThrottled", "", class{Throttled, retryUntilDeadline}},
	{"RequestThrottledException", "", class{Throttled, retryUntilDeadline}},
	{"TooManyRequestsException", "", class{Throttled, retryUntilDeadline}},
	{"RequestLimitExceeded", "", class{Throttled, retryUntilDeadline}},
	{"BandwidthLimitExceeded", "", class{Throttled, retryUntilDeadline}},
	{"SlowDown", "", class{Throttled, retryUntilDeadline}},
	{"PriorRequestNotComplete", "", class{Throttled, retryUntilDeadline}},
}

// The pauses before a further attempt: a random part of base doubled each time,
// at most cap ("full jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
const (
	backoffAttempts = 4
	backoffBase     = 200 * time.Millisecond
	backoffCap      = 5 * time.Second
	throttledBase   = time.Second
	throttledCap    = 8 * time.Second
)

// classify returns the class of a failure. web is true for AssumeRoleWithWebIdentity and
// false for AssumeRole: AccessDenied has a different meaning in each.
func classify(err error, att *attempt, web bool) class {
	r := readReply(err, att)
	if r.foreign {
		return class{STSUnreachable, retryNever}
	}
	_, denied := errors.AsType[smithy.APIError](err)
	if denied {
		message := strings.ToLower(r.message)
		for _, rule := range retryTable {
			if rule.code == r.code && strings.Contains(message, rule.message) {
				return rule.class
			}
		}
		// NoSuchEntity is how stores report a role that does not exist; AWS does not
		// distinguish the two.
		switch r.code {
		case "AccessDenied", "AccessDeniedException", "NoSuchEntity":
			if web {
				return class{TrustDenied, retryNever}
			}
			return class{AssumeDenied, retryNever}
		}
	}
	switch status := statusOf(err); {
	case status == 429:
		return class{Throttled, retryUntilDeadline}
	case status >= 500:
		return class{STSUnreachable, retryBackoff}
	case status != 0 && !denied: // not a response of STS: a proxy's page, another service
		return class{STSUnreachable, retryNever}
	case status != 0, denied, errors.Is(err, context.Canceled):
		return class{Unknown, retryNever}
	}
	_, otherCA := errors.AsType[x509.UnknownAuthorityError](err)
	_, otherHost := errors.AsType[x509.HostnameError](err)
	if otherCA || otherHost {
		return class{STSUnreachable, retryNever}
	}
	// No response at all: refused, reset, timed out, no such host.
	return class{STSUnreachable, retryBackoff}
}

// reply is the error response of an endpoint.
type reply struct {
	code, message, requestID string
	foreign                  bool // another service sent it
}

// readReply returns code, message and request ID of an error response. Nothing else of
// the server's bytes is kept.
func readReply(err error, att *attempt) reply {
	var r reply
	if denied, ok := errors.AsType[smithy.APIError](err); ok {
		r.code, r.message = denied.ErrorCode(), denied.ErrorMessage()
		if r.message == "UnknownError" { // the SDK's placeholder for none
			r.message = ""
		}
	}
	if withID, ok := errors.AsType[interface {
		error
		ServiceRequestID() string
	}](err); ok {
		r.requestID = withID.ServiceRequestID()
	}
	if att.operation == agentOperation && r.code == "" {
		if fromAgent, ok := agentReply(att.Head); ok {
			return fromAgent
		}
	}
	// A store that speaks STS may leave out the ErrorResponse element around an error.
	// So does S3, which has other codes.
	switch bare := bareError(att.Head); {
	case bare.code == "":
	case !isSTSCode(bare.code):
		bare.foreign = statusOf(err) < 500
		return bare
	case r.code == "" || r.code == "UnknownError":
		return bare
	}
	return r
}

// agentText matches a refusal of the EKS Pod Identity agent: text that holds the EKS
// Auth service's request ID, code and message. A word in parentheses without an ID in
// brackets before it must end like a code, since a proxy's page has such words too.
var agentText = lazyregexp.New(`(?s)^(?:.*?\[([^\]\s]*)\]:?\s*\(([A-Z]\w+)\)|(?:.*?\s|)\(([A-Z]\w+(?:Exception|Error))\)):?\s*(.*?)(?:,\s*fault:\s*\w*\s*)?$`)

// agentReply reads a refusal of the Pod Identity agent, in text or in JSON, whatever
// its content type is.
func agentReply(body []byte) (reply, bool) {
	var r reply
	var document struct{ Code, Message, RequestID string }
	if json.Unmarshal(body, &document) == nil && document.Code != "" {
		r = reply{code: document.Code, message: document.Message, requestID: document.RequestID}
	} else if m := agentText().FindStringSubmatch(strings.TrimSpace(string(body))); m != nil {
		r = reply{code: m[2] + m[3], message: strings.TrimSpace(m[4]), requestID: m[1]}
	}
	if holdsKeys().MatchString(r.message) {
		r.message = keysNotShown
	}
	return r, r.code != ""
}

// statusOf returns the HTTP status of an error response; 0: there was no response.
func statusOf(err error) int {
	if resp, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
	}](err); ok {
		return resp.HTTPStatusCode()
	}
	return 0
}

// bareError reads an error document without ErrorResponse, which may be cut off.
func bareError(head []byte) reply {
	var r reply
	fields := map[string]*string{"Code": &r.code, "Message": &r.message, "RequestId": &r.requestID}
	d := xml.NewDecoder(bytes.NewReader(head))
	for inside := false; ; {
		token, err := d.Token()
		if err != nil {
			return r
		}
		element, ok := token.(xml.StartElement)
		switch {
		case !ok:
		case !inside && element.Name.Local != "Error":
			return reply{}
		case !inside:
			inside = true
		case fields[element.Name.Local] != nil:
			if d.DecodeElement(fields[element.Name.Local], &element) != nil {
				return r
			}
		}
	}
}

// isSTSCode reports whether a code is one of STS's. In a bare document, any other code
// comes from another service at this address.
func isSTSCode(code string) bool {
	return code == "AccessDenied" || code == "NoSuchEntity" ||
		slices.ContainsFunc(retryTable, func(r rule) bool { return r.code == code })
}

// unwrapRetry removes the SDK's wrapper with its own count of attempts. The cause of an
// *Error may have such a wrapper too, if a provider of the user's own made requests.
func unwrapRetry(err error) error {
	if own, ok := err.(*Error); ok {
		return own
	}
	if m, ok := errors.AsType[*awsretry.MaxAttemptsError](err); ok {
		return m.Err
	}
	return err
}
