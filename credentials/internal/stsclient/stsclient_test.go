package stsclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/crossrole/crossrole/credentials/internal/stsclient"
	"github.com/crossrole/crossrole/internal/bareenv"
)

func TestMain(m *testing.M) { bareenv.Main(m) }

const role = "arn:aws:iam::111111111111:role/reader"

// server is an HTTP client that answers every request as STS does, and keeps what was
// asked.
type server struct {
	status int           // 0: 200
	delay  time.Duration // before each response
	asked  []*http.Request
	forms  []url.Values
}

// Do responds after s.delay, in the time of a synctest bubble.
func (s *server) Do(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	s.asked, s.forms = append(s.asked, req), append(s.forms, form)
	time.Sleep(s.delay) // tests with a delay run in synctest.Test
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: req}
	resp.Header.Set("X-Amzn-Requestid", fmt.Sprintf("request-%d", len(s.asked)))
	resp.Header.Set("Date", "Sat, 01 Jan 2000 00:00:09 GMT")
	text := fmt.Sprintf(`<%[1]sResponse><%[1]sResult><AssumedRoleUser><Arn>arn:aws:sts::111111111111:assumed-role/reader/me</Arn><AssumedRoleId>AROA:me</AssumedRoleId></AssumedRoleUser><Credentials><AccessKeyId>ASIANEW</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken><Expiration>2000-01-01T01:00:00Z</Expiration></Credentials></%[1]sResult></%[1]sResponse>`, form.Get("Action"))
	if s.status != 0 {
		resp.StatusCode = s.status
		text = `<ErrorResponse><Error><Code>InternalFailure</Code><Message>try later</Message></Error></ErrorResponse>`
	}
	resp.Body = io.NopCloser(strings.NewReader(text))
	return resp, nil
}

var hub = aws.Credentials{AccessKeyID: "ASIAHUB", SecretAccessKey: "hub", SessionToken: "hub-token"}

func assume(c *stsclient.Client, trace *stsclient.Trace) (aws.Credentials, error) {
	return c.AssumeRole(stsclient.WithTrace(context.Background(), trace), hub, role, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = "me"
	})
}

func TestAssumeRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{delay: 300 * time.Millisecond}
		c := stsclient.New(aws.Config{HTTPClient: s}, "eu-west-1", "", nil)
		var sending string
		trace := stsclient.Trace{OnSend: func(host string) { sending = host }}
		start := time.Now()
		creds, err := assume(c, &trace)
		if err != nil {
			t.Fatal(err)
		}
		if creds.AccessKeyID != "ASIANEW" || creds.AccountID != "111111111111" || !creds.CanExpire {
			t.Errorf("got session %s of account %s", creds.AccessKeyID, creds.AccountID)
		}
		const host = "sts.eu-west-1.amazonaws.com"
		if trace.Endpoint != host || sending != host || trace.Status != 200 || trace.RequestID != "request-1" || trace.Proxy != "" {
			t.Errorf("got trace %q, %d, %q, proxy %q; OnSend saw %q", trace.Endpoint, trace.Status, trace.RequestID, trace.Proxy, sending)
		}
		if want := "arn:aws:sts::111111111111:assumed-role/reader/me"; trace.AssumedARN != want {
			t.Errorf("got a session of %q, want %q", trace.AssumedARN, want)
		}
		if server := time.Date(2000, 1, 1, 0, 0, 9, 0, time.UTC); !trace.SentAt.Equal(start) || trace.Took != 300*time.Millisecond || !trace.Date.Equal(server) {
			t.Errorf("sent at %v, took %v, by the server's clock %v", trace.SentAt, trace.Took, trace.Date)
		}
		if !strings.HasPrefix(string(trace.Head), "<AssumeRoleResponse>") {
			t.Errorf("the body begins %q", trace.Head)
		}
		signature := s.asked[0].Header.Get("Authorization")
		if !strings.Contains(signature, "Credential=ASIAHUB/20000101/eu-west-1/sts/") {
			t.Errorf("signed by %q", signature)
		}
		if len(trace.Sent) != 1 || trace.Sent[0].Get("Authorization") != signature {
			t.Errorf("recorded headers %v", trace.Sent)
		}
	})
}

func TestAssumeRoleWithWebIdentity(t *testing.T) {
	s := &server{}
	c := stsclient.New(aws.Config{HTTPClient: s, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return hub, nil
	})}, "eu-west-1", "", nil)
	var trace stsclient.Trace
	_, err := c.AssumeRoleWithWebIdentity(stsclient.WithTrace(t.Context(), &trace), role, []byte("a.b.c"), func(o *stscreds.WebIdentityRoleOptions) {
		o.RoleSessionName = "me"
	})
	if err != nil {
		t.Fatal(err)
	}
	form := s.forms[0]
	if form.Get("WebIdentityToken") != "a.b.c" || form.Get("RoleArn") != role || form.Get("RoleSessionName") != "me" || form.Has("DurationSeconds") {
		t.Errorf("sent %v", form)
	}
	if got := s.asked[0].Header.Get("Authorization"); got != "" {
		t.Errorf("a request that carries a token is signed: %q", got)
	}
	if trace.AssumedARN == "" {
		t.Error("no ARN of the session")
	}
}

// Each region has its client; the user's options see which one they are for.
func TestOneClientPerRegion(t *testing.T) {
	s := &server{}
	options := func(o *sts.Options) {
		if o.Region == "us-east-1" {
			o.BaseEndpoint = aws.String("https://sts.example.com")
		}
	}
	for region, want := range map[string][2]string{
		"eu-west-1": {"", "sts.eu-west-1.amazonaws.com"},
		"us-east-1": {"https://sts.example.com", "sts.example.com"},
	} {
		c := stsclient.New(aws.Config{HTTPClient: s}, region, "", options)
		var trace stsclient.Trace
		if _, err := assume(c, &trace); err != nil {
			t.Fatal(err)
		}
		if c.Region() != region || c.Endpoint() != want[0] || trace.Endpoint != want[1] {
			t.Errorf("%s: got region %s, endpoint %q, host %s; want %q", region, c.Region(), c.Endpoint(), trace.Endpoint, want)
		}
	}
}

// fips is a configuration source, as the SDK's config package makes them.
type fips struct{}

func (fips) GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error) {
	return aws.FIPSEndpointStateEnabled, true, nil
}

// The client takes what belongs to the transport, and nothing that was set for S3.
func TestBase(t *testing.T) {
	s := &server{status: 500}
	base := aws.Config{
		HTTPClient: s, ConfigSources: []any{"no source", fips{}},
		BaseEndpoint: aws.String("https://s3.example.com"),
		Retryer:      func() aws.Retryer { t.Error("the base's retryer is asked"); return aws.NopRetryer{} },
		APIOptions:   []func(*middleware.Stack) error{func(*middleware.Stack) error { return errors.New("for S3 only") }},
	}
	c := stsclient.New(base, "us-east-1", "", func(o *sts.Options) {
		o.Retryer = nil // the SDK's own would try three times
		o.ClientLogMode = aws.LogRequestWithBody
		o.Credentials = nil
	})
	var trace stsclient.Trace
	_, err := assume(c, &trace)
	if denied, ok := errors.AsType[smithy.APIError](err); !ok || denied.ErrorCode() != "InternalFailure" {
		t.Errorf("got %v", err)
	}
	if !c.FIPS() || trace.Endpoint != "sts-fips.us-east-1.amazonaws.com" || trace.Status != 500 || len(s.asked) != 1 {
		t.Errorf("FIPS %v, %d requests, the last to %s with status %d", c.FIPS(), len(s.asked), trace.Endpoint, trace.Status)
	}
	if !strings.Contains(string(trace.Head), "try later") || trace.AssumedARN != "" {
		t.Errorf("recorded %q, session of %q", trace.Head, trace.AssumedARN)
	}
}

// An HTTP client set by the user's options is recorded too.
func TestClientOfOptions(t *testing.T) {
	s := &server{}
	c := stsclient.New(aws.Config{}, "eu-west-1", "https://sts.example.com", func(o *sts.Options) { o.HTTPClient = s })
	var trace stsclient.Trace
	if _, err := assume(c, &trace); err != nil || trace.Endpoint != "sts.example.com" || c.Endpoint() != "https://sts.example.com" {
		t.Errorf("got %v, host %q", err, trace.Endpoint)
	}
	if _, err := c.AssumeRole(t.Context(), hub, role, func(*stscreds.AssumeRoleOptions) {}); err != nil || len(s.asked) != 2 {
		t.Errorf("without a trace: %v after %d requests", err, len(s.asked))
	}
}

// A request that fails names the proxy that it went to, without the password; one to
// an agent goes to no proxy.
func TestProxy(t *testing.T) {
	proxied := &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.invalid:3128", User: url.UserPassword("me", "hush")}),
		DialContext: func(_ context.Context, _, address string) (_ net.Conn, err error) {
			return nil, errors.New("no route to " + address)
		},
	}}
	base := aws.Config{HTTPClient: proxied}
	var trace stsclient.Trace
	if _, err := assume(stsclient.New(base, "eu-west-1", "", nil), &trace); err == nil || trace.Proxy != "proxy.invalid:3128" || trace.Status != 0 {
		t.Errorf("got %v, proxy %q, status %d", err, trace.Proxy, trace.Status)
	}
	trace = stsclient.Trace{}
	req, err := http.NewRequestWithContext(stsclient.WithTrace(t.Context(), &trace), http.MethodGet, "http://169.254.170.23/v1/credentials", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := stsclient.Direct(base, nil).Do(req)
	if err == nil {
		resp.Body.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "no route to 169.254.170.23:80") || trace.Proxy != "" {
		t.Errorf("got %v, proxy %q", err, trace.Proxy)
	}
}

// inspect sees what an agent sent, and may refuse it.
func TestInspect(t *testing.T) {
	for status, want := range map[int]error{0: errUnfit, 500: nil} {
		var trace stsclient.Trace
		req, err := http.NewRequestWithContext(stsclient.WithTrace(t.Context(), &trace), http.MethodGet, "http://localhost/", strings.NewReader("Action=AssumeRole"))
		if err != nil {
			t.Fatal(err)
		}
		var seen string
		client := stsclient.Direct(aws.Config{HTTPClient: &server{status: status}}, func(body []byte) error {
			seen = string(body)
			return errUnfit
		})
		resp, err := client.Do(req)
		if !errors.Is(err, want) || (seen != "") != (want != nil) {
			t.Errorf("status %d: got %v, inspected %q", status, err, seen)
		}
		if err == nil {
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != string(trace.Head) {
				t.Errorf("the body is %q (%v), recorded was %q", body, err, trace.Head)
			}
			resp.Body.Close()
		}
	}
}

var errUnfit = errors.New("unfit")
