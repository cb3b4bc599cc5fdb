package credentials

// Which Kind a failure is and whether it is retried: the retry table and its look-up.
// refresh.go retries, diagnose.go makes the error.

import (
	"context"
	"errors"
	"strings"
	"time"

	awsretry "github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
)

// retry is what to do after a failed attempt, within the same refresh.
type retry int

const (
	retryNever           retry = iota
	retryBackoff               // after a pause, some attempts
	retryUntilDeadline         // after longer pauses, to the end of the refresh's time
	retryOnce                  // one more attempt, immediately
	retryIfTokenChanged        // one more attempt, if the token file changed meanwhile
	retryIfParentRenewed       // one more attempt, after the previous hop was renewed
)

// class is what the retry table says about a failure.
type class struct {
	kind  Kind
	retry retry
}

// rule is one row: an error code, and a part of the message where one code
// covers several causes.
type rule struct {
	code, message string
	class
}

// retryTable is consulted from the top. Codes and texts are those of the STS API
// reference, https://docs.aws.amazon.com/STS/latest/APIReference/, and of public
// reports; the order within a code is from special to general.
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

// classify looks a failure up in the retry table. web is true for
// AssumeRoleWithWebIdentity and false for AssumeRole: AccessDenied has a different
// meaning in each.
func classify(err error, web bool) class {
	var denied smithy.APIError
	if errors.As(err, &denied) {
		code, message := denied.ErrorCode(), strings.ToLower(denied.ErrorMessage())
		for _, r := range retryTable {
			if r.code == code && strings.Contains(message, r.message) {
				return r.class
			}
		}
		// NoSuchEntity is how stores report a role that does not exist; AWS does
		// not distinguish the two.
		if code == "AccessDenied" || code == "AccessDeniedException" || code == "NoSuchEntity" {
			if web {
				return class{TrustDenied, retryNever}
			}
			return class{AssumeDenied, retryNever}
		}
	}
	if status := statusOf(err); status != 0 {
		switch {
		case status == 429:
			return class{Throttled, retryUntilDeadline}
		case status >= 500:
			return class{STSUnreachable, retryBackoff}
		case denied == nil:
			// Not a response of STS: a proxy's page, another service.
			return class{STSUnreachable, retryNever}
		}
		return class{Unknown, retryNever}
	}
	switch {
	case denied != nil:
		return class{Unknown, retryNever}
	case errors.Is(err, context.Canceled):
		return class{Unknown, retryNever}
	}
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok {
		return class{STSUnreachable, retryBackoff}
	}
	// No response at all: refused, reset, timed out, no such host, bad certificate.
	return class{STSUnreachable, retryBackoff}
}

// unwrapRetry removes the SDK's wrapper with its own count of attempts.
func unwrapRetry(err error) error {
	if m, ok := errors.AsType[*awsretry.MaxAttemptsError](err); ok {
		return m.Err
	}
	return err
}
