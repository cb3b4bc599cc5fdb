package credentials_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// FuzzTokenFile: what is no token is never sent, and what is sent is the token,
// without the white space around it.
func FuzzTokenFile(f *testing.F) {
	token := awstest.New().Cluster("https://oidc.example/BLUE").Token("default", "reader")
	for _, seed := range []string{"", "\n", token, token + "\r\n", "\ufeff" + token, token[:40], strings.Repeat("a", 20001), "a.b.c", "<html>", token + " " + token} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(dir, "token")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			var sent []string
			base := aws.Config{Region: "us-east-1", HTTPClient: doFunc(func(r *http.Request) (*http.Response, error) {
				if err := r.ParseForm(); err != nil {
					t.Error(err)
				}
				sent = append(sent, r.Form.Get("WebIdentityToken"))
				return reply(r, 403, "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"), nil
			})}
			chain := newChain(t, base, func(o *credentials.Options) {
				o.Source = credentials.WebIdentity{RoleARN: "arn:aws:iam::444455556666:role/S3_Pics", TokenFile: file}
			})
			_, err := chain.Retrieve(t.Context())
			if _, bad := trust.ParseToken(data); bad != nil || len(data) > 20000 {
				if !errors.Is(err, credentials.TokenMalformed) || len(sent) != 0 {
					t.Errorf("%v, %d requests for what is no token (%v)", err, len(sent), bad)
				}
				return
			}
			if !errors.Is(err, credentials.TrustDenied) || len(sent) != 1 || sent[0] != string(bytes.TrimSpace(data)) {
				t.Errorf("%v, sent %q", err, sent)
			}
		})
	})
}

// FuzzReply: whatever the endpoint responds, there is a usable session of the
// role asked for or an error; and the error shows no key.
func FuzzReply(f *testing.F) {
	const role = "arn:aws:iam::444455556666:role/S3_Pics"
	const good = `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>` +
		`<AssumedRoleUser><Arn>arn:aws:sts::444455556666:assumed-role/S3_Pics/x</Arn></AssumedRoleUser>` +
		`<Credentials><AccessKeyId>ASIAFUZZ</AccessKeyId><SecretAccessKey>SECRETCANARY</SecretAccessKey><SessionToken>SESSIONCANARY</SessionToken>` +
		`<Expiration>2000-01-01T01:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`
	f.Add(200, good, true)
	f.Add(200, good[:len(good)-150], false)
	f.Add(200, strings.Replace(good, "S3_Pics", "Other", 1), true)
	f.Add(200, strings.Replace(good, "2000-01-01T01", "1999-01-01T01", 1), true)
	f.Add(200, "<html>login please</html>", false)
	f.Add(400, "<Error><Code>InvalidRequest</Code></Error>", false)
	f.Add(403, "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>", true)
	f.Add(503, "", false)
	f.Add(200, "", true)
	file := filepath.Join(f.TempDir(), "token")
	token := awstest.New().Cluster("https://oidc.example/BLUE").Token("default", "reader")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status int, body string, dated bool) {
		if status < 200 || status > 599 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			base := aws.Config{Region: "us-east-1", HTTPClient: doFunc(func(r *http.Request) (*http.Response, error) {
				resp := reply(r, status, body)
				if dated {
					resp.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
				}
				return resp, nil
			})}
			chain := newChain(t, base, func(o *credentials.Options) {
				o.Source = credentials.WebIdentity{RoleARN: role, TokenFile: file}
			})
			creds, err := chain.Retrieve(t.Context())
			if err == nil {
				if !creds.HasKeys() || !creds.CanExpire || !creds.Expires.After(time.Now()) {
					t.Errorf("handed out keys %v, Expires %v", creds.HasKeys(), creds.Expires)
				}
				return
			}
			if _, ok := errors.AsType[*credentials.Error](err); !ok {
				t.Errorf("%T", err)
			}
			for _, canary := range []string{"SECRETCANARY", "SESSIONCANARY", token} {
				if status < 300 && strings.Contains(err.Error(), canary) {
					t.Errorf("the error shows %s: %v", canary, err)
				}
			}
		})
	})
}

func reply(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"text/xml"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}
}
