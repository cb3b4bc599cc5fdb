package credentials

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/crossrole/crossrole/trust"
)

// record gathers what one attempt of an exchange learns beside the keys. One
// goroutine at a time writes it.
type record struct {
	operation string
	token     *trust.Token // web identity
	raw       []byte       // the token itself, to tell whether the file changed; never printed
	from      *snapshot    // the session that signs; nil at hop 1
	assumed   string       // ARN that STS says we now are

	endpoint  string    // host
	status    int       // of its last answer; 0: none
	requestID string    // also of a success
	sentAt    time.Time // when the last request left, with its monotonic reading
	date      time.Time // the reply's own Date; zero: none
	head      []byte    // how an error reply begins, to tell who speaks there
}

type recordKey struct{}

func withRecord(ctx context.Context, rec *record) context.Context {
	return context.WithValue(ctx, recordKey{}, rec)
}

// recorder is an HTTP client that notes in the context's record when a request
// left and what time the server has.
type recorder struct{ inner aws.HTTPClient }

// maxReply bounds a reply: the largest true one is below 20 kB.
const maxReply = 1 << 20

func (r recorder) Do(req *http.Request) (*http.Response, error) {
	rec, _ := req.Context().Value(recordKey{}).(*record)
	if rec == nil {
		return r.inner.Do(req)
	}
	rec.endpoint, rec.sentAt, rec.date = req.URL.Host, time.Now(), time.Time{}
	rec.status, rec.head = 0, nil
	resp, err := r.inner.Do(req)
	if err != nil {
		return resp, err
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		rec.date = date
	}
	rec.status = resp.StatusCode
	rec.requestID = resp.Header.Get("X-Amzn-Requestid")
	body := &headReader{Reader: io.LimitReader(resp.Body, maxReply), Closer: resp.Body, rec: rec}
	resp.Body = body
	return resp, nil
}

// headReader keeps the first bytes that go through it.
type headReader struct {
	io.Reader
	io.Closer
	rec *record
}

// maxHead is enough for an error document.
const maxHead = 2048

func (r *headReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if room := maxHead - len(r.rec.head); room > 0 {
		r.rec.head = append(r.rec.head, p[:min(n, room)]...)
	}
	return n, err
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
