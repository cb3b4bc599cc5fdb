// Package served runs third-party programs that read a bucket with credentials from
// crossrole serve, while sessions expire every few seconds.
package served

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// command builds cmd/crossrole once.
var command = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "crossrole-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "crossrole")
	cmd := exec.Command("go", "build", "-o", program, "github.com/crossrole/crossrole/cmd/crossrole")
	// The command belongs to the parent module, which also has its dependencies.
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if cmd.Dir, err = moduleAbove(); err != nil {
		return "", err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build cmd/crossrole: %w\n%s", err, out)
	}
	return program, nil
})

// Command returns the path of the crossrole command, built for the tests.
func Command(t *testing.T) string {
	t.Helper()
	program, err := command()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// moduleAbove returns the directory of the parent module, the library.
func moduleAbove() (string, error) {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	return filepath.Join(filepath.Dir(strings.TrimSpace(string(mod))), ".."), nil
}

// Scene is what the programs read, and with which role.
type Scene struct {
	Pod         []string // environment of the pod, with AWS_ENDPOINT_URL_STS
	Role        string   // ARN of the role that the hub assumes
	Endpoint    string   // of S3
	Bucket, Key string
	Content     string
}

// Serve is a running crossrole serve of one role.
type Serve struct {
	Scene
	URL, TokenFile, Admin string

	cmd *exec.Cmd
	log strings.Builder
}

// Start runs crossrole serve until the test ends. A failing test prints its log.
func Start(t *testing.T, scene Scene) *Serve {
	t.Helper()
	s := &Serve{Scene: scene}
	s.start(t, "127.0.0.1:0", t.TempDir())
	t.Cleanup(func() {
		_ = s.cmd.Process.Signal(os.Interrupt) // it may have exited
		if err := s.cmd.Wait(); err != nil {
			t.Errorf("crossrole serve: %v", err)
		}
		if t.Failed() {
			t.Logf("crossrole serve logged:\n%s", &s.log)
		}
	})
	return s
}

// Kill ends the process as kill -9 does. The test must call [Serve.Restart] afterwards.
func (s *Serve) Kill(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = s.cmd.Wait() // it was killed
}

// Restart starts the process again after Kill, with the same endpoint and token file.
func (s *Serve) Restart(t *testing.T) {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.start(t, u.Host, filepath.Dir(s.TokenFile))
}

func (s *Serve) start(t *testing.T, listen, tokenDir string) {
	t.Helper()
	program, err := command()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command(program, "serve", "--role", "pics="+s.Role, "--token-dir", tokenDir, "--listen", listen, "--admin", "127.0.0.1:0")
	s.cmd.Env, s.cmd.Stderr = s.Pod, &s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // if the test is killed
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	fields := map[string][]string{}
	for len(fields) < 2 && lines.Scan() {
		words := strings.Fields(lines.Text())
		fields[words[0]] = words[1:]
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	if len(fields["pics"]) != 2 || len(fields["admin"]) != 1 {
		t.Fatalf("crossrole serve printed %q\n%s", fields, &s.log)
	}
	s.URL, s.TokenFile, s.Admin = fields["pics"][0], fields["pics"][1], fields["admin"][0]
}

// Variables returns the variables that a container needs to use the endpoint.
func (s *Serve) Variables() []string {
	return []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + s.URL, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=" + s.TokenFile}
}

// Metrics returns the page of metrics.
func (s *Serve) Metrics(t *testing.T) string {
	t.Helper()
	resp, err := http.Get(s.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

var refreshes = regexp.MustCompile(`(?m)^crossrole_refreshes_total\{hop="(\d)",kind="(\w*)",.*\} (\d+)$`)

// Refreshes returns two metrics: how many sessions each hop got, and how many refreshes
// failed.
func (s *Serve) Refreshes(t *testing.T) (byHop map[string]int, failed int) {
	t.Helper()
	byHop = map[string]int{}
	for _, m := range refreshes.FindAllStringSubmatch(s.Metrics(t), -1) {
		n, err := strconv.Atoi(m[3])
		if err != nil {
			t.Fatal(err)
		}
		if m[2] == "" {
			byHop[m[1]] += n
		} else {
			failed += n
		}
	}
	return byHop, failed
}
