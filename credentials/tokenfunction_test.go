package credentials_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// tenant gets tokens of the scene's service account, as a controller does by the
// TokenRequest API, and counts the calls.
type tenant struct {
	scene *scene
	calls atomic.Int32
	edit  func(*trust.Token)

	mu   sync.Mutex
	fail func(context.Context) ([]byte, error) // instead of a token; guarded by mu
}

func (c *tenant) setFail(fail func(context.Context) ([]byte, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = fail
}

func (c *tenant) token(ctx context.Context) ([]byte, error) {
	c.calls.Add(1)
	c.mu.Lock()
	fail := c.fail
	c.mu.Unlock()
	if fail != nil {
		return fail(ctx)
	}
	edit := c.edit
	if edit == nil {
		edit = func(*trust.Token) {}
	}
	return []byte(c.scene.blue.Token("default", "s3-shared-content", edit) + "\n"), nil
}

// by sets the source of a hub chain to the function.
func (c *tenant) by(o *credentials.Options) {
	o.Source = credentials.WebIdentity{RoleARN: c.scene.hub.ARN(), Token: c.token}
}

// speaksOfNoFile checks an error of a chain without a token file.
func speaksOfNoFile(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*credentials.Error](err)
	if !ok || len(e.Fixes) == 0 {
		t.Fatalf("no fixes: %v", err)
	}
	for _, text := range append(e.Fixes, err.Error()) {
		for _, word := range []string{"file", "kubelet", "mount", "volume", "TokenFile", "annotation"} {
			if strings.Contains(text, word) {
				t.Errorf("speaks of %q:\n%s", word, text)
			}
		}
	}
}

// A chain whose token comes from a function works like one with a file: it renews its
// sessions, calls the function once for each, and ignores the pod's own token.
func TestTokenFunction(t *testing.T) {
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/of/the/controller")
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		c := &tenant{scene: s}
		rotated := 0
		chain := s.hubChain(t, c.by, func(o *credentials.Options) {
			o.Strict = true
			o.OnEvent = func(e credentials.Event) {
				if e.Type == credentials.TokenRotated {
					rotated++
				}
			}
		})
		for range 20 {
			if got, err := fetch(t.Context(), chain.Config()); err != nil || got != photo {
				t.Fatalf("got %q, %v", got, err)
			}
			time.Sleep(20 * time.Minute)
			synctest.Wait()
		}
		exchanges := s.count("AssumeRoleWithWebIdentity")
		if calls := int(c.calls.Load()); calls != exchanges || calls < 6 {
			t.Errorf("%d calls of the function for %d exchanges", calls, exchanges)
		}
		if rotated != exchanges-1 {
			t.Errorf("%d TokenRotated events for %d different tokens", rotated, exchanges)
		}
		if want := "token function → " + s.hub.ARN() + " → " + s.target.ARN(); chain.String() != want || chain.Status().Source != "token function" {
			t.Errorf("the chain is %q with the source %q, want %q", chain, chain.Status().Source, want)
		}
	})
}

func TestTokenFunctionSettings(t *testing.T) {
	s := newScene(t)
	c := &tenant{scene: s}
	for name, row := range map[string]struct {
		source credentials.WebIdentity
		role   string // AWS_ROLE_ARN
		want   []string
	}{
		"a file too":     {credentials.WebIdentity{RoleARN: s.hub.ARN(), Token: c.token, TokenFile: "/token"}, "", []string{"WebIdentity.TokenFile", "WebIdentity.Token;"}},
		"no role":        {credentials.WebIdentity{Token: c.token}, "", []string{"WebIdentity.RoleARN", "AWS_ROLE_ARN"}},
		"only one":       {credentials.WebIdentity{RoleARN: s.hub.ARN(), Token: c.token}, "", nil},
		"injected role":  {credentials.WebIdentity{Token: c.token}, s.hub.ARN(), nil},
		"a role that is": {credentials.WebIdentity{RoleARN: "hub", Token: c.token}, "", []string{"WebIdentity.RoleARN", "not an ARN"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_ROLE_ARN", row.role)
			chain, err := credentials.New(s.cloud.Config(), func(o *credentials.Options) { o.Source = row.source })
			if row.want == nil {
				check(t, err)
				_, err = chain.Retrieve(t.Context())
				check(t, err)
				return
			}
			if !errors.Is(err, credentials.ConfigInvalid) || strings.Contains(err.Error(), "AWS_WEB_IDENTITY_TOKEN_FILE") {
				t.Fatalf("got %v", err)
			}
			for _, part := range row.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error lacks %q:\n%v", part, err)
				}
			}
		})
	}
}

var errVault = errors.New("vault is sealed")

// brokenFunctions are the ways in which a function returns no token.
var brokenFunctions = map[string]struct {
	fail func(context.Context) ([]byte, error)
	kind credentials.Kind
	is   error
	want string
}{
	"an error":    {func(context.Context) ([]byte, error) { return nil, fmt.Errorf("login: %w", errVault) }, credentials.TokenUnreadable, errVault, "login: vault is sealed"},
	"both":        {func(context.Context) ([]byte, error) { return []byte("e30.e30.AA"), errVault }, credentials.TokenUnreadable, errVault, "vault is sealed"},
	"a kind":      {func(context.Context) ([]byte, error) { return nil, &credentials.Error{Kind: credentials.AssumeDenied} }, credentials.TokenUnreadable, credentials.AssumeDenied, "AssumeDenied"},
	"nothing":     {func(context.Context) ([]byte, error) { return nil, nil }, credentials.TokenMalformed, nil, "empty"},
	"white space": {func(context.Context) ([]byte, error) { return []byte(" \r\n"), nil }, credentials.TokenMalformed, nil, "empty"},
	"garbage":     {func(context.Context) ([]byte, error) { return []byte("\x00\xffno token"), nil }, credentials.TokenMalformed, nil, "3 parts"},
	"no claims":   {func(context.Context) ([]byte, error) { return []byte("e30.e30.AA"), nil }, credentials.TokenMalformed, nil, `lacks the claim "iss"`},
	"20,001 bytes": {func(context.Context) ([]byte, error) { return []byte(strings.Repeat("e", 20_001)), nil },
		credentials.TokenMalformed, nil, "20000 bytes"},
	"a panic": {func(context.Context) ([]byte, error) { panic("boom") }, credentials.TokenUnreadable, nil, "panic: boom"},
	"Goexit":  {func(context.Context) ([]byte, error) { runtime.Goexit(); return nil, nil }, credentials.TokenUnreadable, nil, "Goexit"},
	"an error that quotes a token": {func(context.Context) ([]byte, error) {
		return nil, errors.New("bad reply eyJhbGciOiJSUzI1NiJ9eyJpc3MiOiJodHRwczovL2V4YW1wbGUuY29tIn0")
	}, credentials.TokenUnreadable, nil, "bad reply"},
}

// A function that returns no token is called once, nothing is sent, and the next refresh
// calls it again.
func TestTokenFunctionFails(t *testing.T) {
	for name, row := range brokenFunctions {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				c := &tenant{scene: s, fail: row.fail}
				chain := s.hubChain(t, c.by)
				_, err := chain.Retrieve(t.Context())
				if !errors.Is(err, row.kind) || row.is != nil && !errors.Is(err, row.is) || !strings.Contains(err.Error(), row.want) {
					t.Fatalf("got %v, want %v with %q", err, row.kind, row.want)
				}
				if strings.Contains(err.Error(), "eyJ") {
					t.Errorf("the error quotes the token: %v", err)
				}
				speaksOfNoFile(t, err)
				e, _ := errors.AsType[*credentials.Error](err)
				if e.Hop != 1 || e.RoleARN != s.hub.ARN() || e.Operation != "call token function" || e.Kind != row.kind {
					t.Errorf("hop %d, role %s, operation %q, kind %s", e.Hop, e.RoleARN, e.Operation, e.Kind)
				}
				if n := c.calls.Load(); n != 1 || len(s.cloud.Calls()) > 0 {
					t.Errorf("%d calls of the function, requests %v", n, s.cloud.Calls())
				}
				c.setFail(nil)
				time.Sleep(2 * time.Second)
				if _, err := chain.Retrieve(t.Context()); err != nil {
					t.Errorf("with a function that works: %v", err)
				}
			})
		})
	}
}

// A function that does not return is abandoned at its attempt's deadline. Meanwhile
// callers can leave, and the chain's state can be read.
func TestTokenFunctionHangs(t *testing.T) {
	forever := make(map[string]func(context.Context) ([]byte, error))
	forever["waits for its context"] = func(ctx context.Context) ([]byte, error) {
		<-ctx.Done()
		return nil, fmt.Errorf("token request: %w", ctx.Err())
	}
	forever["ignores its context"] = func(context.Context) ([]byte, error) {
		time.Sleep(time.Hour) // of the synctest bubble
		return nil, nil
	}
	for name, fail := range forever {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				c := &tenant{scene: s, fail: fail}
				chain := s.hubChain(t, c.by)

				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				before := time.Now()
				if _, err := chain.Retrieve(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(before) != time.Second {
					t.Errorf("a caller with a deadline of a second: %v after %v", err, time.Since(before))
				}
				if chain.Status().Healthy() {
					t.Error("healthy")
				}
				_, err := chain.Retrieve(t.Context())
				if took := time.Since(before); !errors.Is(err, credentials.TokenUnreadable) || !errors.Is(err, context.DeadlineExceeded) || took != 10*time.Second {
					t.Fatalf("got %v after %v", err, took)
				}
				speaksOfNoFile(t, err)
				if n := c.calls.Load(); n != 1 {
					t.Errorf("%d calls, want 1", n)
				}
				c.setFail(nil)
				time.Sleep(2 * time.Second)
				if _, err := chain.Retrieve(t.Context()); err != nil {
					t.Errorf("with a function that works: %v", err)
				}

				// A valid session needs no function.
				c.setFail(fail)
				time.Sleep(58 * time.Minute)
				before = time.Now()
				if _, err := chain.Retrieve(t.Context()); err != nil || time.Since(before) > 0 {
					t.Errorf("a session that is due: %v after %v", err, time.Since(before))
				}
				time.Sleep(2 * time.Hour) // the abandoned calls return
			})
		})
	}
}

// A function that keeps an expired token is called at most twice in a refresh, and one
// whose second token is valid brings the session in the same refresh.
func TestTokenFunctionReturnsExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		expired := s.blue.Token("default", "s3-shared-content")
		time.Sleep(25 * time.Hour)
		c := &tenant{scene: s}
		c.setFail(func(context.Context) ([]byte, error) { return []byte(expired), nil })
		chain := s.hubChain(t, c.by)
		for range 3 {
			before, sent := c.calls.Load(), s.count("AssumeRoleWithWebIdentity")
			_, err := chain.Retrieve(t.Context())
			if !errors.Is(err, credentials.TokenExpired) || !strings.Contains(err.Error(), "the function in WebIdentity.Token") {
				t.Fatalf("got %v", err)
			}
			speaksOfNoFile(t, err)
			e, _ := errors.AsType[*credentials.Error](err)
			if e.Code != "ExpiredTokenException" || e.RequestID == "" || e.Token == nil || len(e.Fixes) != 1 {
				t.Errorf("code %q, request %q, token %v, fixes %q", e.Code, e.RequestID, e.Token, e.Fixes)
			}
			if n := c.calls.Load() - before; n != 2 {
				t.Errorf("%d calls in one refresh, want 2", n)
			}
			if n := s.count("AssumeRoleWithWebIdentity") - sent; n != 1 {
				t.Errorf("%d requests with the same token, want 1", n)
			}
			time.Sleep(time.Minute)
		}

		c.calls.Store(0)
		c.setFail(func(ctx context.Context) ([]byte, error) {
			if c.calls.Load() == 1 {
				return []byte(expired), nil
			}
			return []byte(s.blue.Token("default", "s3-shared-content")), nil
		})
		if _, err := chain.Retrieve(t.Context()); err != nil || c.calls.Load() != 2 {
			t.Errorf("%v after %d calls", err, c.calls.Load())
		}

		// Once AWS's clock is known, an expired token is not even sent.
		c.setFail(func(context.Context) ([]byte, error) { return []byte(expired), nil })
		time.Sleep(2 * time.Hour)
		c.calls.Store(0)
		sent := s.count("AssumeRoleWithWebIdentity")
		_, err := chain.Retrieve(t.Context())
		if !errors.Is(err, credentials.TokenExpired) || c.calls.Load() > 2 || s.count("AssumeRoleWithWebIdentity") != sent {
			t.Errorf("%v after %d calls", err, c.calls.Load())
		}
		speaksOfNoFile(t, err)
	})
}

// jwt returns a token of the issuer with this algorithm. Its signature is not checked.
func jwt(algorithm, claims string) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"`+algorithm+`","kid":"1"}`)) + "." + part([]byte(claims)) + "." + part([]byte("signature"))
}

// Tokens of other issuers work: aud may be a string, nothing says Kubernetes, and any
// algorithm may have signed.
func TestTokenFunctionOfAnotherIssuer(t *testing.T) {
	for _, algorithm := range []string{"EdDSA", "ES256", "RS256"} {
		for _, audience := range []string{`"sts.amazonaws.com"`, `["other","sts.amazonaws.com"]`} {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				base := s.cloud.Config()
				var sent url.Values
				base.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
					body, err := io.ReadAll(r.Body)
					check(t, err)
					sent, err = url.ParseQuery(string(body))
					check(t, err)
					reply := fmt.Sprintf(`<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
						<AssumedRoleUser><Arn>arn:aws:sts::111122223333:assumed-role/hub/x</Arn><AssumedRoleId>AROAEXAMPLE:x</AssumedRoleId></AssumedRoleUser>
						<Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>session</SessionToken><Expiration>%s</Expiration></Credentials>
						</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
					return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(reply)), Request: r}, nil
				})
				token := jwt(algorithm, fmt.Sprintf(`{"iss":"https://spiffe.example.org","sub":"spiffe://example.org/billing","aud":%s,"exp":%d}`, audience, time.Now().Add(time.Hour).Unix()))
				chain := newChain(t, base, func(o *credentials.Options) {
					o.Source = credentials.WebIdentity{RoleARN: s.hub.ARN(), Audience: "sts.amazonaws.com", Token: func(context.Context) ([]byte, error) { return []byte(token), nil }}
				})
				if _, err := chain.Retrieve(t.Context()); err != nil {
					t.Fatalf("%s, audience %s: %v", algorithm, audience, err)
				}
				if sent.Get("WebIdentityToken") != token || !strings.HasPrefix(sent.Get("RoleSessionName"), "spiffe---example.org-billing@") {
					t.Errorf("sent %v", sent)
				}
			})
		}
	}
}

// Subjects that differ only behind the 64th character have different session names.
func TestTokenFunctionSessionNames(t *testing.T) {
	s := newScene(t)
	subject := "project_path:acme/" + strings.Repeat("x", 64)
	ends := []string{"main", "feature", "*"}
	var subjects, names []string
	for _, end := range ends {
		subjects = append(subjects, subject+end)
	}
	s.hub.SetTrust(trust.WebIdentityPolicy(s.dev.ID(), []string{s.blue.Issuer()}, []string{subject + "*"}).String())
	for _, subject := range subjects {
		c := &tenant{scene: s, edit: func(token *trust.Token) {
			token.Namespace, token.ServiceAccount, token.Subject = "", "", subject
		}}
		got := s.namesOf(t, s.hubChain(t, c.by))
		if !sessionName.MatchString(got[0]) || !strings.HasPrefix(got[0], "project_path-acme-xxx") || got[0] != got[1] {
			t.Errorf("names %q", got)
		}
		names = append(names, got[0])
	}
	slices.Sort(names)
	if len(slices.Compact(names)) != len(ends) {
		t.Errorf("names %q", names)
	}
}

// The chains of a pool share the session that the function's token was exchanged for.
func TestTokenFunctionInPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		c := &tenant{scene: s}
		pool := s.pool(t, func(o *credentials.PoolOptions) { c.by(&o.Options) })
		for _, role := range s.targets(5) {
			chain, err := pool.Chain(role)
			check(t, err)
			_, err = chain.Retrieve(t.Context())
			check(t, err)
		}
		if n := c.calls.Load(); n != 1 {
			t.Errorf("%d calls of the function for 5 targets", n)
		}
	})
}

// When S3 refuses the session as expired, the function is called for a new one.
func TestTokenFunctionRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		c := &tenant{scene: s}
		chain := s.directChain(t, c.by, func(o *credentials.Options) {
			o.Source = credentials.WebIdentity{RoleARN: s.target.ARN(), Token: c.token}
		})
		s.cloud.Fault(awstest.Fault{Operation: "GetObject", Status: 400, Code: "ExpiredToken", Times: 1})
		if got, err := fetch(t.Context(), chain.Config()); err != nil || got != photo || c.calls.Load() != 2 {
			t.Errorf("got %q, %v after %d calls of the function", got, err, c.calls.Load())
		}
	})
}

// Claims are checked, and refusals explained, as with a file.
func TestTokenFunctionClaims(t *testing.T) {
	for name, row := range map[string]struct {
		edit func(*trust.Token)
		set  func(*credentials.WebIdentity)
		kind credentials.Kind
		want string
	}{
		"another audience than set": {nil, func(w *credentials.WebIdentity) { w.Audience = "vault" }, credentials.AudienceMismatch, "audience vault"},
		"another audience than AWS": {func(token *trust.Token) { token.Audience = []string{"vault"} }, nil, credentials.AudienceMismatch, "audience sts.amazonaws.com"},
		"of the API server":         {func(token *trust.Token) { token.Audience = []string{token.Issuer} }, nil, credentials.AudienceMismatch, "audience sts.amazonaws.com"},
		"another issuer than set":   {nil, func(w *credentials.WebIdentity) { w.Issuer = "https://green" }, credentials.TokenRejected, "WebIdentity.Issuer"},
		"another subject": {func(token *trust.Token) {
			token.Subject, token.Namespace = awstest.Subject("other", "s3-shared-content"), "other"
		}, nil, credentials.TrustDenied, "other"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				c := &tenant{scene: s, edit: row.edit}
				w := credentials.WebIdentity{RoleARN: s.hub.ARN(), Token: c.token}
				if row.set != nil {
					row.set(&w)
				}
				_, err := s.hubChain(t, func(o *credentials.Options) { o.Source = w }).Retrieve(t.Context())
				if !errors.Is(err, row.kind) || !strings.Contains(err.Error()+strings.Join(errorFixes(err), "\n"), row.want) {
					t.Fatalf("got %v, want %v with %q", err, row.kind, row.want)
				}
				speaksOfNoFile(t, err)
			})
		})
	}
}

// The fixes of no failure speak of a file, or of a pod's settings, whatever STS responds.
func TestTokenFunctionFixes(t *testing.T) {
	t.Setenv("AWS_ROLE_ARN", "")
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "")
	const web, assume = "AssumeRoleWithWebIdentity", "AssumeRole"
	for _, row := range []struct {
		kind  credentials.Kind
		fault awstest.Fault
	}{
		{credentials.OIDCProviderMissing, awstest.Fault{Operation: web, Code: "InvalidIdentityToken", Message: "No OpenIDConnect provider found in your account for https://x"}},
		{credentials.OIDCProviderMissing, awstest.Fault{Operation: web, Code: "InvalidIdentityToken", Message: "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint"}},
		{credentials.AudienceMismatch, awstest.Fault{Operation: web, Code: "InvalidIdentityToken", Message: "Incorrect token audience"}},
		{credentials.TokenRejected, awstest.Fault{Operation: web, Code: "InvalidIdentityToken", Message: "The ID Token provided is not a valid JWT."}},
		{credentials.TokenRejected, awstest.Fault{Operation: web, Code: "IDPRejectedClaim"}},
		{credentials.TokenExpired, awstest.Fault{Operation: web, Code: "ExpiredTokenException", Message: "Token expired"}},
		{credentials.IssuerUnreachable, awstest.Fault{Operation: web, Code: "IDPCommunicationError"}},
		{credentials.TrustDenied, awstest.Fault{Operation: web, Status: 403, Code: "AccessDenied", Message: "Not authorized to perform sts:AssumeRoleWithWebIdentity"}},
		{credentials.DurationTooLong, awstest.Fault{Operation: web, Code: "ValidationError", Message: "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."}},
		{credentials.RegionNotEnabled, awstest.Fault{Operation: web, Status: 403, Code: "RegionDisabledException"}},
		{credentials.ConfigInvalid, awstest.Fault{Operation: web, Code: "ValidationError", Message: "x"}},
		{credentials.Throttled, awstest.Fault{Operation: web, Code: "Throttling"}},
		{credentials.STSUnreachable, awstest.Fault{Operation: web, Status: 503, Code: "ServiceUnavailable"}},
		{credentials.STSUnreachable, awstest.Fault{Operation: web, Drop: true}},
		{credentials.Unknown, awstest.Fault{Operation: web, Code: "SomethingElse"}},
		{credentials.AssumeDenied, awstest.Fault{Operation: assume, Status: 403, Code: "AccessDenied", Message: "User: arn:aws:sts::111122223333:assumed-role/hub/x is not authorized to perform: sts:AssumeRole on resource: x"}},
		{credentials.TagsTooLarge, awstest.Fault{Operation: assume, Code: "PackedPolicyTooLarge"}},
		{credentials.CredentialsExpired, awstest.Fault{Operation: assume, Code: "ExpiredToken"}},
	} {
		t.Run(string(row.kind)+" "+row.fault.Code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				c := &tenant{scene: s}
				if row.fault.Status == 0 && row.fault.Code != "" {
					row.fault.Status = 400
				}
				s.cloud.Fault(row.fault)
				chains := []*credentials.Chain{s.hubChain(t, c.by)}
				if row.fault.Operation == web {
					chains = append(chains, s.directChain(t, func(o *credentials.Options) {
						o.Source = credentials.WebIdentity{RoleARN: s.target.ARN(), Token: c.token, Duration: 2 * time.Hour}
					}))
				}
				for _, chain := range chains {
					_, err := chain.Retrieve(t.Context())
					if !errors.Is(err, row.kind) {
						t.Fatalf("got %v, want %v", err, row.kind)
					}
					for _, text := range append(errorFixes(err), err.Error()) {
						for _, word := range []string{"file", "kubelet", "mount", "volume", "TokenFile", "annotation", "AWS_ROLE_ARN", "the pod's role", "recreate the pod"} {
							if strings.Contains(text, word) {
								t.Errorf("speaks of %q:\n%s", word, text)
							}
						}
					}
				}
			})
		})
	}
}

func errorFixes(err error) []string {
	e, _ := errors.AsType[*credentials.Error](err)
	if e == nil {
		return nil
	}
	return e.Fixes
}

// Check calls the function once and shows the claims of its token.
func TestTokenFunctionCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		c := &tenant{scene: s}
		chain := s.hubChain(t, c.by)
		report := chain.Check(t.Context())
		if !report.Healthy() || c.calls.Load() != 1 || report.Token == nil || report.Token.Claims == nil || report.Token.Path != "token function" ||
			!strings.Contains(report.String(), "sub  system:serviceaccount:default:s3-shared-content") {
			t.Errorf("%d calls of the function:\n%s", c.calls.Load(), report)
		}
		c.setFail(func(context.Context) ([]byte, error) { return nil, errVault })
		report = chain.Check(t.Context())
		if report.Token == nil || report.Token.Claims != nil || !errors.Is(report.Token.Err, credentials.TokenUnreadable) || !strings.Contains(report.String(), errVault.Error()) {
			t.Errorf("a function that fails:\n%s", report)
		}
		c.setFail(func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		report = chain.Check(ctx)
		if want := "none: the check was canceled at hop 1 of 2"; report.Verdict() != want {
			t.Errorf("a check that is cancelled: %q, want %q", report.Verdict(), want)
		}
	})
}

// A function that reads what is not there yet gets a first session's patience, as a file
// does.
func TestTokenFunctionNotThereYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		c := &tenant{scene: s}
		c.setFail(func(context.Context) ([]byte, error) { return os.ReadFile("/var/run/spiffe/none") })
		start := time.Now()
		time.AfterFunc(5*time.Second, func() { c.setFail(nil) })
		if _, err := s.hubChain(t, c.by).Retrieve(t.Context()); err != nil || time.Since(start) < 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
