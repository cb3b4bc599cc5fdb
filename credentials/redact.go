package credentials

import (
	"net/http"
	"strings"

	"github.com/crossrole/crossrole/internal/redact"
)

var (
	space = pattern(`\s+`)

	// As long as a secret key, and longer than a request id.
	longRun = pattern(`[A-Za-z0-9+/=_-]{40,}`)

	holdsKeys = pattern(`(?i)secret_?access_?key|session_?token|"token"`)
)

// redactor removes from the text of others what this attempt sent, and the other
// secrets of the chain that the text might quote.
func (s *session) redactor(rec *record) *redact.Redactor {
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
	for _, role := range s.chain.roles {
		secrets = append(secrets, role.ExternalID)
	}
	rec.clean = redact.New(secrets...)
	return rec.clean
}

// scrub is text without the secrets.
func (s *session) scrub(text string, rec *record) string {
	if text == "" {
		return ""
	}
	return s.redactor(rec).String(shorten(text, maxText))
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
func (s *session) beginning(rec *record, limit int) string {
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
	head = longRun().ReplaceAllString(s.scrub(head, rec), redact.Mark)
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
