package credentials_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// hosts is an HTTP client that notes which host was asked by which service. It
// lets requests to loopback through to a socket, all others to the cloud.
type hosts struct {
	inner aws.HTTPClient

	mu    sync.Mutex
	asked map[string][]string // by "sts" or "s3"
}

func (h *hosts) Do(r *http.Request) (*http.Response, error) {
	service := "s3"
	if r.Method == http.MethodPost && r.URL.Path == "/" {
		service = "sts"
	}
	h.mu.Lock()
	if h.asked == nil {
		h.asked = map[string][]string{}
	}
	h.asked[service] = append(h.asked[service], r.URL.Host)
	h.mu.Unlock()
	if r.URL.Hostname() == "127.0.0.1" {
		return http.DefaultClient.Do(r)
	}
	return h.inner.Do(r)
}

// A setting for another service never reaches STS.
func TestOtherServicesSettingsStayAway(t *testing.T) {
	s := newScene(t)
	t.Setenv("AWS_ENDPOINT_URL", "https://store.internal")
	t.Setenv("AWS_ENDPOINT_URL_S3", "https://store.internal")
	client := &hosts{inner: s.cloud.Config().HTTPClient}
	base := s.cloud.Config()
	base.HTTPClient = client
	base.BaseEndpoint = aws.String("https://store.internal")
	var reached []string
	var mu sync.Mutex
	reach := func(what, service string) {
		mu.Lock()
		defer mu.Unlock()
		reached = append(reached, what+" at "+service)
	}
	base.APIOptions = []func(*middleware.Stack) error{func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("probe", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			reach("APIOptions", middleware.GetServiceID(ctx))
			return next.HandleInitialize(ctx, in)
		}), middleware.Before)
	}}
	base.Retryer = func() aws.Retryer { reach("Retryer", "all"); return retry.NewStandard() }
	base.ServiceOptions = []func(string, any){func(service string, _ any) { reach("ServiceOptions", service) }}

	chain := newChain(t, base, func(o *credentials.Options) {
		o.Source = s.web()
		credentials.Assume(s.target.ARN())(o)
	})
	_, err := chain.Retrieve(t.Context())
	check(t, err)
	if len(reached) > 0 {
		t.Errorf("settings of base reached STS: %v", reached)
	}
	for _, host := range client.asked["sts"] {
		if host != "sts.us-east-1.amazonaws.com" {
			t.Errorf("STS was asked at %s", host)
		}
	}
	// They are still there for the clients that they were made for.
	_, err = fetch(t.Context(), chain.Config())
	if err == nil || len(client.asked["s3"]) == 0 || !strings.HasSuffix(client.asked["s3"][0], "store.internal") || len(reached) == 0 {
		t.Errorf("S3 went to %v with %v (%v), want base's own settings", client.asked["s3"], reached, err)
	}
}

func TestSTSEndpointReachesSTSOnly(t *testing.T) {
	for name, set := range map[string]func(t *testing.T, own string) func(*sts.Options){
		"variable": func(t *testing.T, own string) func(*sts.Options) {
			t.Setenv("AWS_ENDPOINT_URL_STS", own)
			return nil
		},
		"option": func(t *testing.T, own string) func(*sts.Options) {
			t.Setenv("AWS_ENDPOINT_URL_STS", "https://not.this.one")
			return func(o *sts.Options) { o.BaseEndpoint = aws.String(own) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			own := s.cloud.Serve(t)
			options := set(t, own)
			client := &hosts{inner: s.cloud.Config().HTTPClient}
			base := s.cloud.Config()
			base.HTTPClient = client
			chain := newChain(t, base, func(o *credentials.Options) {
				o.Source, o.STS = s.web(), options
				credentials.Assume(s.target.ARN())(o)
			})
			_, err := fetch(t.Context(), chain.Config())
			check(t, err)
			host := strings.TrimPrefix(own, "http://")
			if got := strings.Join(client.asked["sts"], " "); got != host+" "+host {
				t.Errorf("STS was asked at %s, want both hops at %s", got, host)
			}
			if got := strings.Join(client.asked["s3"], " "); got != "pics.s3.us-east-1.amazonaws.com" {
				t.Errorf("S3 was asked at %s", got)
			}
		})
	}
}

// STS is regional, whatever the variable of other SDKs says, and its host has
// the partition's name.
func TestSTSHostIsTheRegions(t *testing.T) {
	for _, row := range []struct{ region, partition, legacy, host string }{
		{"eu-west-1", "aws", "", "sts.eu-west-1.amazonaws.com"},
		{"eu-west-1", "aws", "legacy", "sts.eu-west-1.amazonaws.com"},
		{"us-east-1", "aws", "legacy", "sts.us-east-1.amazonaws.com"},
		{"cn-north-1", "aws-cn", "", "sts.cn-north-1.amazonaws.com.cn"},
		{"us-gov-west-1", "aws-us-gov", "", "sts.us-gov-west-1.amazonaws.com"},
	} {
		t.Run(row.region+row.legacy, func(t *testing.T) {
			t.Setenv("AWS_STS_REGIONAL_ENDPOINTS", row.legacy)
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				client := &hosts{inner: s.cloud.Config().HTTPClient}
				base := s.cloud.Config()
				base.HTTPClient, base.Region = client, row.region
				partition := func(arn string) string { return strings.Replace(arn, ":aws:", ":"+row.partition+":", 1) }
				chain := newChain(t, base, func(o *credentials.Options) {
					w := s.web()
					w.RoleARN = partition(w.RoleARN)
					o.Source = w
					credentials.Assume(partition(s.target.ARN()))(o)
				})
				// The double knows the commercial partition only; which host was
				// asked is what counts here.
				_, err := chain.Retrieve(t.Context())
				if row.partition == "aws" {
					check(t, err)
				}
				if len(client.asked["sts"]) == 0 {
					t.Fatalf("no server was asked: %v", err)
				}
				for _, host := range client.asked["sts"] {
					if host != row.host {
						t.Errorf("asked %s, want %s", host, row.host)
					}
				}
			})
		})
	}
}

// Another service may respond at the STS endpoint.
func TestEndpointDoesNotSpeakSTS(t *testing.T) {
	for _, row := range []struct {
		name   string
		status int
		body   string
		shown  string
	}{
		{"page with 200", 200, "<html>\n<body>\n  Welcome\tto the   intranet</body></html>", "<html>"},
		{"page with 400", 400, "<html><body>Bad request", "<html><body>Bad request"},
		{"page with 403", 403, "<html><body>Blocked by policy", "<html><body>Blocked by policy"},
		{"S3 with 400", 400, `<?xml version="1.0"?><Error><Code>InvalidRequest</Code><Message>Unknown</Message></Error>`, "<Error><Code>InvalidRequest</Code>"},
		{"S3 with 405", 405, `<Error><Code>MethodNotAllowed</Code></Error>`, "<Error><Code>MethodNotAllowed</Code>"},
		{"JSON with 200", 200, `{"status":"ok"}`, `(not shown)`},
		{"JSON with 404", 404, `{"error":"no such route"}`, `no such route`},
		{"text with 404", 404, "404 page not found\n", "404 page not found"},
		{"control characters", 404, "\x1b[31mred\x00", `\x1b[31mred\x00`},
	} {
		for _, operation := range []string{"AssumeRoleWithWebIdentity", "AssumeRole"} {
			t.Run(row.name+" "+operation, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newScene(t)
					s.cloud.Fault(awstest.Fault{Operation: operation, Status: row.status, Body: row.body + strings.Repeat(" padding", 1000)})
					_, err := s.hubChain(t).Retrieve(t.Context())
					if !errors.Is(err, credentials.STSUnreachable) {
						t.Fatalf("got %v, want %v", err, credentials.STSUnreachable)
					}
					for _, part := range []string{"sts.us-east-1.amazonaws.com does not speak STS", row.shown, operation, "AWS_ENDPOINT_URL_STS"} {
						if !strings.Contains(err.Error(), part) {
							t.Errorf("the message lacks %q:\n%v", part, err)
						}
					}
					if n := strings.Count(err.Error(), "padding"); n > 20 {
						t.Errorf("the message shows much of the response:\n%v", err)
					}
				})
			})
		}
	}
}

// The standard variable that ignores configured endpoints counts for STS, too.
func TestConfiguredEndpointIsIgnored(t *testing.T) {
	for value, host := range map[string]string{
		"": "sts.example", "false": "sts.example", "FALSE": "sts.example", "true": "sts.us-east-1.amazonaws.com", "True": "sts.us-east-1.amazonaws.com",
	} {
		t.Setenv("AWS_ENDPOINT_URL_STS", "https://sts.example")
		t.Setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", value)
		s := newScene(t)
		asked := ""
		base := s.cloud.Config()
		base.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
			asked = r.URL.Host
			return answer(403, "text/xml", "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"), nil
		})
		chain := newChain(t, base, func(o *credentials.Options) { o.Source = s.web() })
		if _, err := chain.Retrieve(t.Context()); err == nil || asked != host {
			t.Errorf("%q: asked %q, want %q (%v)", value, asked, host, err)
		}
	}
	t.Setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "yes")
	s := newScene(t)
	_, err := credentials.New(s.cloud.Config(), func(o *credentials.Options) { o.Source = s.web() })
	says(t, err, credentials.ConfigInvalid, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "yes", "true or false")
}
