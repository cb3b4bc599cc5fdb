package credentials_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// ledger is an HTTP client that keeps the true end of every session whose
// usable reply went through it, by the server's own words and its own clock.
type ledger struct {
	inner aws.HTTPClient
	mu    sync.Mutex
	ends  map[string]sessionEnd
}

// sessionEnd is the end of a session. The chain counts a life from the request's
// sending, and promises no more than that; the true end is later by what the
// reply took.
type sessionEnd struct{ actual, promised time.Time }

func newLedger(inner aws.HTTPClient) *ledger {
	return &ledger{inner: inner, ends: map[string]sessionEnd{}}
}

func (l *ledger) end(key string) (sessionEnd, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end, ok := l.ends[key]
	return end, ok
}

func (l *ledger) Do(r *http.Request) (*http.Response, error) {
	sent := time.Now()
	resp, err := l.inner.Do(r)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	type keys struct{ AccessKeyId, Expiration string } //nolint:revive // AWS's spelling
	var reply struct {
		Web    keys `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
		Assume keys `xml:"AssumeRoleResult>Credentials"`
	}
	if xml.Unmarshal(body, &reply) == nil {
		l.note(sent, reply.Web.AccessKeyId, reply.Web.Expiration, resp.Header.Get("Date"))
		l.note(sent, reply.Assume.AccessKeyId, reply.Assume.Expiration, resp.Header.Get("Date"))
	}
	return resp, nil
}

func (l *ledger) note(sent time.Time, key, expiration, date string) {
	end, err1 := time.Parse(time.RFC3339, expiration)
	server, err2 := http.ParseTime(date)
	if key == "" || err1 != nil || err2 != nil || !end.After(server) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends[key] = sessionEnd{actual: time.Now().Add(end.Sub(server)), promised: sent.Add(end.Sub(server))}
}
