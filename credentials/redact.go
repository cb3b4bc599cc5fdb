package credentials

import (
	"net/url"
	"strings"
)

const redacted = "[redacted]"

var (
	space = pattern(`\s+`)

	// What may stand in an URL, a header or a form that the other side quotes.
	quotedSecret = pattern(`(?i)\b(X-Amz-Signature|X-Amz-Security-Token|X-Amz-Credential|WebIdentityToken|Signature)=[^&\s"',]+`)

	// A token, or what was left of one: both its header and its claims are JSON
	// objects, and their base64 begins alike.
	tokenParts = pattern(`\beyJ[\w-]{8,}(\.[\w-]*)*`)

	// As long as a secret key, and longer than a request id.
	longRun = pattern(`[A-Za-z0-9+/=_-]{40,}`)

	holdsKeys = pattern(`(?i)secret_?access_?key|session_?token|"token"`)
)

// scrub takes out what this attempt sent and must not be seen, should the other
// side echo it.
func (s *session) scrub(text string, rec *record) string {
	secrets := []string{string(rec.raw)}
	for part := range strings.SplitSeq(string(rec.raw), ".") {
		if len(part) > 8 { // a word of that length is no accident
			secrets = append(secrets, part)
		}
	}
	if rec.from != nil {
		secrets = append(secrets, rec.from.creds.SessionToken, rec.from.creds.SecretAccessKey)
	}
	if i := s.hop - 2; i >= 0 {
		secrets = append(secrets, s.chain.roles[i].ExternalID)
	}
	for _, secret := range secrets {
		if len(secret) > 1 {
			text = strings.ReplaceAll(text, secret, redacted)
			text = strings.ReplaceAll(text, url.QueryEscape(secret), redacted)
		}
	}
	text = tokenParts().ReplaceAllString(text, redacted)
	return quotedSecret().ReplaceAllString(text, "$1="+redacted)
}

// beginning is how an answer begins that is not the expected one. It is cut
// last: a cut through a secret would hide it from scrub.
func (s *session) beginning(rec *record) string {
	head := string(rec.head)
	if rec.status/100 == 2 {
		// A success is where keys would be: its first tag says enough.
		if tag := firstTag().FindString(head); tag != "" {
			return tag
		}
		return "(not shown)"
	}
	if holdsKeys().MatchString(head) {
		return "(not shown: it seems to hold keys)"
	}
	head = longRun().ReplaceAllString(s.scrub(head, rec), redacted)
	head = space().ReplaceAllString(strings.TrimSpace(head), " ")
	const most = 120
	if len(head) > most {
		head = strings.ToValidUTF8(head[:most], "") + "…"
	}
	return head
}

var firstTag = pattern(`^\s*<[!?]?[A-Za-z][^<>]{0,60}>`)

// withoutKeys is the text of an error that is not ours, as far as it can be
// shown.
func withoutKeys(text string) string {
	if holdsKeys().MatchString(text) {
		return "(not shown: it seems to hold keys)"
	}
	text = tokenParts().ReplaceAllString(longRun().ReplaceAllString(text, redacted), redacted)
	return quotedSecret().ReplaceAllString(text, "$1="+redacted)
}
