package s3reader

import (
	"net/http"
	"slices"
	"strings"
	"sync"

	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crossrole/crossrole/internal/redact"
)

// The secrets in requests, and their removal from responses and error texts.

const (
	keptKeys       = 16 // of the latest sessions
	keptSignatures = 32 // of the latest requests
)

// secrets are those of the latest requests. A server may quote the request, and its
// response becomes part of an error's text. It is safe for concurrent use.
type secrets struct {
	mu         sync.Mutex
	keys       []string         // access keys, session tokens and customer keys
	redactor   *redact.Redactor // for keys; nil: keys have changed
	signatures []string
}

// secretHeaders are headers whose value must never be printed.
var secretHeaders = []string{
	"X-Amz-Security-Token", "X-Amz-S3session-Token",
	"X-Amz-Server-Side-Encryption-Customer-Key", "X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key",
}

// add remembers the secrets of a request and returns its signature.
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
		s.keys, s.redactor = latest(s.keys, key, keptKeys), nil
	}
}

// latest appends one to a list of at most n and drops the oldest.
func latest(list []string, one string, n int) []string {
	if len(list) >= n {
		list = slices.Delete(list, 0, len(list)-n+1)
	}
	return append(list, one)
}

// redacted returns text without the secrets. A nil s still removes what looks like a
// secret.
func (s *secrets) redacted(text string) string {
	var signatures []string
	if s != nil && mayQuote(text) {
		s.mu.Lock()
		signatures = slices.Clone(s.signatures)
		s.mu.Unlock()
	}
	return s.redactedOf(text, signatures...)
}

// redactedOf does the same for the response to a request with that signature.
func (s *secrets) redactedOf(text string, signatures ...string) string {
	if len(text) < shortestSecret {
		return text
	}
	keys := new(redact.Redactor)
	if s != nil {
		s.mu.Lock()
		if s.redactor == nil {
			s.redactor = redact.New(s.keys...)
		}
		keys = s.redactor
		s.mu.Unlock()
	}
	text = keys.String(text)
	if len(signatures) == 0 || !mayQuote(text) {
		return text
	}
	return redact.New(signatures...).String(text)
}

// shortestSecret is the length of the shortest text that may have a secret.
const shortestSecret = 8

// mayQuote reports whether text can contain a signature, which is 64 hex digits, as a
// long word or escaped. Searching each text for all signatures would be slow.
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

// redactHeader removes the secrets from the headers of a response.
func (s *secrets) redactHeader(h http.Header, signature string) {
	for _, values := range h {
		for i, v := range values {
			values[i] = s.redactedOf(v, signature)
		}
	}
}
