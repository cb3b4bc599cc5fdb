package credentials_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

const agentEndpoint = "http://169.254.170.23/v1/credentials"

// agent is the EKS Pod Identity agent of a node. It gives sessions of the hub,
// which it gets from the cloud as the real one does from EKS.
type agent struct {
	scene *scene
	token string                // the projected token that it accepts
	reply func() *http.Response // instead of the session, if set
	down  bool
	asked []*http.Request
}

// pod gives the scene's pod an agent in place of its web identity.
func (s *scene) withAgent(t *testing.T) (*agent, aws.Config, credentials.PodIdentity) {
	t.Helper()
	a := &agent{scene: s, token: "agent-token-1"}
	source := credentials.PodIdentity{Endpoint: agentEndpoint, TokenFile: filepath.Join(t.TempDir(), "eks-pod-identity-token")}
	write(t, source.TokenFile, a.token+"\n")
	base := s.cloud.Config()
	cloud := base.HTTPClient
	base.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "169.254.170.23" {
			return a.answer(r)
		}
		return cloud.Do(r)
	})
	return a, base, source
}

func (a *agent) answer(r *http.Request) (*http.Response, error) {
	a.asked = append(a.asked, r)
	switch {
	case a.down:
		return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}}
	case a.reply != nil:
		return a.reply(), nil
	case r.Header.Get("Authorization") != a.token:
		return answer(http.StatusBadRequest, "text/plain", "[3f4e]: (InvalidTokenException): the token "+r.Header.Get("Authorization")+" is not this pod's, fault: client"), nil
	}
	creds := a.scene.hubSession()
	body, err := json.Marshal(map[string]any{
		"AccessKeyId": creds.AccessKeyID, "SecretAccessKey": creds.SecretAccessKey, "Token": creds.SessionToken,
		"AccountId": creds.AccountID, "Expiration": creds.Expires.UTC(),
	})
	if err != nil {
		return nil, err
	}
	return answer(http.StatusOK, "application/json", string(body)), nil
}

func answer(status int, contentType, body string) *http.Response {
	return &http.Response{
		StatusCode: status,
		Header:     http.Header{"Content-Type": {contentType}, "Date": {time.Now().UTC().Format(http.TimeFormat)}},
		Body:       io.NopCloser(strings.NewReader(body)),
	}
}

// hubSession is a session of the hub by way of a chain of its own.
func (s *scene) hubSession() aws.Credentials {
	chain, err := credentials.New(s.cloud.Config(), func(o *credentials.Options) { o.Source = s.web() })
	if err != nil {
		panic(err)
	}
	creds, err := chain.Retrieve(context.Background())
	if err != nil {
		panic(err)
	}
	return creds
}

func TestPodIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		agent, base, source := s.withAgent(t)
		chain := newChain(t, base, credentials.Assume(s.target.ARN()), func(o *credentials.Options) {
			o.Source, o.ExpectedAccount = source, s.shared.ID()
		})
		for _, token := range []string{"agent-token-1", "agent-token-2"} {
			agent.token = token
			write(t, source.TokenFile, token)
			if got, err := fetch(t.Context(), chain.Config()); err != nil || got != photo {
				t.Fatalf("got %q, %v", got, err)
			}
			last := agent.asked[len(agent.asked)-1]
			if got := last.Header.Get("Authorization"); got != token || last.URL.String() != agentEndpoint {
				t.Errorf("asked %s with %q, want %s with the file's %q", last.URL, got, agentEndpoint, token)
			}
			time.Sleep(2 * time.Hour) // the next token is read by the next refresh
		}
		if len(agent.asked) != 2 {
			t.Errorf("the agent was asked %d times, want twice", len(agent.asked))
		}
		if got, want := fmt.Sprint(chain.ProviderSources()), fmt.Sprint([]aws.CredentialSource{aws.CredentialSourceHTTP, aws.CredentialSourceSTSAssumeRole}); got != want {
			t.Errorf("sources %s, want %s", got, want)
		}
	})
}

// Without a role the agent's own session is the last one.
func TestPodIdentityAlone(t *testing.T) {
	s := newScene(t)
	_, base, source := s.withAgent(t)
	for _, account := range []string{"", s.dev.ID(), s.shared.ID()} {
		chain := newChain(t, base, func(o *credentials.Options) { o.Source, o.ExpectedAccount = source, account })
		creds, err := chain.Retrieve(t.Context())
		if account == s.shared.ID() {
			if !errors.Is(err, credentials.WrongSession) || !strings.Contains(err.Error(), "expected a session of account "+s.shared.ID()+", got one of "+s.dev.ID()) {
				t.Errorf("got %v, want %v with both accounts", err, credentials.WrongSession)
			}
			continue
		}
		if err != nil || creds.AccountID != s.dev.ID() {
			t.Errorf("account %q, %v; want the agent's %s", creds.AccountID, err, s.dev.ID())
		}
	}
}

func TestPodIdentityFails(t *testing.T) {
	for _, row := range []struct {
		name  string
		spoil func(*testing.T, *agent, *credentials.PodIdentity)
		kind  credentials.Kind
		is    error
		asked int
		want  []string
	}{
		{
			name:  "agent down",
			spoil: func(_ *testing.T, a *agent, _ *credentials.PodIdentity) { a.down = true },
			kind:  credentials.STSUnreachable, asked: -1,
			want: []string{"at 169.254.170.23", "connection refused", "eks-pod-identity-agent"},
		},
		{
			name:  "no token file",
			spoil: func(t *testing.T, _ *agent, p *credentials.PodIdentity) { check(t, os.Remove(p.TokenFile)) },
			kind:  credentials.TokenUnreadable, is: fs.ErrNotExist,
			want: []string{"read token file", "eks-pod-identity-token", "no such file"},
		},
		{
			name:  "empty token file",
			spoil: func(t *testing.T, _ *agent, p *credentials.PodIdentity) { write(t, p.TokenFile, "\n") },
			kind:  credentials.TokenMalformed,
			want:  []string{"eks-pod-identity-token", "empty"},
		},
		{
			name:  "token of two lines",
			spoil: func(t *testing.T, _ *agent, p *credentials.PodIdentity) { write(t, p.TokenFile, "a\r\nX-Evil: b") },
			kind:  credentials.TokenMalformed,
			want:  []string{"eks-pod-identity-token", "lines"},
		},
		{
			name: "token file too large",
			spoil: func(t *testing.T, _ *agent, p *credentials.PodIdentity) {
				write(t, p.TokenFile, strings.Repeat("x", 1<<20))
			},
			kind: credentials.TokenMalformed,
			want: []string{"eks-pod-identity-token", "larger than 20000 bytes"},
		},
		{
			name:  "refused",
			spoil: func(t *testing.T, a *agent, _ *credentials.PodIdentity) { a.token = "another" },
			kind:  credentials.TokenRejected, asked: 1,
			want: []string{"InvalidTokenException", "pod identity association"},
		},
		{
			name: "refused with a code",
			spoil: func(_ *testing.T, a *agent, _ *credentials.PodIdentity) {
				a.reply = func() *http.Response {
					return answer(403, "application/json", `{"code":"AccessDeniedException","message":"EKS may not assume the role"}`)
				}
			},
			kind: credentials.AssumeDenied, asked: 1,
			want: []string{"AccessDeniedException", "EKS may not assume the role", "pods.eks.amazonaws.com"},
		},
		{
			name: "throttled",
			spoil: func(_ *testing.T, a *agent, _ *credentials.PodIdentity) {
				a.reply = func() *http.Response { return answer(429, "text/plain", "slow down") }
			},
			kind: credentials.Throttled, asked: -1,
			want: []string{"HTTP 429", "slow down"},
		},
		{
			name: "broken inside",
			spoil: func(_ *testing.T, a *agent, _ *credentials.PodIdentity) {
				a.reply = func() *http.Response { return answer(500, "text/plain", "internal error") }
			},
			kind: credentials.STSUnreachable, asked: -1,
			want: []string{"HTTP 500", "gives no credentials", "internal error"},
		},
		{
			name: "no keys",
			spoil: func(_ *testing.T, a *agent, _ *credentials.PodIdentity) {
				a.reply = func() *http.Response { return answer(200, "application/json", "{}") }
			},
			kind: credentials.WrongSession, asked: 1,
			want: []string{"no keys"},
		},
		{
			name: "null",
			spoil: func(_ *testing.T, a *agent, _ *credentials.PodIdentity) {
				a.reply = func() *http.Response { return answer(200, "application/json", "null") }
			},
			kind: credentials.Unknown, asked: 1,
			want: []string{"panic"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				agent, base, source := s.withAgent(t)
				row.spoil(t, agent, &source)
				chain := newChain(t, base, credentials.Assume(s.target.ARN()), func(o *credentials.Options) { o.Source = source })
				_, err := chain.Retrieve(t.Context())
				if !errors.Is(err, row.kind) {
					t.Fatalf("got %v, want %v", err, row.kind)
				}
				if row.is != nil && !errors.Is(err, row.is) {
					t.Errorf("errors.Is(err, %v) is false", row.is)
				}
				says(t, err, row.kind, append(row.want, "hop 1 of 2")...)
				if strings.Contains(err.Error(), "agent-token-1") {
					t.Errorf("the message shows the token:\n%v", err)
				}
				if row.asked >= 0 && len(agent.asked) != row.asked {
					t.Errorf("the agent was asked %d times, want %d", len(agent.asked), row.asked)
				}
				if calls := s.cloud.Calls(); len(calls) > 0 {
					t.Errorf("another server was asked: %v", calls)
				}
			})
		})
	}
}

// Only the agents' addresses and loopback may be asked without TLS; what the
// URL holds in addition to the host is not printed.
func TestPodIdentityEndpoint(t *testing.T) {
	at := func(endpoint string) func(*credentials.Options) {
		return func(o *credentials.Options) {
			o.Source = credentials.PodIdentity{Endpoint: endpoint, TokenFile: "/token"}
		}
	}
	for _, endpoint := range []string{
		agentEndpoint, "http://[fd00:ec2::23]/v1/credentials", "http://169.254.170.2/v2/credentials/x", "http://127.0.0.1:8080/", "http://[::1]/",
		"http://localhost:9/", "https://credentials.example.com/x",
	} {
		newChain(t, awstest.New().Config(), at(endpoint))
	}
	for _, row := range []wrongSetting{
		{name: "any host", set: at("http://user:hunter2@evil.example/x?hunter2"), want: []string{"PodIdentity.Endpoint", `"evil.example"`, "169.254.170.23"}, never: "hunter2"},
		{name: "metadata service", set: at("http://169.254.169.254/"), want: []string{"PodIdentity.Endpoint", `"169.254.169.254"`}},
		{name: "another scheme", set: at("ftp://169.254.170.23/"), want: []string{"PodIdentity.Endpoint", "https"}},
		{name: "no URL", set: at("hunter2:169.254.170.23"), want: []string{"PodIdentity.Endpoint", "not a URL"}, never: "hunter2"},
		{
			name:   "nothing set",
			env:    map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": ""},
			set:    func(o *credentials.Options) { o.Source = credentials.PodIdentity{} },
			want:   []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "PodIdentity.Endpoint", "PodIdentity.TokenFile", "pod identity association"},
			faults: 2,
		},
	} {
		t.Run(row.name, row.run)
	}
}

// The agent's address is on the node: no proxy knows the way. The environment
// gives what the source leaves empty.
func TestPodIdentityGoesWithoutProxy(t *testing.T) {
	s := newScene(t)
	a := &agent{scene: s, token: "agent-token-1"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, err := a.answer(r)
		if err != nil {
			t.Error(err)
			return
		}
		w.WriteHeader(resp.StatusCode)
		if _, err := io.Copy(w, resp.Body); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, a.token)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.URL+"/v1/credentials")
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file)
	proxy := func(*http.Request) (*url.URL, error) { return nil, errors.New("the proxy was asked") }
	for name, client := range map[string]aws.HTTPClient{
		"buildable": awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.Proxy = proxy }),
		"net/http":  &http.Client{Transport: &http.Transport{Proxy: proxy}},
	} {
		base := s.cloud.Config()
		base.HTTPClient = client
		chain := newChain(t, base, func(o *credentials.Options) { o.Source = &credentials.PodIdentity{} })
		if _, err := chain.Retrieve(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A field that cannot be read is named after one request; keys without an expiry are
// kept for a while.
func TestAgentsOddReplies(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want       []string // empty: it is a session
	}{
		{"empty Expiration", `"Expiration":""`, []string{"Expiration", "empty"}},
		{"Expiration in words", `"Expiration":"tomorrow"`, []string{"Expiration", "tomorrow"}},
		{"Expiration as a number", `"Expiration":1764428801`, []string{"Expiration", "1764428801"}},
		{"Expiration as an object", `"expiration":{"at":[]}`, []string{"expiration"}},
		{"a month too many", `"Expiration":"2026-13-01T00:00:00Z"`, []string{"Expiration"}},
		{"in the past", `"Expiration":"1999-01-01T00:00:00Z"`, []string{"Expiration", "past"}},
		{"token as a number", `"Token":7`, []string{"Token", "not a string"}},
		{"keys as a list", `"AccessKeyId":["a"]`, []string{"AccessKeyId", "not a string"}},
		{"no keys", `"AccessKeyId":""`, []string{"no keys"}},
		{"null Expiration", `"Expiration":null`, nil},
		{"no Expiration", `"Other":1`, nil},
		{"year 9999", `"Expiration":"9999-12-31T23:59:59Z"`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				agent, base, source := s.withAgent(t)
				agent.reply = func() *http.Response {
					return answer(200, "application/json", `{"AccessKeyId":"ASIAAGENT","SecretAccessKey":"secret","Token":"token",`+tt.body+`}`)
				}
				chain := newChain(t, base, func(o *credentials.Options) { o.Source = source })
				creds, err := chain.Retrieve(t.Context())
				if len(tt.want) > 0 {
					says(t, err, credentials.WrongSession, tt.want...)
				} else if err != nil || creds.AccessKeyID != "ASIAAGENT" {
					t.Errorf("got %v, %v", creds, err)
				}
				if n := len(agent.asked); n != 1 {
					t.Errorf("%d requests, want 1", n)
				}
				if len(tt.want) > 0 {
					return
				}
				for range 60 {
					if _, err := chain.Retrieve(t.Context()); err != nil {
						t.Fatal(err)
					}
					if _, err := chain.RetrieveFor(t.Context(), time.Hour); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Minute)
				}
				if n := len(agent.asked); n > 12 {
					t.Errorf("%d requests in an hour", n)
				}
				if !chain.Status().Healthy() {
					t.Errorf("%+v", chain.Status())
				}
			})
		})
	}
}
