package clients_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/crossrole/crossrole/e2e/programs"
)

// step is one line of js/emulate.mjs and python/emulate.py.
type step struct{ Name, Operation, Code, Body string }

// runScenario runs a program that builds the empty accounts, reads over both routes and
// makes the six mistakes, and compares what it prints.
func runScenario(t *testing.T, e emulated, cmd *exec.Cmd) {
	t.Helper()
	cmd.Env = programs.Alone(t, "ENDPOINT="+e.url, "TOKEN_FILE="+e.tokenFile(t), "ISSUER="+issuer, "SUBJECT="+podSubject, "BUCKET="+bucket, "KEY="+key)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd.Args, err, out, &stderr)
	}
	want := []step{{"direct", "", "", "9000000 bytes"}, {"hub", "", "", "9000000 bytes"}}
	for _, r := range refusals {
		want = append(want, step{r.name, r.operation, r.code, ""}, step{r.name + ", repaired", "", "", "9000000 bytes"})
	}
	lines := json.NewDecoder(bytes.NewReader(out))
	for _, w := range want {
		var got step
		if err := lines.Decode(&got); err != nil || got != w {
			t.Fatalf("got %+v, %v; want %+v\n%s", got, err, w, out)
		}
	}
	if err := lines.Decode(new(step)); err != io.EOF {
		t.Errorf("more than %d steps (%v):\n%s", len(want), err, out)
	}
}

// The JavaScript SDK v3 builds two empty accounts, uploads in parts, reads over both
// routes, and is refused in six ways with AWS's codes.
func TestClientsEmulateJavaScript(t *testing.T) {
	t.Parallel()
	node, dir := programs.Node(t, "js", "emulate.mjs")
	cmd := exec.CommandContext(t.Context(), node, "emulate.mjs")
	cmd.Dir = dir
	runScenario(t, emulate(t, emptyWorld), cmd)
}

// boto3 does the same.
func TestClientsEmulateBoto3(t *testing.T) {
	t.Parallel()
	script, err := filepath.Abs(filepath.Join("python", "emulate.py"))
	if err != nil {
		t.Fatal(err)
	}
	python := programs.Pythons(t, "boto3", "install the Debian package python3-boto3")[0]
	runScenario(t, emulate(t, emptyWorld), exec.CommandContext(t.Context(), python.Path, script))
}
