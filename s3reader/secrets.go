package s3reader

import (
	"net/http"
	"slices"
	"strings"
	"sync"

	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crossrole/crossrole/internal/redact"
)

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

// note remembers the secrets of a request.
func (s *secrets) note(r *smithyhttp.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range secretHeaders {
		for _, value := range r.Header[name] {
			s.noteKey(value)
		}
	}
	// Signature Version 4: "AWS4-HMAC-SHA256 Credential=KEY/DATE/…, SignedHeaders=…,
	// Signature=HEX".
	signed := r.Header.Get("Authorization")
	if _, credential, ok := strings.Cut(signed, "Credential="); ok {
		key, _, _ := strings.Cut(credential, "/")
		s.noteKey(key)
	}
	if _, signature, ok := strings.Cut(signed, "Signature="); ok {
		s.signatures = latest(s.signatures, signature, keptSignatures)
	}
}

func (s *secrets) noteKey(key string) {
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
	if text == "" {
		return ""
	}
	if s == nil {
		return redact.New().String(text)
	}
	s.mu.Lock()
	if s.ofKeys == nil {
		s.ofKeys = redact.New(s.keys...)
	}
	keys, signatures := s.ofKeys, slices.Clone(s.signatures)
	s.mu.Unlock()
	return redact.New(signatures...).String(keys.String(text))
}

// redactHeader does the same to a response's header.
func (s *secrets) redactHeader(h http.Header) {
	for _, values := range h {
		for i, v := range values {
			values[i] = s.redacted(v)
		}
	}
}
