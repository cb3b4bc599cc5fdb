package credentials

import (
	"bytes"
	"cmp"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/smithy-go"
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
func (s *session) failure(rec *record, v verdict, err error, attempts int) *Error {
	e := &Error{Operation: rec.operation, Kind: v.kind, Err: err}
	if own, ok := errors.AsType[*Error](err); ok {
		found := *own
		if v.kind == RefreshTimeout && own.Kind == Unknown { // a provider that was cut off
			found.Kind = RefreshTimeout
		}
		e = &found
	}
	e.Hop, e.hops, e.Attempts, e.took = s.hop, s.chain.length(), attempts, rec.took
	if e.RoleARN == "" {
		e.RoleARN = s.role
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
		e.Code, e.Message, e.RequestID = s.scrub(r.code, rec), s.scrub(r.message, rec), s.scrub(cmp.Or(r.requestID, rec.requestID), rec)
		if e.Code == "" || e.Code == "UnknownError" || r.foreign {
			e.Code, e.Message, e.Err = "", "", s.plain(v, err, rec)
		}
	}
	if refusedExpired(e, rec) {
		e.Kind = TokenExpired
		e.Fixes = append(e.Fixes, expiredToken(s.tokenFile, *rec.token).Error())
	}
	e.Fixes = append(e.Fixes, s.fixes(e)...)
	return e
}

// refusedExpired reports whether the token that was refused had expired by the
// clock of the very reply that refused it: stores that speak STS may not say so.
func refusedExpired(e *Error, rec *record) bool {
	return rec.token != nil && (e.Kind == TrustDenied || e.Kind == TokenRejected) &&
		!rec.date.IsZero() && rec.date.After(rec.token.Expires)
}

// plain puts the innermost cause in front of a failure without a code: the
// layers above it repeat each other, and may show an URL's query.
func (s *session) plain(v verdict, err error, rec *record) error {
	text := ""
	switch u, isURL := errors.AsType[*url.Error](err); {
	case v.kind == WrongSession:
		if text = s.scrub(err.Error(), rec); text == err.Error() {
			return err
		}
		return &cause{text: text, err: err} // the response put a secret in the place of a name
	case isURL:
		text = u.Err.Error()
	case s.agent() && len(rec.head) > 0:
		text = fmt.Sprintf("host %s gives no credentials: its response begins %q", rec.endpoint, s.beginning(rec, 240))
	case v.kind == STSUnreachable && len(rec.head) > 0 && !strings.Contains(string(rec.head), "sts.amazonaws.com/doc"):
		text = fmt.Sprintf("host %s does not speak STS: its response begins %q", rec.endpoint, s.beginning(rec, 120))
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
	return &cause{text: s.scrub(text, rec), status: rec.status, err: err}
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
