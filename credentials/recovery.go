package credentials

// How recovery works
//
// Chain.Config adds two middlewares to the stack of every SDK client made from it:
// recovery, inside the SDK's retry loop, and signedBy, last before the request is
// sent. They share a *signing in the context.
//
//  1. signedBy records which access key signed the attempt.
//  2. A service responds that this session has expired or is unknown (refusesSession,
//     or maySayExpired for a HEAD, whose response has no body).
//  3. replace discards the session, if it still is the one with that key, and retrieves
//     a new one: a hundred refused requests are one refresh, since all callers share it
//     (session.go).
//  4. recovery repeats the request once. signedBy stops it if a cache around the chain
//     signed it with the refused key again.
//  5. Refused with the new session too: CredentialsExpired. From then on sessions are
//     discarded at the pace of failed refreshes (refusal), until one is accepted.
//
// A request whose body cannot be rewound is not repeated; the session is discarded all
// the same. Other errors pass through unchanged: AccessDenied renews nothing.
//
// Locks: the session's mu guards the change of current and refused; a provider of the
// user's own is notified under upstream.mu, in the order of the refusals.

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

// recovery retries a request once with a new session when a service refuses the
// present one: it expired, it was revoked, or its role was deleted and created again.
type recovery struct{ chain *Chain }

func (recovery) ID() string { return "crossroleRecovery" }

// refusedCodes are the codes by which services refuse a session that has expired or
// that they do not know: of S3 and its like
// (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html), of the query
// and JSON protocols
// (https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html), and of EC2.
// AccessDenied is none of them, nor is SignatureDoesNotMatch: a new session changes
// nothing there.
var refusedCodes = map[string]bool{
	"ExpiredToken": true, "ExpiredTokenException": true, "RequestExpired": true, "TokenRefreshRequired": true,
	"InvalidToken": true, "InvalidTokenId": true, "InvalidSecurity": true,
	"InvalidAccessKeyId": true, "InvalidClientTokenId": true, "UnrecognizedClientException": true,
}

// refusesSession reports whether a service's error says that the session is no longer
// good. EC2 has one code for that and for a lack of rights, and two messages.
func refusesSession(denied smithy.APIError) bool {
	return refusedCodes[denied.ErrorCode()] ||
		denied.ErrorCode() == "AuthFailure" && strings.Contains(denied.ErrorMessage(), "not able to validate the provided access credentials")
}

// maySayExpired reports whether err is S3's response to a HEAD request with a session
// that has expired: status 400, and no document that holds a code. So is the response
// to some other bad request, unless it names another region.
func maySayExpired(req *smithyhttp.Request, err error) bool {
	refused, ok := errors.AsType[*smithyhttp.ResponseError](err)
	return ok && req.Method == http.MethodHead && refused.HTTPStatusCode() == http.StatusBadRequest &&
		refused.Response.Header.Get("X-Amz-Bucket-Region") == ""
}

// HandleFinalize is one attempt of the SDK's retry loop.
func (r recovery) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	req, ok := in.Request.(*smithyhttp.Request)
	if !ok {
		return next.HandleFinalize(ctx, in)
	}
	untouched := req.Clone() // the handlers below sign and wrap the request
	var signed signing
	ctx = context.WithValue(ctx, signingKey{}, &signed)
	out, metadata, err := next.HandleFinalize(ctx, in)
	s := &r.chain.last
	if err == nil {
		return out, metadata, nil
	}
	denied, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return out, metadata, err
	}
	certain := refusesSession(denied)
	if !certain && !maySayExpired(untouched, err) {
		return out, metadata, err
	}
	key := signed.by
	if key == "" {
		return out, metadata, err
	}
	if untouched.RewindStream() != nil {
		s.discardOnly(key)
		return out, metadata, err
	}
	operation := awsmiddleware.GetServiceID(ctx) + " " + awsmiddleware.GetOperationName(ctx)
	switch renewed, failure := s.replace(ctx, key); {
	case errors.Is(failure, errRefusedAgain) && certain:
		return out, metadata, s.expiredError(s.current.Load(), operation, denied, err, signed.sent)
	case errors.Is(failure, errRefusedAgain):
		return out, metadata, err
	case failure != nil:
		return out, metadata, fmt.Errorf("credentials: %s refused the session (%s), and it could not be renewed: %w", operation, denied.ErrorCode(), failure)
	case !renewed:
		return out, metadata, err
	}
	in.Request, signed.not = untouched, key
	outAgain, metadataAgain, errAgain := next.HandleFinalize(ctx, in)
	if errors.Is(errAgain, errSameKey) {
		return out, metadata, err
	}
	out, metadata, err = outAgain, metadataAgain, errAgain
	if denied, ok := errors.AsType[smithy.APIError](err); ok && refusesSession(denied) {
		return out, metadata, s.expiredError(s.current.Load(), operation, denied, err, signed.sent)
	}
	return out, metadata, err
}

// errRefusedAgain reports that the backoff after a renewal without effect is not over.
var errRefusedAgain = errors.New("the session was renewed already and is refused again")

// refusal remembers that a session was discarded because a service refused it.
type refusal struct {
	consecutive int
	next        time.Time // no session is discarded before then
}

// replace discards the session that key belongs to and retrieves a new one. It returns
// false if a retry would not help: the key is not one of this chain's, or a provider
// returned the same keys again.
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
	var (
		snap   *snapshot
		paused bool
	)
	if s.upstream.invalidate(key, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if snap = s.current.Load(); snap == nil || snap.creds.AccessKeyID != key {
			return false
		}
		now, held := time.Now(), s.refused.Load()
		if paused = held != nil && now.Before(held.next); paused {
			return false
		}
		streak := 1
		if held != nil && now.Sub(held.next) < s.chain.failureCap {
			streak = held.consecutive + 1
		}
		s.refused.Store(&refusal{consecutive: streak, next: now.Add(backoff(time.Second, streak, s.chain.failureCap, 0, s.chain.random))})
		s.discard()
		return true
	}) {
		s.chain.notify.enqueue(Event{Type: Invalidated, Hop: s.n, RoleARN: s.role, Expires: snap.creds.Expires})
	}
	return !paused
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
	by   string        // the access key ID that signed it
	not  string        // a refused key, which must not sign the retry
	sent []http.Header // of all requests
}

// signingKey is the context's key for a *signing.
type signingKey struct{}

// errSameKey stops a retry that a cache around the chain has signed with the refused
// key: it is not sent.
var errSameKey = errors.New("signed with the refused key again")

// signedBy records which key signed an attempt. It is last in the stack, because
// wrapping the body replaces the request that recovery sees.
type signedBy struct{}

func (signedBy) ID() string { return "crossroleSignedBy" }

func (signedBy) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	signed, wanted := ctx.Value(signingKey{}).(*signing)
	if req, ok := in.Request.(*smithyhttp.Request); ok && wanted {
		signed.by = accessKeyID(req.Header.Get("Authorization"))
		signed.sent = append(signed.sent, req.Header)
		if signed.not != "" && signed.by == signed.not {
			return middleware.FinalizeOutput{}, middleware.Metadata{}, errSameKey
		}
	}
	return next.HandleFinalize(ctx, in)
}

// accessKeyID reads the key from an Authorization header of SigV4.
func accessKeyID(header string) string {
	_, rest, ok := strings.Cut(header, "Credential=")
	if !ok {
		return ""
	}
	key, _, _ := strings.Cut(rest, "/")
	return key
}
