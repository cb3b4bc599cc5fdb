package credentials_test

import (
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// A service of the JSON protocol says ExpiredTokenException: the request, body
// and all, is repeated with the new key.
func TestJSONProtocolRecovers(t *testing.T) {
	s := newScene(t)
	cloud := s.cloud.Config()
	var mu sync.Mutex
	var first string // the key that the queue service takes for expired
	var bodies []string
	base := cloud.Copy()
	base.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
		if !strings.HasPrefix(r.URL.Host, "sqs.") {
			return cloud.HTTPClient.Do(r)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		_, key, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		key, _, _ = strings.Cut(key, "/")
		mu.Lock()
		defer mu.Unlock()
		bodies = append(bodies, string(body))
		if first == "" {
			first = key
		}
		resp := reply(r, 200, `{"QueueUrls":["https://sqs.us-east-1.amazonaws.com/444455556666/cats"]}`)
		if key == first {
			resp = reply(r, 400, `{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"The security token included in the request is expired"}`)
		}
		resp.Header.Set("Content-Type", "application/x-amz-json-1.0")
		return resp, nil
	})
	chain := newChain(t, base, func(o *credentials.Options) {
		o.Source, o.Roles = s.web(), []credentials.Role{{ARN: s.target.ARN()}}
	})
	prefix := "cats"
	out, err := sqs.NewFromConfig(chain.Config()).ListQueues(t.Context(), &sqs.ListQueuesInput{QueueNamePrefix: &prefix})
	if err != nil || len(out.QueueUrls) != 1 {
		t.Fatalf("%v", err)
	}
	if len(bodies) != 2 || bodies[0] != bodies[1] || bodies[0] == "" {
		t.Errorf("sent %q, want the same body twice", bodies)
	}
	if n := s.count("AssumeRole"); n != 2 {
		t.Errorf("%d sessions, want 2", n)
	}
}

// Nothing runs when there is no refresh: after success, refusal and a hung STS
// that was abandoned, no goroutine of a chain is left.
func TestNothingIsLeftRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		// The runtime's own goroutines come and go; ours have a session's method
		// on their stack.
		ours := func() int {
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			return strings.Count(string(stacks), "credentials.(*session).startRefresh.")
		}
		others := ours() // of a test before, whose token file blocks for ever
		for _, f := range []awstest.Fault{{Delay: time.Second}, {Status: 403, Code: "AccessDenied"}, {Hang: true}} {
			remove := s.cloud.Fault(f)
			var wg sync.WaitGroup
			for range 20 {
				chain := s.hubChain(t)
				wg.Go(func() { chain.Retrieve(t.Context()) })
			}
			synctest.Wait()
			if f.Status == 0 && ours() == others {
				t.Error("none is seen while all refresh: is this test about anything?")
			}
			wg.Wait()
			remove()
			synctest.Wait()
			if n := ours() - others; n != 0 {
				t.Errorf("%d goroutines are left after %+v", n, f)
			}
		}
	})
}
