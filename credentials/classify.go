package credentials

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
)

// again is what to do after a failed attempt, inside the flight that made it.
type again int

const (
	never     again = iota
	later           // after a pause, some attempts
	patiently       // after longer pauses, to the end of the refresh's time
	once            // one more attempt, at once
	ifRotated       // one more attempt, if the token file changed meanwhile
	ifRenewed       // one more attempt, after the hop before was renewed
)

// verdict is what the table says about a failure.
type verdict struct {
	kind  Kind
	again again
}

// rule is one row: an error code, and a part of the message where one code
// covers several causes.
type rule struct {
	code, message string
	verdict
}

// retryTable is consulted from the top. Codes and texts are those of the STS API
// reference, https://docs.aws.amazon.com/STS/latest/APIReference/, and of public
// reports; the order within a code is from special to general.
var retryTable = []rule{
	{"ExpiredTokenException", "", verdict{TokenExpired, ifRotated}},
	{"InvalidIdentityToken", "retrieve verification key", verdict{IssuerUnreachable, later}},
	{"InvalidIdentityToken", "audience", verdict{AudienceMismatch, never}},
	{"InvalidIdentityToken", "no openidconnect provider", verdict{OIDCProviderMissing, never}},
	{"InvalidIdentityToken", "thumbprint", verdict{OIDCProviderMissing, once}},
	{"InvalidIdentityToken", "could not be validated", verdict{TokenRejected, never}},
	{"InvalidIdentityToken", "not valid", verdict{TokenRejected, never}},
	{"InvalidIdentityToken", "not a valid", verdict{TokenRejected, never}},
	{"InvalidIdentityToken", "", verdict{TokenRejected, once}},
	{"IDPCommunicationError", "", verdict{IssuerUnreachable, later}},
	{"IDPRejectedClaim", "", verdict{TokenRejected, never}},

	{"PackedPolicyTooLarge", "", verdict{TagsTooLarge, never}},
	{"ValidationError", "1 hour session limit", verdict{DurationTooLong, never}},
	{"ValidationError", "maxsessionduration", verdict{DurationTooLong, never}},
	{"ValidationError", "", verdict{ConfigInvalid, never}},
	{"MalformedPolicyDocument", "", verdict{ConfigInvalid, never}},
	{"RegionDisabledException", "", verdict{RegionNotEnabled, never}},

	// The session that signed was given up before its time, or the clock is off.
	{"ExpiredToken", "", verdict{CredentialsExpired, ifRenewed}},
	{"InvalidClientTokenId", "", verdict{RegionNotEnabled, ifRenewed}},
	{"UnrecognizedClientException", "", verdict{RegionNotEnabled, ifRenewed}},
	{"SignatureDoesNotMatch", "signature expired", verdict{Unknown, once}},
	{"SignatureDoesNotMatch", "not yet current", verdict{Unknown, once}},
	{"RequestTimeTooSkewed", "", verdict{Unknown, once}},
	{"RequestExpired", "", verdict{Unknown, once}},
	{"RequestInTheFuture", "", verdict{Unknown, once}},

	// EKS Auth's, as the Pod Identity agent passes them on:
	// https://docs.aws.amazon.com/eks/latest/APIReference/API_auth_AssumeRoleForPodIdentity.html
	{"InvalidTokenException", "", verdict{TokenRejected, never}},
	{"InternalServerException", "", verdict{STSUnreachable, later}},
	{"ServiceUnavailableException", "", verdict{STSUnreachable, later}},

	{"Throttling", "", verdict{Throttled, patiently}},
	{"ThrottlingException", "", verdict{Throttled, patiently}},
	{"ThrottledException", "", verdict{Throttled, patiently}},
	{"RequestThrottled", "", verdict{Throttled, patiently}},
	{"RequestThrottledException", "", verdict{Throttled, patiently}},
	{"TooManyRequestsException", "", verdict{Throttled, patiently}},
	{"RequestLimitExceeded", "", verdict{Throttled, patiently}},
	{"BandwidthLimitExceeded", "", verdict{Throttled, patiently}},
	{"SlowDown", "", verdict{Throttled, patiently}},
	{"PriorRequestNotComplete", "", verdict{Throttled, patiently}},
}

// The pauses before a further attempt: a random part of base doubled each time,
// at most cap ("full jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
const (
	laterAttempts = 4
	laterBase     = 200 * time.Millisecond
	laterCap      = 5 * time.Second
	patientBase   = time.Second
	patientCap    = 8 * time.Second
)

// judge looks a failure up. web tells which of the two exchanges it was:
// AccessDenied means something else in each.
func judge(err error, web bool) verdict {
	var denied smithy.APIError
	if errors.As(err, &denied) {
		code, message := denied.ErrorCode(), strings.ToLower(denied.ErrorMessage())
		for _, r := range retryTable {
			if r.code == code && strings.Contains(message, r.message) {
				return r.verdict
			}
		}
		// NoSuchEntity is what stores say of a role that does not exist; AWS does
		// not tell the two apart.
		if code == "AccessDenied" || code == "AccessDeniedException" || code == "NoSuchEntity" {
			if web {
				return verdict{TrustDenied, never}
			}
			return verdict{AssumeDenied, never}
		}
	}
	if status := statusOf(err); status != 0 {
		switch {
		case status == 429:
			return verdict{Throttled, patiently}
		case status >= 500:
			return verdict{STSUnreachable, later}
		case denied == nil:
			// An answer that is not STS's: a proxy's page, another service.
			return verdict{STSUnreachable, never}
		}
		return verdict{Unknown, never}
	}
	switch {
	case denied != nil:
		return verdict{Unknown, never}
	case errors.Is(err, context.Canceled):
		return verdict{Unknown, never}
	}
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok {
		return verdict{STSUnreachable, later}
	}
	// No answer at all: refused, reset, timed out, no such host, bad certificate.
	return verdict{STSUnreachable, later}
}

// unwrapRetry takes off the SDK's own count of attempts, which is not ours.
func unwrapRetry(err error) error {
	if m, ok := errors.AsType[*retry.MaxAttemptsError](err); ok {
		return m.Err
	}
	return err
}
