package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/crossrole/crossrole/e2e/ceph"
	"github.com/crossrole/crossrole/e2e/issuer"
)

// fetchOnce builds examples/fetch, which belongs to the module one directory up.
var fetchOnce = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fetch-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "fetch")
	cmd := exec.Command("go", "build", "-o", program, "./examples/fetch")
	cmd.Dir, cmd.Env = "..", append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build examples/fetch: %w\n%s", err, out)
	}
	return program, nil
})

// run is one run of the fetch program in its pod's container.
type run struct {
	token  string   // content of the token file
	role   string   // AWS_ROLE_ARN
	args   []string // without -o
	exit   int
	stderr string
	output []byte   // content of the file named by -o; nil: no file
	litter []string // other files next to it
}

// fetch runs the program with the arguments and -o. Its environment contains only the
// pod's variables and the endpoints of the gateway.
func (s *scene) fetch(t *testing.T, role string, claims issuer.Claims, args ...string) run {
	t.Helper()
	return fetch(t, s.cluster.URL, s.issuer, role, claims, args...)
}

func fetch(t *testing.T, endpoint string, cluster *issuer.Issuer, role string, claims issuer.Claims, args ...string) run {
	t.Helper()
	program, err := fetchOnce()
	if err != nil {
		t.Fatal(err)
	}
	token := tokenFile(t, cluster, claims)
	content, err := os.ReadFile(token)
	if err != nil {
		t.Fatal(err)
	}
	r := run{token: string(content), role: role, args: args}
	dir := t.TempDir()
	output := filepath.Join(dir, "output")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(args, "-o", output)...)
	cmd.Dir = dir
	cmd.Env = []string{
		"AWS_ROLE_ARN=" + role,
		"AWS_WEB_IDENTITY_TOKEN_FILE=" + token,
		"AWS_REGION=" + ceph.Region,
		"AWS_ENDPOINT_URL_STS=" + endpoint,
		"AWS_ENDPOINT_URL_S3=" + endpoint,
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		if _, exited := errors.AsType[*exec.ExitError](err); !exited || ctx.Err() != nil {
			t.Fatalf("fetch %q: %v\n%s", args, err, &stderr)
		}
	}
	r.exit, r.stderr = cmd.ProcessState.ExitCode(), stderr.String()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "output" {
			r.litter = append(r.litter, e.Name())
			continue
		}
		if r.output, err = os.ReadFile(output); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// tokenFile writes a token of the cluster as a pod would find it.
func tokenFile(t *testing.T, cluster *issuer.Issuer, claims issuer.Claims) string {
	t.Helper()
	token, err := cluster.Token(claims)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
