package credentials

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	"github.com/crossrole/crossrole/internal/redact"
)

// reply is what an endpoint said when it refused.
type reply struct {
	code, message, requestID string
	foreign                  bool // another service's refusal
}

// readReply takes code, message and request id of a refusal; nothing else of
// the server's bytes is kept.
func readReply(err error, rec *record) reply {
	var r reply
	if denied, ok := errors.AsType[smithy.APIError](err); ok {
		r.code, r.message = denied.ErrorCode(), denied.ErrorMessage()
		if r.message == "UnknownError" { // the SDK's word for none
			r.message = ""
		}
	}
	if withID, ok := errors.AsType[interface {
		error
		ServiceRequestID() string
	}](err); ok {
		r.requestID = withID.ServiceRequestID()
	}
	if rec.operation == agentOperation && r.code == "" {
		if said, ok := agentReply(rec.head); ok {
			return said
		}
	}
	// A store that speaks STS may leave out the ErrorResponse around an error; so
	// does S3, whose codes are others.
	switch bare := bareError(rec.head); {
	case bare.code == "":
	case !speaksSTS(bare.code):
		bare.foreign = statusOf(err) < 500
		return bare
	case r.code == "" || r.code == "UnknownError":
		return bare
	}
	return r
}

// agentText is how the EKS Pod Identity agent refuses: in text that holds the
// EKS Auth service's request id, code and message.
var agentText = pattern(`(?s)^(?:.*?\[([^\]\s]*)\]:?\s*|.*?\s|)\(([A-Z]\w+)\):?\s*(.*?)(?:,\s*fault:\s*\w*\s*)?$`)

// agentReply reads a refusal of the Pod Identity agent, in text or in JSON,
// whatever its content type says.
func agentReply(body []byte) (reply, bool) {
	var document struct{ Code, Message, RequestID string }
	if json.Unmarshal(body, &document) == nil && document.Code != "" {
		return reply{code: document.Code, message: document.Message, requestID: document.RequestID}, true
	}
	m := agentText().FindStringSubmatch(strings.TrimSpace(string(body)))
	if m == nil {
		return reply{}, false
	}
	return reply{code: m[2], message: strings.TrimSpace(m[3]), requestID: m[1]}, true
}

// statusOf is the HTTP status of a refusal; 0: there was no answer.
func statusOf(err error) int {
	if resp, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
	}](err); ok {
		return resp.HTTPStatusCode()
	}
	return 0
}

// bareError reads an error document without ErrorResponse, as far as its
// beginning holds it.
func bareError(head []byte) reply {
	var r reply
	fields := map[string]*string{"Code": &r.code, "Message": &r.message, "RequestId": &r.requestID}
	d := xml.NewDecoder(bytes.NewReader(head))
	for inside := false; ; {
		token, err := d.Token()
		if err != nil {
			return r // the end, or where it was cut
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

// speaksSTS reports whether a code is one of STS's. Another one, in a bare
// document, is that of some other service at this address.
func speaksSTS(code string) bool {
	if code == "AccessDenied" || code == "NoSuchEntity" {
		return true
	}
	for _, r := range retryTable {
		if r.code == code {
			return true
		}
	}
	return false
}

// judgeReply looks the failure up as the store meant it.
func judgeReply(err error, rec *record, web bool) verdict {
	r := readReply(err, rec)
	if r.foreign {
		return verdict{STSUnreachable, never}
	}
	if denied, ok := errors.AsType[smithy.APIError](err); ok && denied.ErrorCode() != r.code {
		return judge(&coded{smithy.GenericAPIError{Code: r.code, Message: r.message}, statusOf(err)}, web)
	}
	return judge(err, web)
}

// coded is a refusal whose code the SDK did not find.
type coded struct {
	smithy.GenericAPIError
	status int
}

func (c *coded) HTTPStatusCode() int { return c.status }

// failure makes the error that callers see.
func (h *hop) failure(rec *record, v verdict, err error, attempts int) *Error {
	e := &Error{Operation: rec.operation, Kind: v.kind, Err: err}
	if own, ok := errors.AsType[*Error](err); ok {
		found := *own
		if v.kind == RefreshTimeout && own.Kind == Unknown { // a provider that was cut off
			found.Kind = RefreshTimeout
		}
		e = &found
	}
	e.Hop, e.hops, e.Attempts, e.took = h.n, h.facts.hops, attempts, rec.took
	if e.RoleARN == "" {
		e.RoleARN = h.role
	}
	if e.Endpoint == "" {
		e.Endpoint = rec.endpoint
	}
	if e.Token == nil {
		e.Token = rec.token
	}
	if rec.from != nil {
		e.Caller = rec.from.caller
	}
	if _, ok := errors.AsType[*Error](err); !ok {
		r := readReply(err, rec)
		e.Code, e.Message, e.RequestID = h.scrub(r.code, rec), h.scrub(r.message, rec), h.scrub(cmp.Or(r.requestID, rec.requestID), rec)
		if e.Code == "" || e.Code == "UnknownError" || r.foreign {
			e.Code, e.Message, e.Err = "", "", h.plain(v, err, rec)
		}
	}
	if refusedExpired(e, rec) {
		e.Kind = TokenExpired
		e.Fixes = append(e.Fixes, expiredToken(h.tokenFile, *rec.token).Error())
	}
	e.Fixes = append(e.Fixes, h.fixes(e)...)
	return e
}

// gaveUp is the error of a caller whose own context ended first.
func (h *hop) gaveUp(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); !errors.Is(err, cause) {
		return fmt.Errorf("credentials: hop %d of %d: gave up waiting for a session: %w (%w)", h.n, h.facts.hops, err, cause)
	}
	return fmt.Errorf("credentials: hop %d of %d: gave up waiting for a session: %w", h.n, h.facts.hops, err)
}

// lost is the error of a request that is refused with a new session, too. The
// service may quote what was sent with either.
func (h *hop) lost(snap *snapshot, operation string, denied smithy.APIError, err error, sent []string) *Error {
	e := &Error{
		Hop: h.n, hops: h.facts.hops, Kind: CredentialsExpired, Operation: operation,
		Code: denied.ErrorCode(), Message: h.scrub(denied.ErrorMessage(), &record{from: snap, sent: sent}), Err: err,
		Fixes: []string{"check that the region is enabled in both accounts, that nobody revoked the role's sessions, and that the service's clock is right"},
	}
	if snap != nil {
		e.Caller = snap.caller
	}
	return e
}

// cancelled is the error of a hop that was not tried to its end.
func (h *hop) cancelled(ctx context.Context) *Error {
	err := errExited
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", errCheckCancelled, ctx.Err())
	}
	return &Error{Hop: h.n, hops: h.facts.hops, Operation: "check", RoleARN: h.role, Kind: Unknown, Err: err}
}

// tooShort is the error for a session that was given for less time than wished.
func (h *hop) tooShort(snap *snapshot, wish time.Duration) *Error {
	return configError("asked for credentials valid for %v, but a new session of %s lasts %v only: ask for less, or raise the hop's Duration and the role's MaxSessionDuration", wish, h.describe(), snap.life.Round(time.Second))
}

// refusedExpired reports whether the token that was refused had expired by the
// clock of the very reply that refused it: stores that speak STS may not say so.
func refusedExpired(e *Error, rec *record) bool {
	return rec.token != nil && (e.Kind == TrustDenied || e.Kind == TokenRejected) &&
		!rec.date.IsZero() && rec.date.After(rec.token.Expires)
}

// plain puts the innermost cause in front of a failure without a code: the
// layers above it repeat each other, and may show an URL's query.
func (h *hop) plain(v verdict, err error, rec *record) error {
	text := ""
	switch u, isURL := errors.AsType[*url.Error](err); {
	case v.kind == WrongSession:
		if text = h.scrub(err.Error(), rec); text == err.Error() {
			return err
		}
		return &cause{text: text, err: err} // the response put a secret in the place of a name
	case isURL:
		text = u.Err.Error()
	case h.agent() && len(rec.head) > 0:
		text = fmt.Sprintf("host %s gives no credentials: its response begins %q", rec.endpoint, h.beginning(rec, 240))
	case v.kind == STSUnreachable && len(rec.head) > 0 && !strings.Contains(string(rec.head), "sts.amazonaws.com/doc"):
		text = fmt.Sprintf("host %s does not speak STS: its response begins %q", rec.endpoint, h.beginning(rec, 120))
	default:
		text = innermost(err).Error()
	}
	text = localAddress().ReplaceAllString(text, "")
	if rec.status != 0 {
		text = fmt.Sprintf("HTTP %d, %s", rec.status, text)
	}
	if rec.status == 0 && rec.proxy != "" {
		text += " (through the proxy " + rec.proxy + ")"
	}
	return &cause{text: h.scrub(text, rec), status: rec.status, err: err}
}

// localAddress is a connection's own end, whose port differs from one to the next.
var localAddress = pattern(`[0-9a-f.:\[\]%]+:\d+->`)

// cause is an error with a shorter text.
type cause struct {
	text   string
	status int // of the answer; 0: there was none
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
	space = pattern(`\s+`)

	// As long as a secret key, and longer than a request id.
	longRun = pattern(`[A-Za-z0-9+/=_-]{40,}`)

	holdsKeys = pattern(`(?i)secret_?access_?key|session_?token|"token"`)
)

// redactor removes from the text of others what this attempt sent, and the other
// secrets of the chain that the text might quote.
func (h *hop) redactor(rec *record) *redact.Redactor {
	if rec.clean != nil {
		return rec.clean
	}
	secrets := append([]string{string(rec.raw)}, rec.sent...)
	for part := range strings.SplitSeq(string(rec.raw), ".") {
		if len(part) > 8 { // a word of that length is no accident
			secrets = append(secrets, part)
		}
	}
	if rec.from != nil {
		secrets = append(secrets, rec.from.creds.SessionToken, rec.from.creds.SecretAccessKey)
	}
	for _, role := range h.facts.roles {
		secrets = append(secrets, role.ExternalID)
	}
	if h.settings != nil {
		secrets = append(secrets, h.settings.ExternalID)
	}
	rec.clean = redact.New(secrets...)
	return rec.clean
}

// scrub is text without the secrets.
func (h *hop) scrub(text string, rec *record) string {
	if text == "" {
		return ""
	}
	return h.redactor(rec).String(shorten(text, maxText))
}

// maxText bounds what is kept of a text that a server wrote.
const maxText = 16 << 10

// shorten leaves out the middle of a text of more than limit bytes: servers name
// the action and the resource at its beginning, and the reason at its end.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	head := strings.ToValidUTF8(text[:limit*2/3], "")
	tail := strings.ToValidUTF8(text[len(text)-limit/3:], "")
	return head + " … " + tail
}

// secretsIn are the secrets that a request carries in its headers.
func secretsIn(h http.Header) []string {
	secrets := []string{h.Get("X-Amz-Security-Token"), h.Get("X-Aws-Ec2-Metadata-Token")}
	authorization := h.Get("Authorization")
	if _, signature, signed := strings.Cut(authorization, "Signature="); signed {
		return append(secrets, signature)
	}
	return append(secrets, authorization)
}

// beginning is how a response begins that is not the expected one. It is cut
// last: a cut through a secret would hide it from scrub. What is over limit is left
// out of the middle.
func (h *hop) beginning(rec *record, limit int) string {
	head := string(rec.head)
	if rec.status/100 == 2 {
		// A successful response is where keys would be: its first tag says enough.
		if tag := firstTag().FindString(head); tag != "" {
			return tag
		}
		return "(not shown)"
	}
	if holdsKeys().MatchString(head) {
		return keysNotShown
	}
	head = longRun().ReplaceAllString(h.scrub(head, rec), redact.Mark)
	head = space().ReplaceAllString(strings.TrimSpace(head), " ")
	return shorten(head, limit)
}

const keysNotShown = "(not shown: it seems to hold keys)"

var firstTag = pattern(`^\s*<[!?]?[A-Za-z][^<>]{0,60}>`)

// withoutKeys is the text of an error that is not ours, as far as it can be
// shown.
func withoutKeys(text string) string {
	if holdsKeys().MatchString(text) {
		return keysNotShown
	}
	return longRun().ReplaceAllString(redact.New().String(shorten(text, maxText)), redact.Mark)
}
