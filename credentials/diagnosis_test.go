package credentials_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// says checks that an error has a kind, and that its text and its fixes have all
// parts.
func says(t *testing.T, err error, kind credentials.Kind, parts ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got %v, want %v", err, kind)
		return
	}
	isBrief(t, err)
	text := err.Error()
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		text += "\n" + strings.Join(e.Fixes, "\n")
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("the message and the fixes lack %q: %s", part, text)
		}
	}
}

// isBrief holds an error to one paragraph of at most five lines. Policy statements are in
// its fixes.
func isBrief(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	if strings.Count(text, "\n") > 4 || strings.Contains(text, "\n\n") || strings.Contains(text, `"Effect"`) || len(text) > 2000 {
		t.Errorf("an error of %d bytes on %d lines: %s", len(text), 1+strings.Count(text, "\n"), text)
	}
}

// Whatever a server sends, its error is one line.
func TestErrorsAreBrief(t *testing.T) {
	lines := strings.Repeat("a line\r\n\n", 20)
	for _, operation := range []string{"AssumeRoleWithWebIdentity", "AssumeRole"} {
		for name, fault := range map[string]awstest.Fault{
			"a page":          {Status: 403, Body: "<html>\n<body>\n" + lines + "</body>\n</html>"},
			"a text":          {Status: 502, Body: lines},
			"a message":       {Status: 403, Code: "AccessDenied", Message: lines},
			"a code":          {Status: 400, Code: "Something\n" + lines, Message: "New"},
			"only a code":     {Status: 400, Code: "Something\n" + lines},
			"another service": {Status: 403, Body: "<Error>\n<Code>Other\n" + lines + "</Code>\n<Message>" + lines + "</Message></Error>"},
			"another role":    {WrongRole: "arn:aws:iam::444455556666:role/Other\n" + lines},
		} {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				fault.Operation = operation
				s.cloud.Fault(fault)
				_, err := s.hubChain(t, func(o *credentials.Options) { o.Refresh.Timeout = time.Second }).Retrieve(t.Context())
				if err == nil {
					t.Errorf("%s: no error", name)
					return
				}
				isBrief(t, err)
				if strings.Contains(err.Error(), "\n") {
					t.Errorf("%s: several lines: %s", name, err)
				}
			})
		}
	}
}

// Case B04: the audiences are shown as they are, quoted, and one request is made.
func TestAudiencesAreShownQuoted(t *testing.T) {
	for _, audiences := range [][]string{{"sts.amazonaws.com "}, {"kubernetes.default.svc", "api"}, {"sts.amazonaws.com.cn"}} {
		s := newScene(t)
		s.pod.Rotate(func(token *trust.Token) { token.Audience = audiences })
		_, err := s.hubChain(t).Retrieve(t.Context())
		says(t, err, credentials.AudienceMismatch, s.dev.ID(), s.blue.Issuer()[len("https://"):])
		for _, a := range audiences {
			says(t, err, credentials.AudienceMismatch, `"`+a+`"`)
		}
		if n := s.count("AssumeRoleWithWebIdentity"); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	}
	s := newScene(t) // one of several is registered: that is enough
	s.pod.Rotate(func(token *trust.Token) { token.Audience = []string{"kubernetes.default.svc", "sts.amazonaws.com"} })
	s.hub.SetTrust(strings.Replace(trust.WebIdentityPolicy(s.dev.ID(), []string{s.blue.Issuer()}, []string{awstest.Subject("default", "s3-shared-content")}).String(),
		`"StringEquals"`, `"ForAnyValue:StringEquals"`, 1))
	if _, err := s.hubChain(t).Retrieve(t.Context()); err != nil {
		t.Error(err)
	}
}

// Case B05: the account to register the issuer in is the role's, on each route.
func TestMissingProviderNamesTheRolesAccount(t *testing.T) {
	s := newScene(t)
	s.dev.RemoveOIDCProvider(s.blue)
	s.shared.RemoveOIDCProvider(s.blue)
	_, err := s.directChain(t).Retrieve(t.Context())
	says(t, err, credentials.OIDCProviderMissing, "account "+s.shared.ID(), s.blue.Issuer(), "credentials.Assume")
	_, err = s.hubChain(t).Retrieve(t.Context())
	says(t, err, credentials.OIDCProviderMissing, "account "+s.dev.ID(), s.blue.Issuer())
}

// Case B06: four ways in which issuers differ, distinguished before any call.
func TestIssuersDifferInFourWays(t *testing.T) {
	for expected, want := range map[string]string{
		"https://oidc.eks.us-east-1.amazonaws.com/id/BLUE/": "only a trailing slash",
		"https://oidc.eks.us-east-1.amazonaws.com/id/blue":  "only upper and lower case",
		"https://oidc-eks.us-east-1.api.aws/id/BLUE":        "only the host",
		"https://oidc.eks.us-east-1.amazonaws.com/id/OTHER": "the ID: the token comes from another cluster",
	} {
		s := newScene(t)
		chain := s.hubChain(t, func(o *credentials.Options) {
			w := s.web()
			w.Issuer = expected
			o.Source = w
		})
		_, err := chain.Retrieve(t.Context())
		says(t, err, credentials.TokenRejected, want, `"`+expected+`"`, `"`+s.blue.Issuer()+`"`)
		if n := len(s.cloud.Calls()); n != 0 {
			t.Errorf("%d requests, want none", n)
		}
	}
}

// Case B08: what the trust policy needs, as it needs it; AWS does not say which
// condition refused, and neither do we; fifty callers are one request.
func TestTrustDeniedShowsWhatAPolicyNeeds(t *testing.T) {
	s := newScene(t)
	s.hub.SetTrust(trust.WebIdentityPolicy(s.dev.ID(), []string{s.blue.Issuer()}, []string{awstest.Subject("default", "reader")}).String())
	chain := s.hubChain(t)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_, err := chain.Retrieve(context.WithoutCancel(t.Context()))
			says(t, err, credentials.TrustDenied,
				`"oidc.eks.us-east-1.amazonaws.com/id/BLUE:sub": "system:serviceaccount:default:s3-shared-content"`,
				`"oidc.eks.us-east-1.amazonaws.com/id/BLUE:aud": "sts.amazonaws.com"`,
				"arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/BLUE",
				"does not say which condition")
		})
	}
	wg.Wait()
	if n := s.count("AssumeRoleWithWebIdentity"); n != 1 {
		t.Errorf("%d requests for 50 callers, want 1", n)
	}
}

// Case B10: what belongs to a role goes with its hop, on every refresh.
func TestChainAttributesAreSentOnEveryRefresh(t *testing.T) {
	s := newScene(t)
	s.target.SetTrust(trust.RolePolicy(s.hub.ARN(), func(o *trust.PolicyOptions) {
		o.ExternalID, o.TagSession, o.SetSourceIdentity = "shared-secret-1", true, true
	}).String())
	chain := s.hubChain(t, func(o *credentials.Options) {
		o.Roles[0] = credentials.Role{
			ARN: s.target.ARN(), ExternalID: "shared-secret-1", SourceIdentity: "anna",
			Tags: map[string]string{"team": "cats", "app": "pics"}, TransitiveTagKeys: []string{"team"},
		}
	})
	for range 2 {
		creds, err := chain.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		chain.Invalidate(creds.AccessKeyID)
	}
	refreshes := 0
	for _, c := range s.cloud.Calls() {
		sent := c.Params["ExternalId"] + " " + c.Params["SourceIdentity"] + " " + c.Params["TransitiveTagKeys"] + " " + c.Params["Tags"]
		switch c.Operation {
		case "AssumeRoleWithWebIdentity":
			if strings.TrimSpace(sent) != "" {
				t.Errorf("hop 1 sent %q", sent)
			}
		case "AssumeRole":
			refreshes++
			if sent != "shared-secret-1 anna team app=pics,team=cats" {
				t.Errorf("hop 2 sent %q, %v", sent, c)
			}
		}
	}
	if refreshes != 2 {
		t.Errorf("%d refreshes, want 2", refreshes)
	}
	for _, action := range []string{"sts:TagSession", "sts:SetSourceIdentity"} {
		s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Times: 1, Status: 403, Code: "AccessDenied",
			Message: "User: x is not authorized to perform: " + action + " on resource: y"})
		_, err := s.hubChain(t).Retrieve(t.Context())
		says(t, err, credentials.AssumeDenied, `"`+action+`"`)
	}
}

// Case B29: why STS cannot be reached, and through which proxy.
func TestUnreachableSTSSaysWhy(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connect: connection refused")}
	tests := []struct {
		name  string
		cause error
		want  string
	}{
		{"no such host", &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "sts.us-east-1.amazonaws.com", IsNotFound: true}}, "no such host"},
		{"certificate", x509.UnknownAuthorityError{}, "certificate signed by unknown authority"},
		{"refused", refused, "connection refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				base := s.cloud.Config()
				base.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
					return nil, &url.Error{Op: "Post", URL: r.URL.String(), Err: tt.cause}
				})
				chain := newChain(t, base, func(o *credentials.Options) { o.Source = s.web() })
				_, err := chain.Retrieve(t.Context())
				says(t, err, credentials.STSUnreachable, tt.want, "sts.us-east-1.amazonaws.com", "NO_PROXY")
				if !errors.Is(err, tt.cause) && !strings.Contains(tt.name, "certificate") {
					t.Errorf("the cause is lost: %v", err)
				}
			})
		})
	}
}

// A proxy that cannot be reached is named by its host, without its password.
func TestUnreachableProxyIsNamed(t *testing.T) { synctest.Test(t, unreachableProxy) }

func unreachableProxy(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connect: connection refused")}
	s := newScene(t)
	base := aws.Config{Region: "eu-west-1", HTTPClient: awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
		tr.Proxy = http.ProxyURL(&url.URL{Scheme: "http", User: url.UserPassword("user", "proxy-password"), Host: "proxy.local:3128"})
		tr.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, refused }
	})}
	chain := newChain(t, base, func(o *credentials.Options) { o.Source = s.web() })
	_, err := chain.Retrieve(t.Context())
	says(t, err, credentials.STSUnreachable, "proxy.local:3128", "sts.eu-west-1.amazonaws.com")
	if strings.Contains(err.Error(), "proxy-password") {
		t.Errorf("the message shows the proxy's password: %v", err)
	}
}

// Cases B30 and B32: regions that are off, and without FIPS endpoints.
func TestRegionsAndFIPS(t *testing.T) { synctest.Test(t, regionsAndFIPS) }

func regionsAndFIPS(t *testing.T) {
	s := newScene(t)
	s.cloud.Fault(awstest.Fault{Status: 403, Code: "RegionDisabledException", Message: "STS is not activated in this region"})
	_, err := s.hubChain(t).Retrieve(t.Context())
	says(t, err, credentials.RegionNotEnabled, s.dev.ID(), "enable the region")
	if n := len(s.cloud.Calls()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}

	base := aws.Config{Region: "ca-central-1", HTTPClient: doFunc(func(r *http.Request) (*http.Response, error) {
		if want := "sts-fips.ca-central-1.amazonaws.com"; r.URL.Host != want {
			t.Errorf("asked %s, want %s", r.URL.Host, want)
		}
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: r.URL.Host, IsNotFound: true}}
	})}
	chain := newChain(t, base, func(o *credentials.Options) {
		o.Source = s.web()
		o.STS = func(o *sts.Options) { o.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled }
	})
	_, err = chain.Retrieve(t.Context())
	says(t, err, credentials.STSUnreachable, "FIPS", "Options.STS")
}

// A region that AWS does not have is named, with the closest one; a new one of a
// known shape is only noted when it does not respond.
func TestUnknownRegionIsNamed(t *testing.T) {
	for region, want := range map[string]string{
		"us-est-1": `"us-est-1" is not a region of AWS, as far as this version knows; the closest one is us-east-1`,
		"eu-wst-3": "the closest one is eu-west-3", "cn-nort-1": "the closest one is cn-north-1", "us-gov-wes-1": "the closest one is us-gov-west-1",
		"ap-southeast-1": "",
	} {
		for name, cause := range map[string]error{
			"no such host": &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "sts." + region + ".amazonaws.com", IsNotFound: true}},
			"hangs":        context.DeadlineExceeded,
		} {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				base := aws.Config{Region: region, HTTPClient: doFunc(func(*http.Request) (*http.Response, error) { return nil, cause })}
				w := s.web()
				if strings.HasPrefix(region, "cn") {
					w.RoleARN = strings.Replace(w.RoleARN, "arn:aws:", "arn:aws-cn:", 1)
				} else if strings.HasPrefix(region, "us-gov") {
					w.RoleARN = strings.Replace(w.RoleARN, "arn:aws:", "arn:aws-us-gov:", 1)
				}
				_, err := newChain(t, base, func(o *credentials.Options) { o.Source = w }).Retrieve(t.Context())
				says(t, err, credentials.STSUnreachable, want, "sts."+region)
				if e, _ := errors.AsType[*credentials.Error](err); want == "" && strings.Contains(strings.Join(e.Fixes, ""), "closest") {
					t.Errorf("%s, %s: %q", region, name, e.Fixes)
				}
			})
		}
	}
}

// The connection's own port differs from one to the next; the text does not.
func TestUnreachableTextIsSteady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, port := newScene(t), 40000
		base := s.cloud.Config()
		base.HTTPClient = doFunc(func(*http.Request) (*http.Response, error) {
			port++
			source, there := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 5), Port: port}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 9), Port: 443}
			return nil, &url.Error{Op: "Post", URL: "https://x/", Err: &net.OpError{Op: "read", Net: "tcp", Source: source, Addr: there, Err: errors.New("connection reset by peer")}}
		})
		var texts []string
		for range 2 {
			_, err := newChain(t, base, func(o *credentials.Options) { o.Source = s.web() }).Retrieve(t.Context())
			says(t, err, credentials.STSUnreachable, "10.0.0.9:443", "connection reset")
			texts = append(texts, err.Error())
		}
		if texts[0] != texts[1] {
			t.Errorf("two texts:\n%s\n%s", texts[0], texts[1])
		}
	})
}
