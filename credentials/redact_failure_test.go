package credentials_test

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// guilty is a way to fail.
type guilty struct {
	name  string
	kind  credentials.Kind
	spoil func(*scene, *credentials.WebIdentity)
}

func struck(f awstest.Fault) func(*scene, *credentials.WebIdentity) {
	return func(s *scene, _ *credentials.WebIdentity) { s.cloud.Fault(f) }
}

var guilties = []guilty{
	{"no token file", credentials.TokenUnreadable, func(_ *scene, w *credentials.WebIdentity) { w.TokenFile = "/not/there" }},
	{"garbage in the file", credentials.TokenMalformed, func(s *scene, _ *credentials.WebIdentity) {
		s.pod.Mount([]byte("Very-Secret-Garbage.In-The.Token-File"))
	}},
	{"half a token in the file", credentials.TokenMalformed, func(s *scene, _ *credentials.WebIdentity) {
		s.pod.Mount([]byte(s.blue.Token("default", "s3-shared-content")[:300]))
	}},
	{"token of another issuer than wanted", credentials.TokenRejected, func(_ *scene, w *credentials.WebIdentity) { w.Issuer = "https://elsewhere.example" }},
	{"token for another audience than wanted", credentials.AudienceMismatch, func(_ *scene, w *credentials.WebIdentity) { w.Audience = "elsewhere" }},
	{"token expired", credentials.TokenExpired, func(s *scene, _ *credentials.WebIdentity) {
		s.pod.Rotate(func(token *trust.Token) { token.Expires = time.Now().Add(-time.Hour) })
	}},
	{"audience not registered", credentials.AudienceMismatch, func(s *scene, _ *credentials.WebIdentity) { s.dev.AddOIDCProvider(s.blue, "other") }},
	{"no provider", credentials.OIDCProviderMissing, func(s *scene, _ *credentials.WebIdentity) { s.dev.RemoveOIDCProvider(s.blue) }},
	{"another subject", credentials.TrustDenied, func(s *scene, _ *credentials.WebIdentity) {
		s.pod.Rotate(func(token *trust.Token) { token.Subject = "system:serviceaccount:default:other" })
	}},
	{"hub may not", credentials.AssumeDenied, func(s *scene, _ *credentials.WebIdentity) { s.hub.SetPolicy("") }},
	{"wrong external id", credentials.AssumeDenied, func(s *scene, _ *credentials.WebIdentity) {
		s.target.SetTrust(trust.RolePolicy(s.hub.ARN(), func(o *trust.PolicyOptions) { o.ExternalID = "another" }).String())
	}},
	{"too long", credentials.DurationTooLong, func(_ *scene, w *credentials.WebIdentity) { w.Duration = 2 * time.Hour }},
	{"keys unreachable", credentials.IssuerUnreachable, struck(awstest.Fault{Status: 400, Code: "IDPCommunicationError"})},
	{"rejected", credentials.TokenRejected, struck(awstest.Fault{Status: 400, Code: "InvalidIdentityToken", Message: "The token is not valid"})},
	{"packed", credentials.TagsTooLarge, struck(awstest.Fault{Operation: "AssumeRole", Status: 400, Code: "PackedPolicyTooLarge"})},
	{"throttled", credentials.Throttled, struck(awstest.Fault{Operation: "AssumeRole", Status: 400, Code: "Throttling"})},
	{"region", credentials.RegionNotEnabled, struck(awstest.Fault{Operation: "AssumeRole", Status: 403, Code: "RegionDisabledException"})},
	{"down", credentials.STSUnreachable, struck(awstest.Fault{Operation: "AssumeRole", Status: 503, Code: "ServiceUnavailable"})},
	{"dropped", credentials.STSUnreachable, struck(awstest.Fault{Drop: true})},
	{"hung", credentials.RefreshTimeout, struck(awstest.Fault{Operation: "AssumeRole", Hang: true})},
	{"another role", credentials.WrongSession, struck(awstest.Fault{Operation: "AssumeRole", WrongRole: "arn:aws:iam::444455556666:role/Other"})},
	{"no end", credentials.WrongSession, struck(awstest.Fault{NoExpiration: true})},
	{"past end", credentials.WrongSession, struck(awstest.Fault{Operation: "AssumeRole", Expiration: new(time.Unix(0, 0))})},
	{"validation", credentials.ConfigInvalid, struck(awstest.Fault{Operation: "AssumeRole", Status: 400, Code: "ValidationError", Message: "no"})},
	{"unknown code", credentials.Unknown, struck(awstest.Fault{Operation: "AssumeRole", Status: 418, Code: "Teapot"})},
	{"session expired", credentials.CredentialsExpired, struck(awstest.Fault{Operation: "AssumeRole", Status: 403, Code: "ExpiredToken"})},
}

// No failure shows a secret, in the error or elsewhere.
func TestFailuresPrintNoSecrets(t *testing.T) {
	for _, row := range guilties {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				s.target.SetTrust(trust.RolePolicy(s.hub.ARN(), func(o *trust.PolicyOptions) { o.ExternalID = externalID }).String())
				w := s.web()
				row.spoil(s, &w)
				f := newFailing(s, w, nil)
				err := f.fail(t, row.kind)
				if e, ok := errors.AsType[*credentials.Error](err); ok {
					f.heard.silent(t, "a copy of the error", *e)
				}
			})
		})
	}
}

// failing is a hub chain that listens to itself.
type failing struct {
	heard   *canaries
	log     bytes.Buffer
	events  []credentials.Event
	base    aws.Config
	options func(*credentials.Options)
}

func newFailing(s *scene, source credentials.Source, client aws.HTTPClient) *failing {
	f := &failing{base: s.cloud.Config()}
	if client == nil {
		client = f.base.HTTPClient
	}
	f.heard = newCanaries(client)
	if raw, err := os.ReadFile(s.pod.TokenFile()); err == nil {
		f.heard.add("token file", string(raw))
	}
	f.base.HTTPClient = f.heard
	f.options = func(o *credentials.Options) {
		o.Source = source
		o.Roles = []credentials.Role{{ARN: s.target.ARN(), ExternalID: externalID}}
		o.Logger = slog.New(slog.NewJSONHandler(&f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.OnEvent = func(e credentials.Event) { f.events = append(f.events, e) }
	}
	return f
}

// fail asks the chain, and checks everything that reports the failure.
func (f *failing) fail(t *testing.T, kind credentials.Kind) error {
	t.Helper()
	chain := newChain(t, f.base, f.options)
	_, err := chain.Retrieve(t.Context())
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v", err, kind)
	}
	_, s3err := fetch(t.Context(), chain.Config())
	synctest.Wait() // the events are delivered after the callers were served
	f.heard.silent(t, "the error", err)
	f.heard.silent(t, "a wrapped error", fmt.Errorf("reading the picture: %w", err))
	f.heard.silent(t, "the S3 client's error", s3err)
	f.heard.silent(t, "the status", chain.Status())
	f.heard.silent(t, "the events", f.events)
	f.heard.check(t, "the log", f.log.String())
	if f.log.Len() == 0 || len(f.events) == 0 {
		t.Error("neither log nor events report the failure")
	}
	return err
}

// echo is an endpoint that responds with what it was sent.
func echo(status int, format string, padding int) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, err
		}
		heard := strings.Repeat("x ", padding) + strings.Join([]string{
			form.Get("WebIdentityToken"), form.Get("ExternalId"), r.Header.Get("X-Amz-Security-Token"), r.Header.Get("Authorization"), string(body),
		}, " ")
		return answer(status, "text/xml", fmt.Sprintf(format, html.EscapeString(heard))), nil
	}
}

// An endpoint that quotes the request in its refusal, as proxies and debugging
// aids do, cannot make the error show it. The padding moves the place where a long
// response is cut.
func TestEchoedSecretsAreNotPrinted(t *testing.T) {
	for name, row := range map[string]struct {
		status int
		format string
		kind   credentials.Kind
	}{
		"STS's own error":  {400, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Code>ValidationError</Code><Message>%s</Message></Error></ErrorResponse>`, credentials.ConfigInvalid},
		"an unknown code":  {400, `<ErrorResponse><Error><Code>Odd</Code><Message>%s</Message></Error></ErrorResponse>`, credentials.Unknown},
		"a bare error":     {403, `<Error><Code>AccessDenied</Code><Message>%s</Message></Error>`, ""},
		"S3's error":       {400, `<Error><Code>InvalidRequest</Code><Message>%s</Message></Error>`, credentials.STSUnreachable},
		"a page":           {404, "<html>%s</html>", credentials.STSUnreachable},
		"a page with 200":  {200, "<html>%s</html>", credentials.STSUnreachable},
		"a page with 502":  {502, "<html>%s</html>", credentials.STSUnreachable},
		"plain text":       {400, "%s", credentials.STSUnreachable},
		"broken XML":       {400, `<ErrorResponse><Error><Code>Odd</Code><Message>&%s</Message></Error></ErrorResponse>`, credentials.STSUnreachable},
		"an unclosed page": {400, "<html><b>%s", credentials.STSUnreachable},
	} {
		for _, hop := range []string{"AssumeRoleWithWebIdentity", "AssumeRole"} {
			t.Run(fmt.Sprint(name, " ", hop), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newScene(t)
					cloud := s.cloud.Config().HTTPClient
					kind := row.kind
					if kind == "" {
						kind = map[string]credentials.Kind{"AssumeRole": credentials.AssumeDenied, "AssumeRoleWithWebIdentity": credentials.TrustDenied}[hop]
					}
					for padding := 0; padding < 70; padding += 7 {
						rogue := echo(row.status, row.format, padding)
						f := newFailing(s, s.web(), doFunc(func(r *http.Request) (*http.Response, error) {
							if operation(r) == hop {
								return rogue(r)
							}
							return cloud.Do(r)
						}))
						f.fail(t, kind)
					}
				})
			})
		}
	}
}

// operation is what an STS request asks for; its body stays readable.
func operation(r *http.Request) string {
	if r.Body == nil {
		return ""
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return ""
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	action, _, _ := strings.Cut(strings.TrimPrefix(string(body), "Action="), "&")
	return action
}

// A response that holds keys and cannot be read must not be quoted.
func TestBrokenRepliesPrintNoKeys(t *testing.T) {
	const secretKey, sessionToken = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY00", "FwoGZXIvYXdzEXAMPLETOKENFwoGZXIvYXdzEXAMPLETOKEN"
	for name, body := range map[string]string{
		"XML cut short":         "<AssumeRoleResponse><AssumeRoleResult><Credentials><SecretAccessKey>" + secretKey + "</SecretAccessKey><SessionToken>" + sessionToken,
		"JSON":                  `{"SecretAccessKey":"` + secretKey + `","SessionToken":"` + sessionToken + `"}`,
		"JSON cut short":        `{"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"` + secretKey,
		"the agent's cut short": `{"Token":"` + sessionToken,
		"text":                  "secret_access_key = " + secretKey,
	} {
		for _, status := range []int{200, 400, 500} {
			for _, source := range []credentials.Source{nil, credentials.NodeRole{}, credentials.PodIdentity{Endpoint: agentEndpoint}} {
				t.Run(fmt.Sprint(name, " ", status, " ", source), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := newScene(t)
						kind := credentials.STSUnreachable
						switch p := source.(type) {
						case nil:
							source = s.web()
						case credentials.PodIdentity:
							p.TokenFile = s.pod.TokenFile()
							source = p
							if name == "JSON" { // it can be read, but has neither a key's id nor a code
								kind = map[int]credentials.Kind{200: credentials.WrongSession, 400: credentials.Unknown, 500: kind}[status]
							}
						}
						f := newFailing(s, source, doFunc(func(r *http.Request) (*http.Response, error) {
							if r.Method == http.MethodPut {
								return answer(200, "text/plain", metadataToken), nil
							}
							return answer(status, "application/json", body), nil
						}))
						f.heard.add("secret key", secretKey)
						f.heard.add("session token", sessionToken)
						f.fail(t, kind)
					})
				})
			}
		}
	}
}

// A client's own error quotes the URL, and a proxy's its address.
func TestTransportErrorsPrintNoSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		f := newFailing(s, s.web(), doFunc(func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			u := *r.URL
			u.RawQuery = string(body)
			return nil, &url.Error{Op: "Post", URL: u.String(), Err: &net.OpError{Op: "proxyconnect", Net: "tcp", Err: errors.New("connection refused")}}
		}))
		err := f.fail(t, credentials.STSUnreachable)
		if !strings.Contains(err.Error(), "proxyconnect tcp: connection refused") {
			t.Errorf("the message lacks the cause: %v", err)
		}
	})
}

// A service that refuses the renewed session too may quote the tokens of both.
func TestRefusedSessionsAreNotPrinted(t *testing.T) {
	s := newScene(t)
	base := s.cloud.Config()
	cloud := base.HTTPClient
	var sent []string // of the read
	base.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
		if strings.HasPrefix(r.URL.Host, "sts.") {
			return cloud.Do(r)
		}
		_, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
		sent = append(sent, r.Header.Get("X-Amz-Security-Token"), signature)
		return answer(400, "application/xml", "<Error><Code>ExpiredToken</Code><Message>"+html.EscapeString(strings.Join(sent, " "))+"</Message></Error>"), nil
	})
	cfg, err := credentials.Wrap(base, func(o *credentials.Options) { o.Source = s.web() }, credentials.Assume(s.target.ARN()))
	if err != nil {
		t.Fatal(err)
	}
	for i, when := range []string{"renewed and refused again", "within the pause"} {
		sent = nil
		_, err := fetch(t.Context(), cfg)
		e, ok := errors.AsType[*credentials.Error](err)
		if requests := len(sent) / 2; !ok || e.Kind != credentials.CredentialsExpired || requests != 2-i {
			t.Fatalf("%s: got %v after %d requests", when, err, requests)
		}
		for _, secret := range sent {
			for i := 0; i+20 <= len(secret); i += 20 {
				if part := secret[i : i+20]; strings.Contains(e.Message, part) || strings.Contains(e.Error(), part) {
					t.Fatalf("%s: %q is in %v", when, part, e)
				}
			}
		}
	}
}
