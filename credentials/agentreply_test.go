package credentials_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/credentials"
)

// The Pod Identity agent refuses in text. It is read like the JSON form: code,
// message, request id, kind, number of requests and advice.
func TestAgentRefusesInText(t *testing.T) {
	for _, row := range []struct {
		status        int
		body          string
		kind          credentials.Kind
		code, message string
		id            string
		asked         int // 0: more than one
		fix           string
	}{
		{400, "[0f3a-11]: (AccessDeniedException): Unauthorized Exception! EKS does not have permissions to assume the associated role., fault: client", credentials.AssumeDenied,
			"AccessDeniedException", "Unauthorized Exception! EKS does not have permissions to assume the associated role.", "0f3a-11", 1, "pods.eks.amazonaws.com"},
		{400, "error fetching credentials: [0f3a]: (ResourceNotFoundException): No association found, fault: client\n", credentials.Unknown, "ResourceNotFoundException", "No association found", "0f3a", 1, "list-pod-identity-associations"},
		{400, "[0f3a]: (ExpiredTokenException): Token expired, fault: client", credentials.TokenExpired, "ExpiredTokenException", "Token expired", "0f3a", 1, "kubelet"},
		{400, "[0f3a]: (InvalidTokenException): not a token, fault: client", credentials.TokenRejected, "InvalidTokenException", "not a token", "0f3a", 1, "list-pod-identity-associations"},
		{400, "(ThrottlingException): Rate exceeded", credentials.Throttled, "ThrottlingException", "Rate exceeded", "", 0, ""},
		{500, "[0f3a]: (InternalServerException): try later, fault: server", credentials.STSUnreachable, "InternalServerException", "try later", "0f3a", 0, ""},
		{503, "[0f3a]: (SomethingNewException): a, b (c): [d], fault: server", credentials.STSUnreachable, "SomethingNewException", "a, b (c): [d]", "0f3a", 0, ""},
		{404, `{"code":"AccessDeniedException","message":"no"}`, credentials.AssumeDenied, "AccessDeniedException", "no", "", 1, "pods.eks.amazonaws.com"},
	} {
		t.Run(row.code+" "+row.message, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				agent, base, source := s.withAgent(t)
				agent.reply = func() *http.Response { return answer(row.status, "text/plain; charset=utf-8", row.body) }
				_, err := newChain(t, base, func(o *credentials.Options) { o.Source = source }).Retrieve(t.Context())
				e, ok := errors.AsType[*credentials.Error](err)
				if !ok || e.Kind != row.kind || e.Code != row.code || e.Message != row.message || e.RequestID != row.id {
					t.Fatalf("got %v (%q, %q, request %q), want %v", err, e.Code, e.Message, e.RequestID, row.kind)
				}
				if n := len(agent.asked); n != row.asked && row.asked > 0 || row.asked == 0 && n < 2 {
					t.Errorf("%d requests, want %d", n, row.asked)
				}
				if !strings.Contains(strings.Join(e.Fixes, "\n"), row.fix) {
					t.Errorf("the fixes lack %q: %q", row.fix, e.Fixes)
				}
			})
		})
	}
}

// A proxy's page is not the agent's text, whatever it has in parentheses; and what
// may hold keys is not quoted.
func TestTextThatIsNotTheAgents(t *testing.T) {
	const key = "wJalrXUtnFEMI/K7MDENG"
	for body, want := range map[string]string{
		"<html><hr><center>nginx/1.18.0 (Ubuntu)</center></html>":          "its response begins \"<html><hr><center>nginx/1.18.0 (Ubuntu)",
		"upstream connect error (Envoy): reset":                            "its response begins \"upstream connect error",
		`cached (OldException): {"SecretAccessKey": "` + key + `"}`:        "not shown",
		`[0f3a]: (OldException): "secret_access_key" is ` + key + ` today`: "not shown",
	} {
		for _, status := range []int{200, 400, 502} {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				agent, base, source := s.withAgent(t)
				agent.reply = func() *http.Response { return answer(status, "text/html", body) }
				_, err := newChain(t, base, func(o *credentials.Options) { o.Source = source }).Retrieve(t.Context())
				e, ok := errors.AsType[*credentials.Error](err)
				if !ok || e.Code == "Ubuntu" || e.Code == "Envoy" || strings.Contains(err.Error(), key) || status != 200 && !strings.Contains(strings.ReplaceAll(err.Error(), `\"`, `"`), want) {
					t.Errorf("%d %q: got %v", status, body, err)
				}
			})
		}
	}
}

// A long text that cannot be read keeps its beginning and its end.
func TestLongAgentTextKeepsItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		agent, base, source := s.withAgent(t)
		agent.reply = func() *http.Response {
			return answer(404, "text/plain", "cannot serve this pod: "+strings.Repeat("a b ", 500)+": no association in cluster blue")
		}
		_, err := newChain(t, base, func(o *credentials.Options) { o.Source = source }).Retrieve(t.Context())
		says(t, err, credentials.Unknown, "cannot serve this pod", "no association in cluster blue")
		if n := len(err.Error()); n > 1024 {
			t.Errorf("%d bytes", n)
		}
	})
}

// FuzzAgentReply: a refusal in text and the same in JSON are the same error, and
// neither shows the pod's token, whatever quotes it.
func FuzzAgentReply(f *testing.F) {
	const token = "agent-token-Canary+0123456789/abcdef=ABCDEF0123456789"
	f.Add(400, "AccessDeniedException", "no", "1f-2a", 0)
	f.Add(400, "ExpiredTokenException", "Token expired, fault: client", "", 1)
	f.Add(500, "InternalServerException", "(X): [y]", "0", 2)
	f.Add(404, "X", "\n", "]", 3)
	f.Add(403, "(", ")", "[", 4)
	file := filepath.Join(f.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		f.Fatal(err)
	}
	var quotes []func(string) string
	for _, name := range []string{"raw", "query", "lower-case percent", "JSON, all escaped", "XML", "base64", "bytes in hex"} {
		quotes = append(quotes, quotings[name])
	}
	f.Fuzz(func(t *testing.T, status int, code, message, id string, quote int) {
		if status < 400 || status > 599 || len(message) > 2000 || len(code) > 200 {
			return
		}
		quoted := quotes[uint(quote)%uint(len(quotes))](token)
		message += " " + quoted
		document, err := json.Marshal(map[string]string{"code": code, "message": message, "requestId": id})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			ask := func(contentType, body string) *credentials.Error {
				base := aws.Config{Region: "us-east-1", HTTPClient: doFunc(func(*http.Request) (*http.Response, error) { return answer(status, contentType, body), nil })}
				chain := newChain(t, base, func(o *credentials.Options) {
					o.Source = credentials.PodIdentity{Endpoint: agentEndpoint, TokenFile: file}
				})
				_, err := chain.Retrieve(t.Context())
				e, ok := errors.AsType[*credentials.Error](err)
				if !ok {
					t.Fatalf("%d %q: %v", status, body, err)
				}
				if text := e.Error() + fields(e); strings.Contains(text, quoted) || strings.Contains(text, token) {
					t.Errorf("%d %q shows the token: %s", status, body, text)
				}
				return e
			}
			inText := ask("text/plain", "["+id+"]: ("+code+"): "+message+", fault: client")
			inJSON := ask("application/json", string(document))
			if plainCode(code) && plainCode(id) && inText.Kind != inJSON.Kind {
				t.Errorf("%d %q: in text %v, in JSON %v", status, code, inText.Kind, inJSON.Kind)
			}
		})
	})
}

// plainCode reports whether s looks like a code of AWS's.
func plainCode(s string) bool {
	return s != "" && s[0] >= 'A' && s[0] <= 'Z' && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == ""
}
