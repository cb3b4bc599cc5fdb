package credentials

// From a failed attempt to the *Error that callers see: which part of the response may
// be shown, and what is redacted. Methods of hop depend on facts that never change and
// take no lock. classify.go has the Kind, fixes.go the fixes.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	"github.com/crossrole/crossrole/credentials/internal/stsclient"
	"github.com/crossrole/crossrole/internal/lazyregexp"
	"github.com/crossrole/crossrole/internal/redact"
)

// newError returns the error that callers see.
func (h *hop) newError(att *attempt, kind Kind, err error, attempts int) *Error {
	e := &Error{Operation: att.operation, Kind: kind, Err: err}
	own, isOwn := errors.AsType[*Error](err)
	if isOwn {
		*e = *own
		if kind == RefreshTimeout && own.Kind == Unknown { // a provider that was cut off
			e.Kind = RefreshTimeout
		}
	}
	e.Hop, e.hops, e.Attempts, e.took, e.retryAfter = h.n, h.facts.hops, attempts, att.Took, att.RetryAfter
	e.RoleARN, e.Endpoint, e.Token = cmp.Or(e.RoleARN, h.role), cmp.Or(e.Endpoint, att.Endpoint), cmp.Or(e.Token, att.token)
	if att.signedBy != nil {
		e.Caller = att.signedBy.caller
	}
	if !isOwn {
		r := readReply(err, att)
		e.Code, e.Message, e.RequestID = h.redact(r.code, att), h.redact(r.message, att), h.redact(cmp.Or(r.requestID, att.RequestID), att)
		if e.Code == "" || e.Code == "UnknownError" || r.foreign {
			e.Code, e.Message, e.Err = "", "", h.plainCause(kind, err, att)
		}
	}
	if refusedExpired(e, att) {
		e.Kind = TokenExpired
		e.Fixes = append(e.Fixes, h.webIdentity().expired(*att.token).Error())
	}
	e.Fixes = append(e.Fixes, h.fixes(e)...)
	return e
}

// waitError returns the error of a caller whose own context ended first. It wraps the
// context's error and has the error of the refresh's last attempt, if one has failed.
func (h *hop) waitError(ctx context.Context, r *refresh) error {
	e := &waitError{text: fmt.Sprintf("credentials: hop %d of %d: stopped waiting for a session: %v", h.n, h.facts.hops, ctx.Err()), causes: []error{ctx.Err()}}
	if cause := context.Cause(ctx); !errors.Is(ctx.Err(), cause) {
		e.text += fmt.Sprintf(" (%v)", cause)
		e.causes = append(e.causes, cause)
	}
	if r == nil {
		return e
	}
	if e.last = r.last.Load(); e.last != nil {
		e.text += "; the last attempt failed: " + strings.TrimPrefix(e.last.Error(), "credentials: ")
	} else if host := r.endpoint(); host != "" {
		e.text += "; " + host + " has not responded yet"
	}
	return e
}

// waitError is the error of a caller that stopped waiting. errors.As finds the *Error of
// the last attempt and errors.Is finds its Kind. Unwrap does not return that error: it may
// wrap context.DeadlineExceeded, which is not why the caller stopped.
type waitError struct {
	text   string
	causes []error // of the caller's context
	last   *Error  // nil: no attempt has failed
}

func (e *waitError) Error() string   { return e.text }
func (e *waitError) Unwrap() []error { return e.causes }

// Is reports whether target is the Kind of the last attempt's failure.
func (e *waitError) Is(target error) bool {
	_, ok := target.(Kind)
	return ok && e.last != nil && errors.Is(e.last, target)
}

// As sets target to the last attempt's error, if target is an **Error.
func (e *waitError) As(target any) bool {
	p, ok := target.(**Error)
	if ok && e.last != nil {
		*p = e.last
		return true
	}
	return false
}

// expiredError returns the error of a request that is refused with a new session too.
// The service may quote what was sent with either.
func (h *hop) expiredError(snap *snapshot, operation string, denied smithy.APIError, err error, sent []http.Header) *Error {
	e := &Error{
		Hop: h.n, hops: h.facts.hops, Kind: CredentialsExpired, Operation: operation,
		Code: denied.ErrorCode(), Message: h.redact(denied.ErrorMessage(), &attempt{signedBy: snap, Trace: stsclient.Trace{Sent: sent}}), Err: err,
		Fixes: []string{"check that the region is enabled in both accounts, that the role's sessions were not revoked, and that the service's clock is right"},
	}
	if snap != nil {
		e.Caller = snap.caller
	}
	return e
}

// checkCanceled returns the error of a hop whose check did not finish.
func (h *hop) checkCanceled(ctx context.Context) *Error {
	err := errExited
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", errCheckCanceled, ctx.Err())
	}
	return &Error{Hop: h.n, hops: h.facts.hops, Operation: "check", RoleARN: h.role, Kind: Unknown, Err: err}
}

// tooShortError returns the error for a session that is valid for less time than asked.
func (h *hop) tooShortError(snap *snapshot, atLeast time.Duration) *Error {
	return configError("asked for credentials valid for %v, but a new session of %s lasts only %v: ask for less, or raise the hop's Duration and the role's MaxSessionDuration", atLeast, h.describe(), snap.life.Round(time.Second))
}

// refusedExpired reports whether the token that was refused had expired by the clock of
// the response that refused it: stores that speak STS may not say so.
func refusedExpired(e *Error, att *attempt) bool {
	return att.token != nil && (e.Kind == TrustDenied || e.Kind == TokenRejected) &&
		!att.Date.IsZero() && att.Date.After(att.token.Expires)
}

// plainCause shortens a failure without a code to its innermost cause: the errors that
// wrap it repeat each other, and may show the query of a URL.
func (h *hop) plainCause(kind Kind, err error, att *attempt) error {
	text := ""
	switch u, isURL := errors.AsType[*url.Error](err); {
	case kind == WrongSession:
		if text = h.redact(err.Error(), att); text == err.Error() {
			return err
		}
		return &cause{text: text, err: err} // the response has a secret where a name should be
	case isURL:
		text = u.Err.Error()
	case h.agent() && len(att.Head) > 0:
		text = fmt.Sprintf("host %s gives no credentials: its response begins %q", att.Endpoint, h.bodyPreview(att, 240))
	case kind == STSUnreachable && len(att.Head) > 0 && !strings.Contains(string(att.Head), "sts.amazonaws.com/doc"):
		text = fmt.Sprintf("host %s does not speak STS: its response begins %q", att.Endpoint, h.bodyPreview(att, 120))
	default:
		text = innermost(err).Error()
	}
	text = localAddress().ReplaceAllString(text, "")
	if att.Status != 0 {
		text = fmt.Sprintf("HTTP %d, %s", att.Status, text)
	} else if att.Proxy != "" {
		text += " (through the proxy " + att.Proxy + ")"
	}
	return &cause{text: h.redact(text, att), status: att.Status, err: err}
}

// localAddress matches a connection's local address, whose port differs each time.
var localAddress = lazyregexp.New(`[0-9a-f.:\[\]%]+:\d+->`)

// cause is an error with a shorter text.
type cause struct {
	text   string
	status int // of the response; 0: there was none
	err    error
}

func (c *cause) Error() string       { return c.text }
func (c *cause) Unwrap() error       { return c.err }
func (c *cause) HTTPStatusCode() int { return c.status }

func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

var (
	// As long as a secret key, and longer than a request ID.
	longRun = lazyregexp.New(`[A-Za-z0-9+/=_-]{40,}`)

	holdsKeys = lazyregexp.New(`(?i)secret_?access_?key|session_?token|"token"`)
)

// redactor returns what removes from others' text the secrets that this attempt sent,
// and those of the chain that the text might quote.
func (h *hop) redactor(att *attempt) *redact.Redactor {
	if att.redactor != nil {
		return att.redactor
	}
	secrets := []string{string(att.raw)}
	for _, header := range att.Sent {
		secrets = append(secrets, secretsIn(header)...)
	}
	for part := range strings.SplitSeq(string(att.raw), ".") {
		if len(part) > 8 { // shorter parts occur in ordinary text
			secrets = append(secrets, part)
		}
	}
	if att.signedBy != nil {
		secrets = append(secrets, att.signedBy.creds.SessionToken, att.signedBy.creds.SecretAccessKey)
	}
	for _, role := range h.facts.roles {
		secrets = append(secrets, role.ExternalID)
	}
	if h.settings != nil {
		secrets = append(secrets, h.settings.ExternalID)
	}
	att.redactor = redact.New(secrets...)
	return att.redactor
}

// redact returns text without the secrets.
func (h *hop) redact(text string, att *attempt) string {
	if text == "" {
		return ""
	}
	return h.redactor(att).String(shorten(text, maxText))
}

// maxText bounds what is kept of a text that a server wrote.
const maxText = 16 << 10

// shorten cuts the middle out of a text of more than limit bytes: servers put the action
// and the resource first, and the reason last.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	head := strings.ToValidUTF8(text[:limit*2/3], "")
	tail := strings.ToValidUTF8(text[len(text)-limit/3:], "")
	return head + " … " + tail
}

// secretsIn returns the secrets in a request's headers.
func secretsIn(h http.Header) []string {
	secrets := []string{h.Get("X-Amz-Security-Token"), h.Get("X-Aws-Ec2-Metadata-Token")}
	authorization := h.Get("Authorization")
	if _, signature, signed := strings.Cut(authorization, "Signature="); signed {
		return append(secrets, signature)
	}
	return append(secrets, authorization)
}

// bodyPreview returns the beginning of an unexpected response. It is shortened last,
// because redact would not find a secret that was cut in two.
func (h *hop) bodyPreview(att *attempt, limit int) string {
	head := string(att.Head)
	if att.Status/100 == 2 {
		// A successful response may hold keys: its first tag says enough.
		if tag := firstTag().FindString(head); tag != "" {
			return tag
		}
		return "(not shown)"
	}
	return shorten(oneLine(withoutKeys(head, h.redactor(att))), limit)
}

const keysNotShown = "(not shown: it seems to hold keys)"

var firstTag = lazyregexp.New(`^\s*<[!?]?[A-Za-z][^<>]{0,60}>`)

// withoutKeys returns what can be shown of a text that may hold any secret.
func withoutKeys(text string, known *redact.Redactor) string {
	if holdsKeys().MatchString(text) {
		return keysNotShown
	}
	return longRun().ReplaceAllString(known.String(shorten(text, maxText)), redact.Mark)
}
