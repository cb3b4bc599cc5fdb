package credserver_test

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/cmd/crossrole/internal/rolesetting"
	"github.com/crossrole/crossrole/credentials"
)

func expiration(t *testing.T, body string) time.Time {
	t.Helper()
	var response struct{ Expiration time.Time }
	if err := json.Unmarshal([]byte(body), &response); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return response.Expiration
}

// The response has the fields that the SDKs read, and the caller's role and account.
func TestResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSidecar(t, nil, "pics="+target, "own")
		for name, want := range map[string][2]string{
			"pics": {target, "444455556666"},
			"own":  {s.hub.ARN(), "111122223333"},
		} {
			resp, body := s.ask(name, s.tokenOf(name))
			if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Cache-Control") != "no-store" {
				t.Fatalf("%s: %d %v", name, resp.StatusCode, resp.Header)
			}
			var got map[string]string
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatal(err)
			}
			for _, field := range []string{"AccessKeyId", "SecretAccessKey", "Token"} {
				if got[field] == "" {
					t.Errorf("%s: no %s", name, field)
				}
			}
			if got["RoleArn"] != want[0] || got["AccountId"] != want[1] || len(got) != 6 {
				t.Errorf("%s: role %s, account %s, %d fields; want %s", name, got["RoleArn"], got["AccountId"], len(got), want)
			}
			if _, err := time.Parse(time.RFC3339, got["Expiration"]); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// An error that may go away by itself is a 5xx, which the SDKs retry; one that needs a
// change of the settings is a 4xx. Both have the form that the SDKs read.
func TestFailures(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fault  awstest.Fault
		status int
		code   string
	}{
		{"denied", awstest.Fault{Status: 403, Code: "AccessDenied"}, 400, "AssumeDenied"},
		{"throttled", awstest.Fault{Status: 400, Code: "Throttling"}, 503, "Throttled"},
		{"down", awstest.Fault{Status: 503, Code: "ServiceUnavailable"}, 503, "STSUnreachable"},
		{"hung", awstest.Fault{Hang: true}, 503, "RefreshTimeout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSidecar(t, nil, "pics="+target)
				s.stop()
				pics := []rolesetting.Named{{Name: "pics", Setting: rolesetting.Setting{Role: credentials.Role{ARN: target}}}}
				tt.fault.Operation = "AssumeRole"
				s.cloud.Fault(tt.fault)
				s.endpoint, s.admin = newPipes(9911), newPipes(9912)
				s.start(pics)
				began := time.Now()
				resp, body := s.ask("pics", s.tokenOf("pics"))
				if took := time.Since(began); took > 11*time.Second {
					t.Errorf("the response took %v", took)
				}
				var got map[string]string
				if err := json.Unmarshal([]byte(body), &got); err != nil {
					t.Fatalf("%v in %s", err, body)
				}
				if resp.StatusCode != tt.status || got["code"] != tt.code || got["Code"] != tt.code || got["message"] == "" || got["Message"] != got["message"] {
					t.Errorf("%d %s; want %d %s", resp.StatusCode, body, tt.status, tt.code)
				}
			})
		})
	}
}

// A request that waits when the server stops gets its response; new ones are not
// accepted.
func TestServeEndsGently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSidecar(t, func(s *sidecar) {
			s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Delay: 3 * time.Second})
		}, "pics="+target)
		responded := make(chan int)
		go func() {
			resp, _ := s.ask("pics", s.tokenOf("pics"))
			responded <- resp.StatusCode
		}()
		time.Sleep(time.Second)
		stopped := make(chan struct{})
		go func() { defer close(stopped); s.stop() }()
		synctest.Wait()
		if _, err := s.endpoint.dial(t.Context(), me); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a connection after the stop: %v", err)
		}
		if status := <-responded; status != http.StatusOK {
			t.Errorf("a request in flight got %d", status)
		}
		<-stopped
	})
}

func secretOf(t *testing.T, body string) string {
	t.Helper()
	var response struct{ SecretAccessKey string }
	if err := json.Unmarshal([]byte(body), &response); err != nil || response.SecretAccessKey == "" {
		t.Fatalf("%v in %s", err, body)
	}
	return response.SecretAccessKey
}
