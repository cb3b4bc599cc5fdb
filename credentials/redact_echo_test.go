package credentials_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/crossrole/crossrole/credentials"
)

// escapeAll writes every character that is no letter or digit by format.
func escapeAll(format string) func(string) string {
	return func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, format, c)
			}
		}
		return b.String()
	}
}

// quotings are the ways in which a server may quote the request.
var quotings = map[string]func(string) string{
	"raw":                   func(s string) string { return s },
	"query":                 url.QueryEscape,
	"path":                  url.PathEscape,
	"lower-case percent":    escapeAll("%%%02x"),
	"upper-case percent":    escapeAll("%%%02X"),
	"query, twice":          func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
	"plus as a space":       func(s string) string { return strings.ReplaceAll(s, "+", " ") },
	"JSON":                  func(s string) string { b, _ := json.Marshal(s); return string(b) },
	"JSON, all escaped":     escapeAll(`\u%04x`),
	"JSON with \\/":         func(s string) string { return strings.ReplaceAll(s, "/", `\/`) },
	"XML":                   html.EscapeString,
	"XML, decimal":          escapeAll("&#%d;"),
	"XML, hexadecimal":      escapeAll("&#x%x;"),
	"XML, twice":            escapeAll("&amp;#%d;"),
	"Go":                    strconv.Quote,
	"base64":                func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64 of the request": func(s string) string { return base64.StdEncoding.EncodeToString([]byte("a=b&t=" + s + "&x")) },
	"bytes in hex":          func(s string) string { return fmt.Sprintf("% x", s) },
	"wrapped":               func(s string) string { return wrap(s, 60) },
	"the last third":        lastThird,
}

// lastThird is what a server may have left of a long secret; of a short one it is
// all.
func lastThird(s string) string {
	if len(s) < 64 {
		return s
	}
	return s[len(s)*2/3:]
}

func wrap(s string, width int) string {
	var lines []string
	for ; len(s) > width; s = s[width:] {
		lines = append(lines, s[:width])
	}
	return strings.Join(append(lines, s), "\n\t")
}

// What a server quotes of a request, in whatever spelling, is in no text of ours:
// in STS's own error, in a page, in the agent's text, in a header or in the place
// of a name.
func TestQuotedRequestsAreRedacted(t *testing.T) {
	documents := map[string]struct {
		status int
		body   func(quoted string) string
	}{
		"error": {400, func(q string) string {
			return `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Code>ValidationError</Code><Message>` + html.EscapeString(q) + `</Message></Error></ErrorResponse>`
		}},
		"code": {400, func(q string) string {
			return `<ErrorResponse><Error><Code>` + html.EscapeString(q) + `</Code></Error></ErrorResponse>`
		}},
		"page":    {404, func(q string) string { return "<html>" + q + "</html>" }},
		"text":    {400, func(q string) string { return q }},
		"agent's": {400, func(q string) string { return "[1f]: (AccessDeniedException): " + q + ", fault: client" }},
		"another's session": {200, func(q string) string {
			return `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><AssumedRoleUser><Arn>` + html.EscapeString(q) + `</Arn></AssumedRoleUser>` +
				`<Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>k</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`
		}},
	}
	for document, d := range documents {
		for quoting, quote := range quotings {
			t.Run(document+" "+quoting, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newScene(t)
					cloud := s.cloud.Config().HTTPClient
					var sent, quoted []string
					rogue := func(r *http.Request, operation string) (*http.Response, error) {
						body, err := io.ReadAll(r.Body)
						if err != nil {
							return nil, err
						}
						form, err := url.ParseQuery(string(body))
						if err != nil {
							return nil, err
						}
						var text []string
						for _, secret := range []string{form.Get("WebIdentityToken"), form.Get("ExternalId"), r.Header.Get("X-Amz-Security-Token")} {
							if secret != "" {
								sent, quoted = append(sent, secret), append(quoted, quote(secret))
								text = append(text, quote(secret))
							}
						}
						resp := answer(d.status, "text/xml", d.body(strings.Join(text, " | ")))
						resp.Header.Set("X-Amzn-Requestid", strings.Join(text, " "))
						return resp, nil
					}
					for _, hop := range []string{"AssumeRoleWithWebIdentity", "AssumeRole"} {
						f := newFailing(s, s.web(), doFunc(func(r *http.Request) (*http.Response, error) {
							if operation(r) == hop {
								return rogue(r, hop)
							}
							return cloud.Do(r)
						}))
						chain := newChain(t, f.base, f.options)
						_, err := chain.Retrieve(t.Context())
						if err == nil || len(sent) == 0 {
							t.Fatalf("got %v after %d secrets", err, len(sent))
						}
						synctest.Wait()
						report := chain.Check(t.Context())
						for where, text := range map[string]string{
							"error": err.Error(), "status": fmt.Sprintf("%+v", chain.Status().Hops), "log": f.log.String(), "events": fmt.Sprintf("%+v", f.events),
							"report": report.String(), "fields": fields(err),
						} {
							for i, q := range quoted {
								if half := q[:(len(q)+1)/2]; strings.Contains(text, half) || strings.Contains(text, q[len(q)-len(half):]) || strings.Contains(text, sent[i]) {
									t.Errorf("the %s quotes %q:\n%s", where, half, text)
								}
							}
						}
					}
				})
			})
		}
	}
}

// fields are the texts of an error in addition to Error.
func fields(err error) string {
	e, _ := err.(*credentials.Error) //nolint:errorlint // a chain returns it bare
	b, _ := json.Marshal([]any{e.Code, e.Message, e.RequestID, e.Endpoint, e.Caller, e.Fixes})
	return string(b) + e.LogValue().String()
}
