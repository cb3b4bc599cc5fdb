// Package stsclient sends the two STS requests of a chain and records what each
// attempt shows: which host responded, when, and with what.
//
// # How it works
//
// A [Client] asks STS of one region. stscreds builds its requests and reads the
// responses. The client never retries: a chain does, with the token read anew
// (credentials/retry.go, with the table in credentials/classify.go). It never logs,
// since a log of requests would hold tokens.
//
// [WithTrace] puts a [Trace] in the context of an attempt. The HTTP client of each
// Client, and the one that [Direct] returns, records in it every request of the
// attempt. One goroutine at a time uses a Trace.
package stsclient

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// Client asks STS of one region for sessions. One client serves all hops of a chain,
// because it learns the clock's skew. It is safe for concurrent use.
type Client struct {
	sts *sts.Client

	region, endpoint string
	fips             bool
}

// New returns a client for STS of a region; for another region, make another client.
// endpoint is a URL, or empty for the region's endpoint. user, if not nil, may change
// both. It sees o.Region, so it can choose an endpoint for each region.
//
// Of base it takes what belongs to the transport (HTTP client, FIPS, dual stack,
// logger, app ID), and nothing that was set for another service: no BaseEndpoint,
// APIOptions, ServiceOptions or Retryer.
func New(base aws.Config, region, endpoint string, user func(*sts.Options)) *Client {
	o := sts.Options{Region: region, HTTPClient: httpClient(base), Logger: base.Logger, AppID: base.AppID}
	o.EndpointOptions.UseFIPSEndpoint = configured(base, fipsSource.GetUseFIPSEndpoint)
	o.EndpointOptions.UseDualStackEndpoint = configured(base, dualStackSource.GetUseDualStackEndpoint)
	if endpoint != "" {
		o.BaseEndpoint = aws.String(endpoint)
	}
	if user != nil {
		user(&o)
	}
	if o.HTTPClient == nil {
		o.HTTPClient = httpClient(aws.Config{})
	}
	o.HTTPClient = recorder{inner: o.HTTPClient}
	o.ClientLogMode, o.Credentials, o.Retryer = 0, nil, aws.NopRetryer{}
	return &Client{
		sts: sts.New(o), region: o.Region, endpoint: aws.ToString(o.BaseEndpoint),
		fips: o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled,
	}
}

// resolve returns the URL that the SDK resolves for the client's requests; empty if it
// cannot.
func (c *Client) resolve() url.URL {
	o := c.sts.Options()
	endpoint, err := o.EndpointResolverV2.ResolveEndpoint(context.Background(), sts.EndpointParameters{
		Region:       aws.String(o.Region),
		Endpoint:     o.BaseEndpoint,
		UseFIPS:      aws.Bool(c.fips),
		UseDualStack: aws.Bool(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
	})
	if err != nil {
		return url.URL{}
	}
	return endpoint.URI
}

// Region returns the region that the client signs for.
func (c *Client) Region() string { return c.region }

// Endpoint returns the URL that was set for the client; empty: it uses the region's.
func (c *Client) Endpoint() string { return c.endpoint }

// URL returns the URL that the client asks, in one spelling: two clients with the same
// URL ask the same server. Empty: the SDK cannot resolve it.
func (c *Client) URL() string {
	u := c.resolve()
	if u.Host == "" {
		return ""
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return scheme + "://" + net.JoinHostPort(strings.TrimSuffix(host, "."), port) + strings.TrimRight(u.Path, "/")
}

// Host returns the host that the client asks; empty: the SDK cannot resolve it.
func (c *Client) Host() string {
	u := c.resolve()
	return u.Host
}

// FIPS reports whether the client uses FIPS endpoints.
func (c *Client) FIPS() bool { return c.fips }

// AssumeRoleWithWebIdentity exchanges a token for a session of a role, without a
// signature. Errors are the SDK's.
func (c *Client) AssumeRoleWithWebIdentity(ctx context.Context, roleARN string, token []byte, options func(*stscreds.WebIdentityRoleOptions)) (aws.Credentials, error) {
	return stscreds.NewWebIdentityRoleProvider(request{c, nil}, roleARN, identityToken(token), options).Retrieve(ctx)
}

// AssumeRole asks for a session of a role, signed by signer. Errors are the SDK's.
func (c *Client) AssumeRole(ctx context.Context, signer aws.Credentials, roleARN string, options func(*stscreds.AssumeRoleOptions)) (aws.Credentials, error) {
	provider := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return signer, nil })
	return stscreds.NewAssumeRoleProvider(request{c, provider}, roleARN, options).Retrieve(ctx)
}

// identityToken is a token that was read already, as stscreds wants it.
type identityToken []byte

func (t identityToken) GetIdentityToken() ([]byte, error) { return t, nil }

// request is the client for one request, as stscreds wants it. It records the session's
// ARN, which stscreds drops.
type request struct {
	*Client
	signer aws.CredentialsProvider // nil: unsigned
}

func (r request) settings(o *sts.Options) { o.Credentials, o.Retryer = r.signer, aws.NopRetryer{} }

func (r request) AssumeRoleWithWebIdentity(ctx context.Context, in *sts.AssumeRoleWithWebIdentityInput, optFns ...func(*sts.Options)) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	out, err := r.sts.AssumeRoleWithWebIdentity(ctx, in, append(optFns, r.settings)...)
	if err == nil {
		recordARN(ctx, out.AssumedRoleUser)
	}
	return out, err
}

func (r request) AssumeRole(ctx context.Context, in *sts.AssumeRoleInput, optFns ...func(*sts.Options)) (*sts.AssumeRoleOutput, error) {
	out, err := r.sts.AssumeRole(ctx, in, append(optFns, r.settings)...)
	if err == nil {
		recordARN(ctx, out.AssumedRoleUser)
	}
	return out, err
}

func recordARN(ctx context.Context, user *types.AssumedRoleUser) {
	if t := traceOf(ctx); t != nil && user != nil {
		t.AssumedARN = aws.ToString(user.Arn)
	}
}

type (
	fipsSource interface {
		GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error)
	}
	dualStackSource interface {
		GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error)
	}
)

// configured returns a setting of the sources that base was loaded from, by the method
// that the SDK's own clients call.
func configured[S, V any](base aws.Config, get func(S, context.Context) (V, bool, error)) (none V) {
	for _, source := range base.ConfigSources {
		if s, ok := source.(S); ok {
			if v, found, err := get(s, context.Background()); err == nil && found {
				return v
			}
		}
	}
	return none
}

// Trace records the requests of one attempt. If there are several, it describes the
// last one.
type Trace struct {
	AssumedARN string        // of the session, as STS reports it; empty: it does not
	Endpoint   string        // host
	Status     int           // of the response; 0: there was none
	Proxy      string        // host of the proxy that a failed request went to
	RequestID  string        // AWS's, also of a success
	SentAt     time.Time     // when the request left, with its monotonic reading
	Took       time.Duration // from request to response; 0: no request was made
	Date       time.Time     // of the response, by the server's clock; zero: it has none
	RetryAfter time.Duration // how long the response asks to wait; zero: it does not
	Head       []byte        // the beginning of the response's body

	// Sent are the headers of all requests. They hold secrets.
	Sent []http.Header

	// OnSend, if not nil, is called with the host before each request.
	OnSend func(host string)
}

type traceKey struct{}

// WithTrace returns a context whose requests are recorded in t.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

func traceOf(ctx context.Context) *Trace {
	t, _ := ctx.Value(traceKey{}).(*Trace)
	return t
}

// recorder is an HTTP client that records its requests in the context's Trace.
type recorder struct {
	inner   aws.HTTPClient
	inspect func(body []byte) error // nil: accept every response
}

const (
	maxBody = 1 << 20  // of a response; the largest real one is below 20 kB
	maxHead = 16 << 10 // enough for an error document
)

// Do implements [aws.HTTPClient].
func (r recorder) Do(req *http.Request) (*http.Response, error) {
	t := traceOf(req.Context())
	if t == nil {
		return r.inner.Do(req)
	}
	t.Endpoint, t.SentAt, t.Date, t.RetryAfter = req.URL.Host, time.Now(), time.Time{}, 0
	t.Status, t.Head = 0, nil
	t.Sent = append(t.Sent, req.Header)
	if t.OnSend != nil {
		t.OnSend(t.Endpoint)
	}
	defer func() { t.Took = time.Since(t.SentAt) }()
	resp, err := r.inner.Do(req)
	if err != nil {
		t.Proxy = proxyOf(r.inner, req)
		return resp, err
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		t.Date = date
	}
	t.RetryAfter = retryAfter(resp.Header, t.Date)
	t.Status = resp.StatusCode
	if t.RequestID = resp.Header.Get("X-Amzn-Requestid"); t.RequestID == "" {
		t.RequestID = resp.Header.Get("X-Amz-Request-Id")
	}
	// Read the complete body here: the SDK closes the request's body as soon as Do
	// returns, and net/http may then, over a fast link, take the connection for broken
	// while the response is still being read.
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	t.Head = body[:min(len(body), maxHead)]
	if r.inspect != nil && resp.StatusCode == http.StatusOK {
		if err := r.inspect(body); err != nil {
			return nil, err
		}
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// retryAfter returns how long a response asks to wait: x-amz-retry-after in milliseconds,
// or Retry-After in seconds or as a date (RFC 9110, 10.2.3), which counts from the
// response's own date. What cannot be read counts as zero.
func retryAfter(h http.Header, date time.Time) time.Duration {
	const most = 24 * time.Hour // no overflow
	if ms, err := strconv.ParseInt(h.Get("X-Amz-Retry-After"), 10, 64); err == nil && ms > 0 {
		return time.Duration(min(ms, most.Milliseconds())) * time.Millisecond
	}
	value := h.Get("Retry-After")
	if s, err := strconv.ParseInt(value, 10, 64); err == nil && s > 0 {
		return time.Duration(min(s, int64(most.Seconds()))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if date.IsZero() {
		date = time.Now()
	}
	return min(max(at.Sub(date), 0), most)
}

func httpClient(base aws.Config) aws.HTTPClient {
	if base.HTTPClient == nil {
		return awshttp.NewBuildableClient()
	}
	return base.HTTPClient
}

// Direct returns base's HTTP client without a proxy, for agents that serve credentials
// from link-local addresses. It records in the context's Trace. inspect sees the body
// of every response with status 200; its error fails the request.
func Direct(base aws.Config, inspect func(body []byte) error) aws.HTTPClient {
	client := httpClient(base)
	switch c := client.(type) {
	case *awshttp.BuildableClient:
		client = c.WithTransportOptions(func(t *http.Transport) { t.Proxy = nil })
	case *http.Client:
		transport := c.Transport
		if transport == nil {
			transport = http.DefaultTransport
		}
		if t, ok := transport.(*http.Transport); ok {
			t = t.Clone()
			t.Proxy = nil
			direct := *c
			direct.Transport = t
			client = &direct
		}
	}
	return recorder{client, inspect}
}

// proxyOf returns the host of the proxy that client uses for a request; empty if it
// uses none, or is of a type that does not say. The rest of the proxy's URL may hold a
// password.
func proxyOf(client aws.HTTPClient, req *http.Request) string {
	var choose func(*http.Request) (*url.URL, error)
	switch c := client.(type) {
	case *awshttp.BuildableClient:
		choose = c.GetTransport().Proxy
	case *http.Client:
		if c.Transport == nil {
			choose = http.ProxyFromEnvironment
		} else if t, ok := c.Transport.(*http.Transport); ok {
			choose = t.Proxy
		}
	}
	if choose == nil {
		return ""
	}
	proxy, err := choose(req)
	if err != nil || proxy == nil {
		return ""
	}
	return proxy.Host
}
