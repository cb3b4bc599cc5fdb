package redact_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/internal/redact"
)

const (
	secretKey    = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	sessionToken = "FwoGZXIvYXdzEJr//////////wEaDN+9s/Q2x7Lk1=mP4vT8aB3cD5eF7gH9iJ0kL2mN4oP6qR8sT0uV2wX4yZ6aB8cD0eF2gH4iJ6kL8mN0oP2qR4sT6uV8wX0yZ2aB4cD6eF8gH0iJ2kL4mN6=="
	jwt          = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJodHRwczovL2V4YW1wbGUiLCJzdWIiOiJhIn0.c2lnbmF0dXJlLW9mLXRoZS10b2tlbi10aGF0LWlzLXNlY3JldC1lbm91Z2g"
	uuid         = "9f1c2d3e-4b5a-6978-8796-a5b4c3d2e1f0"
	name         = "acme:prod/7+x=@,."
	short        = "k9+z/4"
)

var secrets = []string{secretKey, sessionToken, jwt, uuid, name, short}

// A spelling is a way in which a server may quote what it received.
type spelling struct {
	name  string
	write func(string) string
}

// each formats every character that is not a letter or digit with format.
func each(format string) func(string) string {
	return func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			if '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, format, c)
			}
		}
		return b.String()
	}
}

var spellings = []spelling{
	{"raw", func(s string) string { return s }},
	{"query", url.QueryEscape},
	{"path", url.PathEscape},
	{"a form's spaces", func(s string) string { return strings.ReplaceAll(s, "+", " ") }},
	{"spaces as %20", func(s string) string { return strings.ReplaceAll(s, "+", "%20") }},
	{"upper-case percent", each("%%%02X")},
	{"lower-case percent", each("%%%02x")},
	{"percent, twice", func(s string) string { return url.QueryEscape(url.QueryEscape(s)) }},
	{"percent, four times", func(s string) string { return each("%%25252525%02x")(s) }},
	{"percent of JavaScript's escape", each("%%u%04X")},
	{"JSON", func(s string) string { b, _ := json.Marshal(s); return string(b) }},
	{"JSON, all escaped", each(`\u%04x`)},
	{"JSON, upper case", each(`\u%04X`)},
	{"JSON in JSON", each(`\\u%04x`)},
	{"JSON of PHP", func(s string) string { return strings.ReplaceAll(s, "/", `\/`) }},
	{"JavaScript", each(`\u{%x}`)},
	{"C", each(`\x%02x`)},
	{"octal", each(`\%03o`)},
	{"Go", strconv.Quote},
	{"HTML", html.EscapeString},
	{"HTML, decimal", each("&#%d;")},
	{"HTML, hexadecimal", each("&#x%x;")},
	{"HTML, upper case", each("&#X%02X;")},
	{"HTML twice", each("&amp;#%d;")},
	{"HTML, named", strings.NewReplacer("+", "&plus;", "/", "&sol;", "=", "&equals;").Replace},
	{"percent in HTML", each("&#37;%02x")},
	{"percent in JSON", each(`\u0025%02X`)},
	{"base64", func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }},
	{"base64 of more", func(s string) string { return base64.StdEncoding.EncodeToString([]byte("a" + s + "b")) }},
	{"base64 of still more", func(s string) string { return base64.StdEncoding.EncodeToString([]byte("ab" + s + "cd")) }},
	{"base64 for URLs", func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("u:" + s)) }},
	{"base64 of a form", func(s string) string {
		return base64.StdEncoding.EncodeToString([]byte("t=" + url.QueryEscape(s) + "&x=y"))
	}},
	{"hex", func(s string) string { return hex.EncodeToString([]byte(s)) }},
	{"bytes in hex", func(s string) string { return fmt.Sprintf("% x", s) }},
	{"bytes in upper-case hex", func(s string) string { return fmt.Sprintf("% X", s) }},
}

// shown reports whether text contains at least half of a spelling of a secret.
func shown(text, spelled string) bool {
	half := max(len(spelled)/2, min(len(spelled), 6))
	for i := 0; i+half <= len(spelled); i++ {
		if strings.Contains(text, spelled[i:i+half]) {
			return true
		}
	}
	return false
}

func TestEverySpellingIsRemoved(t *testing.T) {
	for _, secret := range secrets {
		r := redact.New(secret)
		for _, s := range spellings {
			spelled := s.write(secret)
			got := r.String("before (" + spelled + ") after")
			if shown(got, spelled) || !strings.Contains(got, redact.Mark) {
				t.Errorf("%s of %q: %q", s.name, secret, got)
			}
			if !strings.HasPrefix(got, "before (") || !strings.HasSuffix(got, ") after") {
				t.Errorf("%s of %q took more than the secret: %q", s.name, secret, got)
			}
		}
	}
}

func TestFragmentsAreRemoved(t *testing.T) {
	wrapped := sessionToken[:40] + "\r\n  " + sessionToken[40:90] + "\n\t" + sessionToken[90:]
	for _, secret := range []string{secretKey, sessionToken, jwt} {
		for name, fragment := range map[string]string{
			"beginning": secret[:len(secret)/2], "end": secret[len(secret)/2:], "middle": secret[len(secret)/4 : len(secret)/4+20],
		} {
			if got := redact.New(secret).String("(" + fragment + "...)"); shown(got, fragment) {
				t.Errorf("the %s of %q: %q", name, secret, got)
			}
		}
	}
	if got := redact.New(sessionToken).String(wrapped); strings.Contains(got, "\n") || shown(got, sessionToken[40:90]) {
		t.Errorf("wrapped over lines: %q", got)
	}
	_, signature, _ := strings.Cut(strings.TrimPrefix(jwt, "e"), ".")
	_, signature, _ = strings.Cut(signature, ".")
	if got := redact.New(jwt).String("invalid signature " + signature); got != "invalid signature "+redact.Mark {
		t.Errorf("a token's signature: %q", got)
	}
}

// S3 quotes the canonical request, as text and in bytes.
func TestCanonicalRequest(t *testing.T) {
	canonical := "GET\n/x\n\nhost:b.s3.amazonaws.com\nx-amz-date:20261129T000000Z\nx-amz-security-token:" + sessionToken + "\n\nhost;x-amz-date;x-amz-security-token\nUNSIGNED-PAYLOAD"
	document := "<Error><Code>SignatureDoesNotMatch</Code><CanonicalRequest>" + canonical + "</CanonicalRequest><CanonicalRequestBytes>" + fmt.Sprintf("% x", canonical) + "</CanonicalRequestBytes></Error>"
	got := redact.New(sessionToken).String(document)
	if shown(got, sessionToken) || shown(got, fmt.Sprintf("% x", sessionToken)) {
		t.Errorf("%s", got)
	}
	for _, kept := range []string{"SignatureDoesNotMatch", "host:b.s3.amazonaws.com", "host;x-amz-date;x-amz-security-token\nUNSIGNED-PAYLOAD"} {
		if !strings.Contains(got, kept) {
			t.Errorf("lacks %q: %s", kept, got)
		}
	}
}

// Text in a place where secrets usually are is removed even if it is not known.
func TestShapes(t *testing.T) {
	none := redact.New()
	for text, want := range map[string]string{
		"https://b/k?X-Amz-Signature=0123ab&X-Amz-Date=1":               "https://b/k?X-Amz-Signature=[redacted]&X-Amz-Date=1",
		"k%3FX-Amz-Security-Token%3DFwoG%252B%26X-Amz-Date%3D1":         "k%3FX-Amz-Security-Token%3D[redacted]%26X-Amz-Date%3D1",
		"SignedHeaders=host;x-amz-date, Signature=0123456789abcdef0123": "SignedHeaders=host;x-amz-date, Signature=[redacted]",
		"token " + jwt + " refused":                                     "token [redacted] refused",
		"x-amz-security-token:0123456789abcdef0123\nx":                  "x-amz-security-token:[redacted]\nx",
		"<SignatureProvided>0123456789abcdef0123</SignatureProvided>":   "<SignatureProvided>[redacted]</SignatureProvided>",
	} {
		if got := none.String(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// Text without a secret is not changed, and a short secret does not damage words.
func TestOtherTextIsKept(t *testing.T) {
	text := `User: arn:aws:sts::111122223333:assumed-role/hub/x is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::444455556666:role/S3_Pics & 100% "ok" \o/ é %zz &#; \u00`
	if got := redact.New(secrets...).String(text); got != text {
		t.Errorf("got %q, want %q", got, text)
	}
	if got, want := redact.New("ab").String("about ab: enable ab1, 'ab'"), "about [redacted]: enable ab1, '[redacted]'"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, none := range []string{"", "a"} {
		if got := redact.New(none).String("a b"); got != "a b" {
			t.Errorf("secret %q: %q", none, got)
		}
	}
}

// The worst cases take time proportional to their length: a quadratic step would not finish.
func TestLongTexts(t *testing.T) {
	r := redact.New(append(secrets, strings.Repeat("!", 4096), strings.Repeat("a", 20))...)
	for _, unit := range []string{"%25", "&amp;", "!", `\\`, " ", "a", "eyJaaaaaaaaa.", secretKey, "Signature=", sessionToken[:17] + strings.Repeat(" ", 1000)} {
		r.String(strings.Repeat(unit, 1<<17/len(unit)))
	}
}

// FuzzString checks that no spelling of a secret survives between any two texts.
func FuzzString(f *testing.F) {
	f.Add("before ", " after", secretKey, uint8(1))
	f.Add("%", "2B", name, uint8(5))
	f.Add("\\", "u002b", short, uint8(11))
	f.Add("&#", "43;", uuid, uint8(20))
	f.Add("Signature=", "&", jwt, uint8(28))
	f.Fuzz(func(t *testing.T, before, after, secret string, which uint8) {
		if len(before)+len(after) > 4096 || len(secret) < 20 || len(secret) > 4096 || strings.ContainsFunc(secret, func(c rune) bool {
			return c < '!' || c > '~' || strings.ContainsRune(`%\&"'<>;#`, c)
		}) {
			return // AWS makes no such secrets
		}
		s := spellings[int(which)%len(spellings)]
		got := redact.New(secret).String(before + " " + s.write(secret) + " " + after)
		if spelled := s.write(secret); strings.Contains(got, spelled) && !strings.Contains(before+after, spelled) && !strings.Contains(redact.Mark, spelled) {
			t.Errorf("%s of %q: %q", s.name, secret, got)
		}
		if got := redact.New(secret).String(""); got != "" {
			t.Errorf("of nothing %q", got)
		}
	})
}
