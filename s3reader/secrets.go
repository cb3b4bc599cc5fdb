package s3reader

import (
	"net/http"
	"slices"
	"strings"
	"sync"

	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crossrole/crossrole/internal/redact"
)

// The secrets that requests carried, and their removal from what servers say.

const (
	keptKeys       = 16 // of the latest sessions
	keptSignatures = 32 // of the latest requests
)

// secrets are what the latest requests were signed with. A server may quote its
// request, and what it says becomes part of an error's text. It is safe for
// concurrent use.
type secrets struct {
	mu         sync.Mutex
	keys       []string         // access keys, session tokens and customer keys
	ofKeys     *redact.Redactor // nil: keys have changed since
	signatures []string
}

// secretHeaders are those whose whole value must not be printed.
var secretHeaders = []string{
	"X-Amz-Security-Token", "X-Amz-S3session-Token",
	"X-Amz-Server-Side-Encryption-Customer-Key", "X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key",
}

// add remembers the secrets of a request, and returns its signature.
func (s *secrets) add(r *smithyhttp.Request) (signature string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range secretHeaders {
		for _, value := range r.Header[name] {
			s.addKey(value)
		}
	}
	// Signature Version 4: "AWS4-HMAC-SHA256 Credential=KEY/DATE/…, SignedHeaders=…,
	// Signature=HEX".
	signed := r.Header.Get("Authorization")
	if _, credential, ok := strings.Cut(signed, "Credential="); ok {
		key, _, _ := strings.Cut(credential, "/")
		s.addKey(key)
	}
	if _, after, ok := strings.Cut(signed, "Signature="); ok {
		signature = after
		s.signatures = latest(s.signatures, signature, keptSignatures)
	}
	return signature
}

func (s *secrets) addKey(key string) {
	if key != "" && !slices.Contains(s.keys, key) {
		s.keys, s.ofKeys = latest(s.keys, key, keptKeys), nil
	}
}

// latest adds one to a list and drops the oldest beyond n.
func latest(list []string, one string, n int) []string {
	if len(list) >= n {
		list = slices.Delete(list, 0, len(list)-n+1)
	}
	return append(list, one)
}

// redacted returns text without any of the secrets. A nil s knows none, and still
// removes what has the shape or the place of one.
func (s *secrets) redacted(text string) string {
	var signatures []string
	if s != nil && mayQuote(text) {
		s.mu.Lock()
		signatures = slices.Clone(s.signatures)
		s.mu.Unlock()
	}
	return s.redactedOf(text, signatures...)
}

// redactedOf is redacted for the response to the request with that signature.
func (s *secrets) redactedOf(text string, signatures ...string) string {
	if len(text) < shortestSecret {
		return text
	}
	keys := new(redact.Redactor)
	if s != nil {
		s.mu.Lock()
		if s.ofKeys == nil {
			s.ofKeys = redact.New(s.keys...)
		}
		keys = s.ofKeys
		s.mu.Unlock()
	}
	text = keys.String(text)
	if len(signatures) == 0 || !mayQuote(text) {
		return text
	}
	return redact.New(signatures...).String(text)
}

// shortestSecret is the length of what may be a part of a secret.
const shortestSecret = 8

// mayQuote reports whether a signature, 64 hex digits, can be in a text, in
// whatever spelling: as a long word, or escaped. To look for all of them costs
// more than most texts are worth.
func mayQuote(text string) bool {
	run := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == '%', c == '&', c == '\\':
			return true
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '+', c == '/', c == '-', c == '_':
			if run++; run >= 24 {
				return true
			}
		default:
			run = 0
		}
	}
	return false
}

// redactHeader does the same to a response's header.
func (s *secrets) redactHeader(h http.Header, signature string) {
	for _, values := range h {
		for i, v := range values {
			values[i] = s.redactedOf(v, signature)
		}
	}
}
