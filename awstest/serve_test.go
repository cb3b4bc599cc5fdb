package awstest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/awstest"
)

// TestServeEnds shows that the end of a test cuts off what still waits.
func TestServeEnds(t *testing.T) {
	w := newWorld()
	w.dev.CreateBucket("pics").Put("cat", []byte("meow"))
	w.Fault(awstest.Fault{Operation: "GetCallerIdentity", Hang: true})
	var waiting sync.WaitGroup
	t.Run("server", func(t *testing.T) {
		endpoint := w.Serve(t)
		waiting.Go(func() {
			resp, err := http.PostForm(endpoint, identityForm)
			if err == nil {
				resp.Body.Close()
				t.Error("a hanging request was answered")
			}
		})
		// The call is recorded when it arrives; ask until it has.
		arrived := func(c awstest.Call) bool { return c.Operation == "GetCallerIdentity" }
		for !slices.ContainsFunc(w.Calls(), arrived) {
			resp, err := http.Get(endpoint + "/pics/cat")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
	})
	waiting.Wait()
}

// TestHandlerKnowsHosts shows that a handler answers AWS's names as the config
// does, for servers that the names are resolved to.
func TestHandlerKnowsHosts(t *testing.T) {
	w := newWorld()
	w.dev.CreateBucket("pics")
	endpoint := w.Serve(t)
	r := getRequest(t, endpoint+"/cat")
	r.Host = "pics.s3.us-east-1.amazonaws.com"
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	calls := w.Calls()
	if got := calls[len(calls)-1].Params; got["Bucket"] != "pics" || got["Key"] != "cat" {
		t.Errorf("read as %v", got)
	}
}

func TestUnknownHost(t *testing.T) {
	w := newWorld()
	for _, address := range []string{"http://169.254.169.254/latest/api/token", "http://169.254.170.23/v1/credentials", "https://ec2.us-east-1.amazonaws.com/", "https://sts.us-east-1.amazonaws.com.evil.example/", "https://s3.example.com/"} {
		resp, err := w.Config().HTTPClient.Do(getRequest(t, address))
		if err == nil {
			resp.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "awstest: no such host") {
			t.Errorf("%s: %v", address, err)
		}
	}
	calls := w.Calls()
	if len(calls) != 5 || calls[0].Operation != "" || calls[0].String() != "request to unknown host 169.254.169.254 → no answer" {
		t.Errorf("recorded as %v", calls)
	}
}

// The variable may still be set from an experiment when the tests run.
func TestEndpointOfTheEnvironment(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:4566")
	for address, named := range map[string]bool{"http://127.0.0.1:4566/": true, "http://127.0.0.1:1/": false} {
		resp, err := newWorld().Config().HTTPClient.Do(getRequest(t, address))
		if err == nil {
			resp.Body.Close()
		}
		if err == nil || strings.Contains(err.Error(), "the environment's AWS_ENDPOINT_URL_STS leads there: unset it") != named {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestManyClients is for the race detector: chains, policies and faults change
// while 200 clients work.
func TestManyClients(t *testing.T) {
	w := newWorld()
	token := w.blue.Token("default", "app")
	var clients sync.WaitGroup
	for range 200 {
		clients.Go(func() {
			client := sts.NewFromConfig(w.Config())
			out, err := client.AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{RoleArn: new(hubARN), RoleSessionName: new("pod"), WebIdentityToken: &token})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := w.assume(t, credentialsOf(out.Credentials), targetARN); err != nil {
				t.Error(err)
			}
			w.Calls()
			w.Fault(awstest.Fault{Operation: "PutObject", Times: 1})()
			w.hub.SetPolicy(allowAssume)
			w.blue.JWKS()
		})
	}
	clients.Wait()
	if n := len(w.Calls()); n != 400 {
		t.Errorf("%d calls, want 400", n)
	}
}

// refusedTB records what a test would fail with.
type refusedTB struct {
	*testing.T
	fatal string
}

func (t *refusedTB) Fatalf(format string, args ...any) { t.fatal = fmt.Sprintf(format, args...) }

// TestServeInABubble shows that a listener, which would stop the bubble's clock,
// is refused with the reason, and only there.
func TestServeInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := &refusedTB{T: t}
		endpoint := awstest.New().Serve(refused)
		for _, want := range []string{"awstest: Serve", "synctest bubble", "Config()"} {
			if endpoint != "" || !strings.Contains(refused.fatal, want) {
				t.Errorf("got %q and %q, want %q", endpoint, refused.fatal, want)
			}
		}
	})
	outside := &refusedTB{T: t}
	if endpoint := awstest.New().Serve(outside); endpoint == "" || outside.fatal != "" {
		t.Errorf("outside a bubble: %q, %q", endpoint, outside.fatal)
	}
}

// TestLongForm shows that a form without an end is refused, not kept.
func TestLongForm(t *testing.T) {
	w := newWorld()
	body := &countingReader{}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://sts.us-east-1.amazonaws.com/", io.NopCloser(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	recorder := httptest.NewRecorder()
	w.Handler().ServeHTTP(recorder, r)
	if recorder.Code != http.StatusRequestEntityTooLarge || body.read > 4<<20 {
		t.Errorf("got %d after %d bytes", recorder.Code, body.read)
	}
}

// countingReader never ends, but for 64 MiB.
type countingReader struct{ read int }

func (c *countingReader) Read(p []byte) (int, error) {
	if c.read > 64<<20 {
		return 0, io.EOF
	}
	for i := range p {
		p[i] = 'a'
	}
	c.read += len(p)
	return len(p), nil
}
