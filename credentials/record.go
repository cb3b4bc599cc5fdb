package credentials

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/crossrole/crossrole/internal/redact"
	"github.com/crossrole/crossrole/trust"
)

// record gathers what one attempt of an exchange learns beside the keys. One
// goroutine at a time writes it.
type record struct {
	operation string
	token     *trust.Token // web identity
	raw       []byte       // the token itself, to tell whether the file changed; never printed
	sent      []string     // the secrets in its requests' headers; never printed
	from      *snapshot    // the session that signs; nil at hop 1
	assumed   string       // ARN that STS says we now are

	endpoint  string        // host
	status    int           // of its last answer; 0: none
	proxy     string        // host of the proxy that a failed request went to
	requestID string        // also of a success
	sentAt    time.Time     // when the last request left, with its monotonic reading
	took      time.Duration // from the last request to its reply; 0: none was made
	date      time.Time     // the reply's own Date; zero: none
	head      []byte        // how an error reply begins, to tell who speaks there

	clean *redact.Redactor // of all these secrets, once it was needed
	keep  time.Duration    // how long keys without an expiry are kept; 0: for one use

	sending func(host string)       // called before each request; nil: not
	inspect func(body []byte) error // called with the body of each success; nil: not
}

type recordKey struct{}

func withRecord(ctx context.Context, rec *record) context.Context {
	return context.WithValue(ctx, recordKey{}, rec)
}

// recorder is an HTTP client that notes in the context's record when a request
// left and what time the server has.
type recorder struct{ inner aws.HTTPClient }

// maxReply bounds a reply: the largest true one is below 20 kB. maxHead is
// enough for an error document.
const (
	maxReply = 1 << 20
	maxHead  = 16 << 10
)

func (r recorder) Do(req *http.Request) (*http.Response, error) {
	rec, _ := req.Context().Value(recordKey{}).(*record)
	if rec == nil {
		return r.inner.Do(req)
	}
	rec.endpoint, rec.sentAt, rec.date = req.URL.Host, time.Now(), time.Time{}
	rec.status, rec.head = 0, nil
	rec.sent = append(rec.sent, secretsIn(req.Header)...)
	if rec.sending != nil {
		rec.sending(rec.endpoint)
	}
	defer func() { rec.took = time.Since(rec.sentAt) }()
	resp, err := r.inner.Do(req)
	if err != nil {
		rec.proxy = proxyOf(r.inner, req)
		return resp, err
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		rec.date = date
	}
	rec.status = resp.StatusCode
	if rec.requestID = resp.Header.Get("X-Amzn-Requestid"); rec.requestID == "" {
		rec.requestID = resp.Header.Get("X-Amz-Request-Id")
	}
	// The whole reply is read here: the SDK closes the request's body as soon as
	// Do returns, and net/http may then, over a fast link, take the connection
	// for broken while the reply is still being read.
	whole, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	rec.head = whole[:min(len(whole), maxHead)]
	if rec.inspect != nil && resp.StatusCode == http.StatusOK {
		if err := rec.inspect(whole); err != nil {
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

// directClient is the same without a proxy: the agents that hand out
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
