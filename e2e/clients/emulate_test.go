package clients_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/e2e/served"
)

// The emulated accounts: empty at the start. The pod's role does not exist yet.
const (
	devID, sharedID = "111122223333", "444455556666"
	issuer          = "https://oidc.eks.us-east-1.amazonaws.com/id/BLUE"
	hubRole         = "arn:aws:iam::111122223333:role/hub"
	targetRole      = "arn:aws:iam::444455556666:role/S3_Pics"
	providerARN     = "arn:aws:iam::444455556666:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/BLUE"
	emptyWorld      = `
clusters:
  - {name: blue, issuer: ` + issuer + `}
accounts:
  - id: "111122223333"
  - id: "444455556666"
pods:
  - {name: app, cluster: blue, serviceAccount: app, role: ` + hubRole + `}
`
)

var podSubject = awstest.Subject("default", "app")

// emulated is a running crossrole emulate.
type emulated struct {
	program string
	url     string
}

// emulate serves a world until the test ends. A failing test prints the requests.
func emulate(t *testing.T, world string) emulated {
	t.Helper()
	e := emulated{program: served.Command(t)}
	document := filepath.Join(t.TempDir(), "world.yaml")
	if err := os.WriteFile(document, []byte(world), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cmd := exec.Command(e.program, "emulate", "--listen", "127.0.0.1:0", "--token-dir", t.TempDir(), document)
	cmd.Stderr = &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // if the test is killed
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() && e.url != "" {
			t.Logf("the emulator's last calls, newest first:\n%s", e.get(t, "/_crossrole/calls?last=30"))
		}
		_ = cmd.Process.Signal(os.Interrupt) // it may have exited
		if err := cmd.Wait(); err != nil {
			t.Errorf("crossrole emulate: %v\n%s", err, &log)
		}
	})
	lines := bufio.NewReader(stdout)
	first, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, address, ok := strings.Cut(strings.TrimSpace(first), " at ")
	if !ok {
		t.Fatalf("crossrole emulate printed %q; want its address", first)
	}
	e.url = address
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	return e
}

// get returns the response of the control API.
func (e emulated) get(t *testing.T, path string) string {
	t.Helper()
	resp, err := http.Get(e.url + path)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("GET %s: %s, %v, %s", path, resp.Status, err, body)
	}
	return string(body)
}

// environment returns the variables of a pod or an account, which the control API prints
// for a shell.
func (e emulated) environment(t *testing.T, of string) []string {
	t.Helper()
	var env []string
	for line := range strings.Lines(e.get(t, "/_crossrole/"+of+"/environment")) {
		assignment, ok := strings.CutPrefix(strings.TrimSpace(line), "export ")
		name, value, quoted := strings.Cut(assignment, "='")
		if ok && quoted {
			env = append(env, name+"="+strings.TrimSuffix(value, "'"))
		}
	}
	if len(env) == 0 {
		t.Fatalf("%s has no environment", of)
	}
	return env
}

// tokenFile returns the path of the pod's token.
func (e emulated) tokenFile(t *testing.T) string {
	t.Helper()
	for _, variable := range e.environment(t, "pods/app") {
		if path, ok := strings.CutPrefix(variable, "AWS_WEB_IDENTITY_TOKEN_FILE="); ok {
			return path
		}
	}
	t.Fatal("the pod's environment has no token file")
	return ""
}

// refusal is a refused call as the control API reports it.
type refusal struct{ Operation, Code, Explain string }

func (r refusal) String() string { return fmt.Sprintf("%s of %s: %s", r.Code, r.Operation, r.Explain) }

// lastRefusal returns the newest refused call.
func (e emulated) lastRefusal(t *testing.T) refusal {
	t.Helper()
	var calls []refusal
	if err := json.Unmarshal([]byte(e.get(t, "/_crossrole/calls?refused=true&last=1")), &calls); err != nil || len(calls) != 1 {
		t.Fatalf("refused calls: %v, %v; want one", calls, err)
	}
	return calls[0]
}

// The six refusals of a scenario: each client provokes them in this order.
var refusals = []struct {
	name, route     string
	operation, code string
}{
	{"issuer not registered", "direct", "AssumeRoleWithWebIdentity", "InvalidIdentityToken"},
	{"wrong audience", "direct", "AssumeRoleWithWebIdentity", "InvalidIdentityToken"},
	{"wrong subject", "direct", "AssumeRoleWithWebIdentity", "AccessDenied"},
	{"hub not trusted", "hub", "AssumeRole", "AccessDenied"},
	{"hub lacks sts:AssumeRole", "hub", "AssumeRole", "AccessDenied"},
	{"target lacks s3:GetObject", "hub", "GetObject", "AccessDenied"},
}
