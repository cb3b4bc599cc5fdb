package served

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crossrole/crossrole/e2e/programs"
)

// enough is the number of sessions of the role that a program must use: the first and
// three more.
const enough = 4

// CLI reads with the AWS CLI, in one process after the other, until enough sessions have
// been used.
func (s *Serve) CLI(t *testing.T) {
	t.Helper()
	aws := programs.AWS(t)
	file := filepath.Join(t.TempDir(), "out")
	for runs := 1; ; runs++ {
		cmd := exec.CommandContext(t.Context(), aws, "s3api", "get-object", "--endpoint-url", s.Endpoint, "--bucket", s.Bucket, "--key", s.Key, file)
		cmd.Env = programs.Alone(t, s.Variables()...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("aws, run %d: %v\n%s", runs, err, out)
		}
		if data, err := os.ReadFile(file); err != nil || string(data) != s.Content {
			t.Fatalf("aws, run %d: %d bytes that are not the object, %v", runs, len(data), err)
		}
		if byHop, _ := s.Refreshes(t); byHop["2"] >= enough {
			t.Logf("aws: %d runs, sessions by hop %v", runs, byHop)
			return
		}
	}
}

// Process reads with the AWS CLI and a profile that gets its credentials from
// crossrole process.
func (s Scene) Process(t *testing.T) {
	t.Helper()
	aws := programs.AWS(t)
	program, err := command()
	if err != nil {
		t.Fatal(err)
	}
	config, file := filepath.Join(t.TempDir(), "config"), filepath.Join(t.TempDir(), "out")
	text := "[profile pics]\ncredential_process = " + program + " process --role " + s.Role + "\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		cmd := exec.CommandContext(t.Context(), aws, "s3api", "get-object", "--profile", "pics", "--endpoint-url", s.Endpoint, "--bucket", s.Bucket, "--key", s.Key, file)
		cmd.Env = append(programs.Alone(t, s.Pod...), "AWS_CONFIG_FILE="+config)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("aws with a credential_process: %v\n%s", err, out)
		}
		if data, err := os.ReadFile(file); err != nil || string(data) != s.Content {
			t.Fatalf("aws with a credential_process: %d bytes that are not the object, %v", len(data), err)
		}
	}
}

// JavaScript reads with a single Node.js process and the default credentials of its SDK,
// until it has used enough sessions. js is the directory with serve.mjs.
func (s *Serve) JavaScript(t *testing.T, js string) {
	t.Helper()
	node, dir := programs.Node(t, js, "serve.mjs")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "serve.mjs")
	cmd.Dir = dir
	cmd.Env = programs.Alone(t, append(s.Variables(), "ENDPOINT="+s.Endpoint, "BUCKET="+s.Bucket, "KEY="+s.Key)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe() // the program exits when this is closed
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	reads := 0
	for lines := json.NewDecoder(stdout); ; {
		var read struct {
			Key, Error string
			Body       []byte
		}
		if err := lines.Decode(&read); err == io.EOF {
			break
		} else if err != nil {
			t.Error(err)
			break
		}
		reads++
		if read.Error != "" || string(read.Body) != s.Content {
			t.Errorf("JavaScript, read %d: %d bytes, %s", reads, len(read.Body), read.Error)
		}
		if seen[read.Key] = true; len(seen) >= enough || t.Failed() {
			stdin.Close()
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("serve.mjs: %v\n%s", err, strings.TrimSpace(stderr.String()))
	}
	if len(seen) < enough {
		t.Errorf("JavaScript saw %d sessions in %d reads, want %d", len(seen), reads, enough)
	}
	t.Logf("JavaScript: %d reads with %d sessions", reads, len(seen))
}
