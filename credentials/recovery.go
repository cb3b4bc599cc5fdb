package credentials

// How recovery works
//
// Chain.Config adds two middlewares to the stack of every SDK client made from it:
// recovery, inside the SDK's retry loop, and signedBy, last before the request is
// sent. They share a *signing in the context.
//
//  1. signedBy records which access key signed the attempt.
//  2. A service responds that this session has expired or is unknown (refusesSession,
//     or mayMeanExpired for a HEAD, whose response has no body).
//  3. replace discards the session, if that key is still its key, and retrieves a new
//     one. A hundred refused requests cause one refresh, since all callers share it
//     (session.go).
//  4. recovery retries the request once. signedBy stops it if a cache around the chain
//     signed it with the refused key again.
//  5. If the new session is refused too, that is CredentialsExpired. From then on
//     sessions are discarded at the pace of failed refreshes (refusal), until one is
//     accepted.
//
// A request whose body cannot be rewound is not retried; the session is discarded all
// the same. Other errors pass through unchanged: AccessDenied renews nothing.
//
// Locks: the session's mu guards the change of current and refused, except that a
// request that succeeds ends a refusal's backoff without it; the user's own provider is
// notified under upstream.mu, in the order of the refusals.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// recovery retries a request once with a new session when a service refuses the current
// one: it expired, it was revoked, or its role was deleted and created again.
type recovery struct{ chain *Chain }

func (recovery) ID() string { return "crossroleRecovery" }

// refusedCodes are the codes of services for a session that has expired or that they do
// not know: of S3
// (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html), of the query
// and JSON protocols
// (https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html), and of EC2.
// AccessDenied and SignatureDoesNotMatch are not among them, since a new session would
// be refused in the same way.
var refusedCodes = map[string]bool{
	"ExpiredToken": true, "ExpiredTokenException": true, "RequestExpired": true, "TokenRefreshRequired": true,
	"InvalidToken": true, "InvalidTokenId": true, "InvalidSecurity": true,
	"InvalidAccessKeyId": true, "InvalidClientTokenId": true, "UnrecognizedClientException": true,
}

// refusesSession reports whether a service's error means that the session is no longer
// valid. EC2 uses one code for that and for missing permissions, with two messages.
func refusesSession(denied smithy.APIError) bool {
	return refusedCodes[denied.ErrorCode()] ||
		denied.ErrorCode() == "AuthFailure" && strings.Contains(denied.ErrorMessage(), "not able to validate the provided access credentials")
}

// mayMeanExpired reports whether err may be S3's response to a HEAD request with an
// expired session: status 400 and no body. S3 responds in the same way to other bad
// requests, except that it names the region if that is wrong.
func mayMeanExpired(req *smithyhttp.Request, err error) bool {
	refused, ok := errors.AsType[*smithyhttp.ResponseError](err)
	return ok && req.Method == http.MethodHead && refused.HTTPStatusCode() == http.StatusBadRequest &&
		refused.Response.Header.Get("X-Amz-Bucket-Region") == ""
}

// HandleFinalize handles one attempt of the SDK's retry loop.
func (r recovery) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	req, ok := in.Request.(*smithyhttp.Request)
	if !ok {
		return next.HandleFinalize(ctx, in)
	}
	untouched := req.Clone() // the handlers below sign and wrap the request
	var signed signing
	ctx = context.WithValue(ctx, signingKey{}, &signed)
	out, metadata, err := next.HandleFinalize(ctx, in)
	denied, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return out, metadata, err
	}
	s, key, certain := &r.chain.last, signed.key, refusesSession(denied)
	if key == "" || !certain && !mayMeanExpired(untouched, err) {
		return out, metadata, err
	}
	if untouched.RewindStream() != nil {
		s.discardOnly(key)
		return out, metadata, err
	}
	operation := awsmiddleware.GetServiceID(ctx) + " " + awsmiddleware.GetOperationName(ctx)
	switch renewed, failure := s.replace(ctx, key); {
	case errors.Is(failure, errRefusedAgain) && certain:
		return out, metadata, s.expiredError(s.current.Load(), operation, denied, err, signed.headers)
	case errors.Is(failure, errRefusedAgain):
		return out, metadata, err
	case failure != nil:
		return out, metadata, fmt.Errorf("credentials: %s refused the session (%s), and it could not be renewed: %w", operation, denied.ErrorCode(), failure)
	case !renewed:
		return out, metadata, err
	}
	in.Request, signed.refused = untouched, key
	outAgain, metadataAgain, errAgain := next.HandleFinalize(ctx, in)
	if errors.Is(errAgain, errSameKey) {
		return out, metadata, err
	}
	out, metadata, err = outAgain, metadataAgain, errAgain
	if denied, ok := errors.AsType[smithy.APIError](err); ok && refusesSession(denied) {
		return out, metadata, s.expiredError(s.current.Load(), operation, denied, err, signed.headers)
	}
	return out, metadata, err
}

// errRefusedAgain reports that a renewal has not helped, and that the backoff after it is
// not over.
var errRefusedAgain = errors.New("the session was renewed already and is refused again")

// refusal remembers that a session was discarded because a service refused it.
type refusal struct {
	consecutive int
	next        time.Time // no session is discarded before then
}

// replace discards the session that key belongs to and retrieves a new one. It returns
// false if a retry would not help: the key is not from this chain, or a provider returned
// the same keys again.
func (s *session) replace(ctx context.Context, key string) (bool, error) {
	if !s.issued(key) {
		return false, nil
	}
	if snap := s.current.Load(); snap != nil && !snap.creds.CanExpire && snap.creds.SessionToken == "" {
		return false, nil // long-lived keys: the provider is called at each use
	}
	if !s.discardRefused(key) {
		return false, errRefusedAgain
	}
	defer s.chain.notify.release() // when the caller has the new session
	latest, err := s.retrieve(ctx)
	if err != nil {
		return false, err
	}
	return latest.creds.AccessKeyID != key, nil
}

// discardRefused discards a session that a service refused, if key is still its key.
// While services keep refusing, it does so at the pace of failed refreshes and returns
// false in between. The caller has to release the event.
func (s *session) discardRefused(key string) bool {
	backingOff := false
	s.discardIf(key, func() bool {
		now, previous, consecutive := time.Now(), s.refused.Load(), 1
		if previous != nil {
			if backingOff = now.Before(previous.next); backingOff {
				return false
			}
			if now.Sub(previous.next) < s.chain.failureCap {
				consecutive = previous.consecutive + 1
			}
		}
		s.refused.Store(&refusal{consecutive: consecutive, next: now.Add(backoff(time.Second, consecutive, s.chain.failureCap, 0, s.chain.random))})
		return true
	})
	return !backingOff
}

// accepted ends the backoff after a refusal: the renewed session signed a request that
// succeeded. If that session is refused later, it is renewed immediately.
func (s *session) accepted(snap *snapshot) {
	if s.current.Load() == snap {
		s.refused.Store(nil)
	}
}

// issued reports whether key belongs to one of the last sessions.
func (s *session) issued(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.recentKeys[:], key)
}

// discardOnly discards the session as replace does, without waiting for a new one.
func (s *session) discardOnly(key string) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = s.replace(ctx, key) // its error is that of ctx
}

// signing is what recovery and signedBy share about an attempt.
type signing struct {
	key     string        // the access key ID that signed it
	refused string        // the key that must not sign the retry
	headers []http.Header // of all requests
}

// signingKey is the key of a *signing in a context.
type signingKey struct{}

// errSameKey stops a retry that a cache around the chain signed with the refused key.
var errSameKey = errors.New("signed with the refused key again")

// signedBy records which key signed an attempt. It is last in the stack, because
// wrapping the body replaces the request that recovery sees.
type signedBy struct{}

func (signedBy) ID() string { return "crossroleSignedBy" }

func (signedBy) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	signed, wanted := ctx.Value(signingKey{}).(*signing)
	if req, ok := in.Request.(*smithyhttp.Request); ok && wanted {
		signed.key = accessKeyID(req.Header.Get("Authorization"))
		signed.headers = append(signed.headers, req.Header)
		if signed.refused != "" && signed.key == signed.refused {
			return middleware.FinalizeOutput{}, middleware.Metadata{}, errSameKey
		}
	}
	return next.HandleFinalize(ctx, in)
}

// accessKeyID returns the key in an Authorization header of SigV4, or "".
func accessKeyID(header string) string {
	_, rest, _ := strings.Cut(header, "Credential=")
	key, _, _ := strings.Cut(rest, "/")
	return key
}
