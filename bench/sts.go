package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// condition is the state of an STS.
type condition int32

const (
	working     condition = iota
	unavailable           // answers 503
	refusing              // refuses connections
	silent                // accepts requests and never responds
	closed                // answers 403, which no contender retries: the measurement is over
)

// stsServer is an STS without a network that checks nothing: every caller gets a
// session. It is too cheap to affect the measurements.
type stsServer struct {
	delay time.Duration // of every response
	life  time.Duration // of the sessions
	token string        // of the sessions

	condition atomic.Int32
	only      string        // the operation that is silent; empty: both
	away      string        // the host that is in the condition, while others work; empty: all
	over      chan struct{} // closed by close, which ends silent requests

	quota    *quota    // nil: none
	free     string    // the operation that does not count against the quota; empty: none
	timeline *timeline // nil: none is kept

	requests  atomic.Int64 // received
	granted   atomic.Int64 // sessions of the last role
	grantedAt atomic.Int64 // when the latest of them was granted, in ns
	atHome    atomic.Int64 // requests received by the host of the pods' own region
}

func newSTS(delay, life time.Duration) *stsServer {
	return &stsServer{delay: delay, life: life, token: "session", over: make(chan struct{})}
}

func (s *stsServer) set(c condition) { s.condition.Store(int32(c)) }

// close releases all callers that are still waiting.
func (s *stsServer) close() {
	s.set(closed)
	close(s.over)
}

// client returns an HTTP client that can reach only this server.
func (s *stsServer) client() *http.Client { return &http.Client{Transport: s} }

// RoundTrip implements http.RoundTripper.
func (s *stsServer) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err // the caller has canceled: nothing is sent
	}
	s.requests.Add(1)
	if r.URL.Host == homeHost {
		s.atHome.Add(1)
	}
	s.timeline.note()
	now := condition(s.condition.Load())
	raw, err := readBody(r)
	if err != nil {
		return nil, err
	}
	if s.away != "" && r.URL.Host != s.away {
		now = working
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, err
	}
	action := form.Get("Action")
	if now == silent && s.only != "" && s.only != action {
		now = working
	}
	wait := time.NewTimer(s.delay)
	defer wait.Stop()
	answer := wait.C
	switch now {
	case refusing:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	case silent:
		answer = nil
	}
	select {
	case <-answer:
	case <-s.over:
		now = closed
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	switch now {
	case unavailable:
		return reply(r, http.StatusServiceUnavailable, refusal("Receiver", "ServiceUnavailable")), nil
	case closed:
		return reply(r, http.StatusForbidden, refusal("Sender", "AccessDenied")), nil
	}
	if action != s.free && !s.quota.take() {
		return reply(r, http.StatusBadRequest, refusal("Sender", "Throttling")), nil
	}
	if r.URL.Host == agentHost {
		return s.agentKeys(r)
	}
	return reply(r, http.StatusOK, s.session(action, form.Get("RoleArn"), form.Get("RoleSessionName"))), nil
}

// readBody reads and closes the body of a request, if it has one.
func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	raw, err := io.ReadAll(r.Body)
	return raw, errors.Join(err, r.Body.Close())
}

// session writes the response to either operation. As in STS, times are whole seconds.
func (s *stsServer) session(action, role, name string) string {
	n := strconv.FormatInt(s.requests.Load(), 10)
	if action == "AssumeRole" {
		s.granted.Add(1)
		s.grantedAt.Store(time.Now().UnixNano())
	}
	account, path, _ := strings.Cut(strings.TrimPrefix(role, "arn:aws:iam::"), ":role/")
	return fmt.Sprintf(`<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%[1]sResult>
<AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:%[4]s</AssumedRoleId><Arn>arn:aws:sts::%[2]s:assumed-role/%[3]s/%[4]s</Arn></AssumedRoleUser>
<Credentials><AccessKeyId>ASIA%[5]s</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>%[7]s</SessionToken><Expiration>%[6]s</Expiration></Credentials>
</%[1]sResult><ResponseMetadata><RequestId>%[5]s</RequestId></ResponseMetadata></%[1]sResponse>`,
		action, account, path, name, n, time.Now().Add(s.life).UTC().Format(time.RFC3339), s.token)
}

func refusal(side, code string) string {
	return fmt.Sprintf(`<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>%s</Type><Code>%s</Code><Message>%[2]s</Message></Error><RequestId>0</RequestId></ErrorResponse>`, side, code)
}

func reply(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"text/xml"}, "Date": {time.Now().UTC().Format(http.TimeFormat)}},
		Body:          io.NopCloser(bytes.NewReader([]byte(body))),
		ContentLength: int64(len(body)), Request: r,
	}
}
