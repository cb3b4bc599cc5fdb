package credentials

// The STS client of a chain, and the HTTP client below it, which records each request
// in the attempt that it belongs to.

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/crossrole/crossrole/internal/redact"
	"github.com/crossrole/crossrole/trust"
)

// stsClient is the one STS client of a chain, as stscreds wants it. It notes
// what stscreds drops (who STS says we are) and does without the SDK's retries:
// the session retries by its own table, with the token read anew.
//
// It is one client for all hops, because the client learns the clock's skew.
type stsClient struct {
	client *sts.Client
	stsSettings
}

// stsSettings are the settings of an STS client that errors depend on.
type stsSettings struct {
	region   string
	endpoint string // an endpoint of the user's own; empty: the region's
	fips     bool
}

// newSTSClient takes of base what belongs to the transport, and nothing that
// was set for another service: no BaseEndpoint, ConfigSources, APIOptions,
// ServiceOptions or Retryer. ClientLogMode would dump tokens.
func newSTSClient(r *resolver) *stsClient {
	o := sts.Options{
		Region:     r.region,
		HTTPClient: httpClient(r.base),
		Logger:     r.base.Logger,
		AppID:      r.base.AppID,
	}
	o.EndpointOptions.UseFIPSEndpoint = fipsOf(r.base)
	o.EndpointOptions.UseDualStackEndpoint = dualStackOf(r.base)
	if r.stsEndpoint != "" {
		o.BaseEndpoint = aws.String(r.stsEndpoint)
	}
	if r.options.STS != nil {
		r.options.STS(&o)
		// A client set there records too.
		if _, ok := o.HTTPClient.(recorder); !ok && o.HTTPClient != nil {
			o.HTTPClient = recorder{o.HTTPClient}
		}
	}
	o.ClientLogMode = 0
	o.Credentials = nil
	o.Retryer = aws.NopRetryer{}
	c := &stsClient{stsSettings: stsSettings{
		region:   o.Region,
		fips:     o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled,
		endpoint: aws.ToString(o.BaseEndpoint),
	}}
	if c.endpoint != "" && c.endpoint != r.stsEndpoint {
		r.checkEndpoint("BaseEndpoint of Options.STS", c.endpoint)
	}
	if o.Region != r.region && !isRegion(o.Region) {
		r.addf("Region of Options.STS", "%q is not the name of a region; want one like us-east-1, of which %s is the closest", o.Region, closestRegion(o.Region))
	} else if o.Region != r.region {
		r.partition(partitionOf(o.Region), "Region "+o.Region+" of Options.STS")
	}
	if c.fips && c.endpoint != "" {
		r.addf("STS endpoint", "FIPS is on and an endpoint is set, which the SDK refuses; give the endpoint's FIPS host and switch FIPS off in Options.STS")
	}
	c.client = sts.New(o)
	return c
}

// hopClient is the STS client as one attempt of one hop sees it.
type hopClient struct {
	*stsClient
	att    *attempt
	signer aws.CredentialsProvider // nil: unsigned
}

func (c hopClient) settings(o *sts.Options) {
	o.Credentials = c.signer
	o.Retryer = aws.NopRetryer{}
}

func (c hopClient) AssumeRoleWithWebIdentity(ctx context.Context, in *sts.AssumeRoleWithWebIdentityInput, optFns ...func(*sts.Options)) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	out, err := c.client.AssumeRoleWithWebIdentity(ctx, in, append(optFns, c.settings)...)
	if err == nil {
		c.att.assumedARN = assumedARN(out.AssumedRoleUser)
	}
	return out, err
}

func (c hopClient) AssumeRole(ctx context.Context, in *sts.AssumeRoleInput, optFns ...func(*sts.Options)) (*sts.AssumeRoleOutput, error) {
	out, err := c.client.AssumeRole(ctx, in, append(optFns, c.settings)...)
	if err == nil {
		c.att.assumedARN = assumedARN(out.AssumedRoleUser)
	}
	return out, err
}

func assumedARN(u *types.AssumedRoleUser) string {
	if u == nil {
		return ""
	}
	return aws.ToString(u.Arn)
}

// fipsOf and dualStackOf ask the sources that base was loaded from, through the
// methods that the SDK's own clients ask.
func fipsOf(base aws.Config) aws.FIPSEndpointState {
	for _, source := range base.ConfigSources {
		if s, ok := source.(interface {
			GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error)
		}); ok {
			if v, found, err := s.GetUseFIPSEndpoint(context.Background()); err == nil && found {
				return v
			}
		}
	}
	return aws.FIPSEndpointStateUnset
}

func dualStackOf(base aws.Config) aws.DualStackEndpointState {
	for _, source := range base.ConfigSources {
		if s, ok := source.(interface {
			GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error)
		}); ok {
			if v, found, err := s.GetUseDualStackEndpoint(context.Background()); err == nil && found {
				return v
			}
		}
	}
	return aws.DualStackEndpointStateUnset
}

// attempt records what one attempt of an exchange learns in addition to the keys. One
// goroutine at a time writes it.
type attempt struct {
	operation  string
	token      *trust.Token // web identity
	raw        []byte       // the token itself, to see whether the file changed; never printed
	sent       []string     // the secrets in its requests' headers; never printed
	signedBy   *snapshot    // the session that signs; nil at hop 1
	assumedARN string       // ARN that STS says we now are

	endpoint  string        // host
	status    int           // of its last response; 0: none
	proxy     string        // host of the proxy that a failed request went to
	requestID string        // also of a success
	sentAt    time.Time     // when the last request left, with its monotonic reading
	took      time.Duration // from the last request to its reply; 0: none was made
	date      time.Time     // the reply's own Date; zero: none
	head      []byte        // beginning of an error response, to identify the server

	clean *redact.Redactor // of all these secrets, once it was needed
	keep  time.Duration    // how long keys without an expiry are kept; 0: for one use

	sending func(host string)       // called before each request; nil: not
	inspect func(body []byte) error // called with the body of each success; nil: not
}

type attemptKey struct{}

func withAttempt(ctx context.Context, att *attempt) context.Context {
	return context.WithValue(ctx, attemptKey{}, att)
}

// recorder is an HTTP client that notes in the context's attempt when a request
// left and what time the server has.
type recorder struct{ inner aws.HTTPClient }

// maxReply bounds a reply: the largest true one is below 20 kB. maxHead is
// enough for an error document.
const (
	maxReply = 1 << 20
	maxHead  = 16 << 10
)

func (r recorder) Do(req *http.Request) (*http.Response, error) {
	att, _ := req.Context().Value(attemptKey{}).(*attempt)
	if att == nil {
		return r.inner.Do(req)
	}
	att.endpoint, att.sentAt, att.date = req.URL.Host, time.Now(), time.Time{}
	att.status, att.head = 0, nil
	att.sent = append(att.sent, secretsIn(req.Header)...)
	if att.sending != nil {
		att.sending(att.endpoint)
	}
	defer func() { att.took = time.Since(att.sentAt) }()
	resp, err := r.inner.Do(req)
	if err != nil {
		att.proxy = proxyOf(r.inner, req)
		return resp, err
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		att.date = date
	}
	att.status = resp.StatusCode
	if att.requestID = resp.Header.Get("X-Amzn-Requestid"); att.requestID == "" {
		att.requestID = resp.Header.Get("X-Amz-Request-Id")
	}
	// The whole reply is read here: the SDK closes the request's body as soon as
	// Do returns, and net/http may then, over a fast link, take the connection
	// for broken while the reply is still being read.
	whole, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	att.head = whole[:min(len(whole), maxHead)]
	if att.inspect != nil && resp.StatusCode == http.StatusOK {
		if err := att.inspect(whole); err != nil {
			return nil, err
		}
	}
	resp.Body = io.NopCloser(bytes.NewReader(whole))
	return resp, nil
}

// httpClient is the base's client, recording.
func httpClient(base aws.Config) recorder {
	if base.HTTPClient == nil {
		return recorder{awshttp.NewBuildableClient()}
	}
	return recorder{base.HTTPClient}
}

// directClient is the same without a proxy: the agents that serve
// credentials have link-local addresses.
func directClient(base aws.Config) recorder {
	c := httpClient(base)
	switch inner := c.inner.(type) {
	case *awshttp.BuildableClient:
		c.inner = inner.WithTransportOptions(func(t *http.Transport) { t.Proxy = nil })
	case *http.Client:
		transport := inner.Transport
		if transport == nil {
			transport = http.DefaultTransport
		}
		if t, ok := transport.(*http.Transport); ok {
			t = t.Clone()
			t.Proxy = nil
			direct := *inner
			direct.Transport = t
			c.inner = &direct
		}
	}
	return c
}

// proxyOf is the host of the proxy that client would use for a request; empty
// if it uses none, or is of a kind that does not say. The user information in
// a proxy's URL is left out: it is a password.
func proxyOf(client aws.HTTPClient, request *http.Request) string {
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
	proxy, err := choose(request)
	if err != nil || proxy == nil {
		return ""
	}
	return proxy.Host
}
