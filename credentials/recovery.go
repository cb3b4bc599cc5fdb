package credentials

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

// lostCodes are the codes by which services refuse a session that has expired, or
// that they do not know (any more): of S3 and its like
// (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html), of the query
// and JSON protocols
// (https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html), and of EC2.
// AccessDenied is none of them, nor is SignatureDoesNotMatch: a new session changes
// nothing there.
var lostCodes = map[string]bool{
	"ExpiredToken": true, "ExpiredTokenException": true, "RequestExpired": true, "TokenRefreshRequired": true,
	"InvalidToken": true, "InvalidTokenId": true, "InvalidSecurity": true,
	"InvalidAccessKeyId": true, "InvalidClientTokenId": true, "UnrecognizedClientException": true,
}

// refusesSession reports whether a service's error says that the session is no longer
// good. EC2 has one code for that and for a lack of rights, and two messages.
func refusesSession(denied smithy.APIError) bool {
	return lostCodes[denied.ErrorCode()] ||
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
	s := r.chain.last()
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
		s.forget(key)
		return out, metadata, err
	}
	operation := awsmiddleware.GetServiceID(ctx) + " " + awsmiddleware.GetOperationName(ctx)
	switch renewed, failure := s.replace(ctx, key); {
	case errors.Is(failure, errRefusedAgain) && certain:
		return out, metadata, s.lost(s.current.Load(), operation, denied, err, signed.sent)
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
		return out, metadata, s.lost(s.current.Load(), operation, denied, err, signed.sent)
	}
	return out, metadata, err
}

// errRefusedAgain says that the pause after a useless renewal is not over.
var errRefusedAgain = errors.New("the session was renewed already and is refused again")

// refusal remembers that a session was discarded because a service refused it.
type refusal struct {
	streak int
	next   time.Time // no session is discarded before
}

// replace sees to it that the session signed with key is no longer used. It returns
// false if that does not help: the key is not one of this chain's, or a provider
// returned the same keys again.
func (s *session) replace(ctx context.Context, key string) (bool, error) {
	if !s.gave(key) {
		return false, nil
	}
	if snap := s.current.Load(); snap != nil && !snap.creds.CanExpire && snap.creds.SessionToken == "" {
		return false, nil // long-lived keys: they are asked for at each use
	}
	if !s.discard(key) {
		return false, errRefusedAgain
	}
	defer s.chain.notify.release() // when the caller has the new session
	latest, err := s.retrieve(ctx)
	if err != nil {
		return false, err
	}
	return latest.creds.AccessKeyID != key, nil
}

// discard drops a session that a service refused, if key is still its key. While
// refusals go on, that is done at the pace of failed refreshes: a hundred refused
// requests are not a hundred refreshes. It returns false within a pause. The caller
// has to release the event.
func (s *session) discard(key string) bool {
	var (
		snap   *snapshot
		paused bool
	)
	if s.giver.withdraw(key, func() bool {
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
			streak = held.streak + 1
		}
		s.refused.Store(&refusal{streak: streak, next: now.Add(pauseAfter(time.Second, streak, s.chain.failureCap, 0, s.chain.draw))})
		s.giveUp()
		return true
	}) {
		s.chain.notify.post(Event{Type: Invalidated, Hop: s.n, RoleARN: s.role, Expires: snap.creds.Expires})
	}
	return !paused
}

// accepted ends the pause after a refusal: the renewed session signed a request that
// succeeded. Should that one be refused later, it is renewed immediately.
func (s *session) accepted(snap *snapshot) {
	if s.current.Load() == snap {
		s.refused.Store(nil)
	}
}

// gave reports whether key is one of those that the session gave out last.
func (s *session) gave(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.keys[:], key)
}

// forget gives up what replace would, and waits for nothing.
func (s *session) forget(key string) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = s.replace(ctx, key) // it gave up waiting, as it should
}

// signing is what recovery and signedBy, at the two ends of the stack, tell each
// other about an attempt.
type signing struct {
	by   string   // the access key id that signed it
	not  string   // a refused key, which must not sign it once more
	sent []string // secrets of all requests
}

// signingKey is the context's key for a *signing.
type signingKey struct{}

// errSameKey ends a repeat that a cache around the chain has signed with the
// refused key: it is not sent.
var errSameKey = errors.New("signed with the refused key again")

// signedBy notes which key signed an attempt. It stands last, because a body's
// wrapping puts another request in the place of the one that recovery sees.
type signedBy struct{}

func (signedBy) ID() string { return "crossroleSignedBy" }

func (signedBy) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	signed, wanted := ctx.Value(signingKey{}).(*signing)
	if req, ok := in.Request.(*smithyhttp.Request); ok && wanted {
		signed.by = accessKeyID(req.Header.Get("Authorization"))
		signed.sent = append(signed.sent, secretsIn(req.Header)...)
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
