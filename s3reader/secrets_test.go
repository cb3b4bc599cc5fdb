package s3reader_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/smithy-go"

	"github.com/crossrole/crossrole/s3reader"
)

// spellings are ways in which a server may quote what it was sent.
var spellings = map[string]func(string) string{
	"plain": func(s string) string { return s },
	"query": url.QueryEscape,
	"lower case": func(s string) string {
		return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(s), "%2B", "%2b"), "%2F", "%2f")
	},
	"path":        url.PathEscape,
	"HTML":        func(s string) string { return strings.ReplaceAll(html.EscapeString(s), "+", "&#43;") },
	"Go":          func(s string) string { return fmt.Sprintf("%q", s) },
	"base64":      func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"twice":       func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
	"capitalized": strings.ToUpper,
}

// A server that quotes the request, in whatever spelling and place, gets nothing
// printed of what it was signed with.
func TestNoSecretInAnyText(t *testing.T) {
	t.Parallel()
	for name, spell := range spellings {
		if name == "capitalized" {
			continue // of base64 it would be another token
		}
		for _, status := range []int{200, 206, 307, 403, 412} {
			synctest.Test(t, func(t *testing.T) {
				var signatures []string
				cfg := signedConfig(server(func(r *http.Request) *http.Response {
					auth := r.Header.Get("Authorization")
					_, signature, _ := strings.Cut(auth, "Signature=")
					signatures = append(signatures, signature)
					quoted := spell(r.Header.Get("X-Amz-Security-Token")) + " " + spell(signature) + " " + spell(auth) + " " + spell(r.Header.Get("X-Amz-Server-Side-Encryption-Customer-Key"))
					body := "<Error><Code>SomeCode</Code><Message>canonical request: " + xmlText(quoted) + "</Message><RequestId>" + xmlText(quoted) + "</RequestId></Error>"
					if r.URL.Query().Has("list-type") && status == 200 {
						body = `<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>` + xmlText(quoted) + `</Key></Contents></ListBucketResult>`
					}
					resp := answer(status, body)
					for _, h := range []string{"ETag", "Content-Range", "X-Amz-Request-Id", "X-Amz-Id-2", "X-Amz-Bucket-Region", "Location", "Content-Encoding"} {
						resp.Header.Set(h, quoted)
					}
					return resp
				}))
				var log strings.Builder
				r := newReader(t, cfg, "pics", withKey(customerKey(t, rawKey)), func(o *s3reader.Options) {
					o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
				})
				for op, err := range all(t, r, "k") {
					if err == nil {
						continue
					}
					texts := []string{err.Error(), fmt.Sprintf("%v %+v %#v", err, err, err), log.String()}
					if e, ok := errors.AsType[*s3reader.Error](err); ok {
						texts = append(texts, e.RequestID, e.HostID, fmt.Sprintf("%#v", *e))
					}
					if api, ok := errors.AsType[smithy.APIError](err); ok {
						texts = append(texts, api.Error(), api.ErrorMessage())
					}
					secrets := spelled(append(signatures, sessionToken, base64.StdEncoding.EncodeToString(rawKey), "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "ASIAIOSFODNN7EXAMPLE"))
					for _, text := range texts {
						for _, secret := range secrets {
							if strings.Contains(text, secret) {
								t.Errorf("%s, %d, %s: %q is in %.600q", name, status, op, secret, text)
							}
						}
					}
				}
				if len(signatures) == 0 {
					t.Error("nothing was asked")
				}
			})
		}
	}
}

// spelled returns the secrets in every spelling.
func spelled(secrets []string) []string {
	var all []string
	for _, secret := range secrets {
		for _, spell := range spellings {
			if secret != "" {
				all = append(all, spell(secret))
			}
		}
	}
	return all
}

func xmlText(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(s)
}

// What is no secret stays readable.
func TestTheRestOfAnErrorStays(t *testing.T) {
	cfg := signedConfig(server(func(*http.Request) *http.Response {
		return answer(403, "<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not match the signature you provided.</Message><RequestId>4442587FB7D0A2F9</RequestId></Error>",
			"X-Amz-Request-Id: 4442587FB7D0A2F9", "X-Amz-Id-2: vlR7PnpV2Ce81l0PRw6jlUpck7Jo5ZsQjryTjKlc5aLWGVHPZLj5NeC6qMa0emYBDXOo6QBU0Wo=")
	}))
	_, err := newReader(t, cfg, "pics").Get(t.Context(), "k")
	for _, want := range []string{"signature we calculated does not match", "SignatureDoesNotMatch", "4442587FB7D0A2F9", "vlR7PnpV2Ce81l0PRw6jlUpck7Jo5ZsQjryTjKlc5aLWGVHPZLj5NeC6qMa0emYBDXOo6QBU0Wo="} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}
