//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// process is the command running as one.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.Writer // on which nothing comes by itself
	stdout *bufio.Reader
	stderr *record
}

// startCommand runs crossrole in the pod that vars describe. It is killed with
// the test, if it still runs then.
func startCommand(t *testing.T, vars []string, args ...string) *process {
	t.Helper()
	p, err := tryCommand(t, nil, nil, vars, args...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// tryCommand is startCommand with attributes that the system may refuse, and a
// terminal as standard input, if any.
func tryCommand(t *testing.T, attr *syscall.SysProcAttr, terminal []*os.File, vars []string, args ...string) (*process, error) {
	t.Helper()
	p := &process{t: t, cmd: exec.CommandContext(t.Context(), "crossrole", args...), stderr: &record{}}
	p.cmd.Env = append(vars, "PATH="+os.Getenv("PATH"), "TMPDIR="+t.TempDir())
	p.cmd.Stderr, p.cmd.SysProcAttr = p.stderr, attr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(stdout)
	if len(terminal) > 0 {
		p.cmd.Stdin = terminal[0]
	} else if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	return p, p.cmd.Start()
}

// line waits for the next line that it prints.
func (p *process) line() string {
	p.t.Helper()
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		p.t.Fatalf("%v: %v\n%s", p.cmd, err, p.stderr)
	}
	return strings.TrimSuffix(line, "\n")
}

// end sends a signal and returns the exit status, -1 if the signal ended it.
func (p *process) end(s os.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
	return p.wait()
}

func (p *process) wait() int {
	p.t.Helper()
	if _, err := io.Copy(io.Discard, p.stdout); err != nil {
		p.t.Error(err)
	}
	if _, exited := errors.AsType[*exec.ExitError](p.cmd.Wait()); !exited && p.cmd.ProcessState.ExitCode() != 0 {
		p.t.Errorf("%v: %v", p.cmd, p.cmd.ProcessState)
	}
	return p.cmd.ProcessState.ExitCode()
}

// programOf is an S3 client with the container credentials of the two
// variables, as serve prints them.
func programOf(cloud *fakePod, url, tokenFile string) *s3.Client {
	provider := endpointcreds.New(url, func(o *endpointcreds.Options) {
		o.AuthorizationTokenProvider = endpointcreds.TokenProviderFunc(func() (string, error) {
			token, err := os.ReadFile(tokenFile)
			return string(token), err
		})
	})
	cfg := cloud.cloud.Config()
	cfg.Credentials = aws.NewCredentialsCache(provider, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = 5 * time.Minute })
	return s3.NewFromConfig(cfg)
}

func read(ctx context.Context, client *s3.Client) error {
	object, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("pics"), Key: aws.String("indoor-cat.jpg")})
	if err != nil {
		return err
	}
	defer object.Body.Close()
	_, err = io.Copy(io.Discard, object.Body)
	return err
}

// record is a writer for several goroutines.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

// After a kill -9 and a restart programs go on with the same two variables.
func TestServeIsKilledAndStartedAgain(t *testing.T) {
	pod, vars := newFakePod(t, t.TempDir())
	dir := t.TempDir()
	args := []string{"serve", "--role", "pics=" + target, "--token-dir", dir, "--listen", "127.0.0.1:0"}
	serve := startCommand(t, vars, args...)
	printed := strings.Fields(serve.line())
	if len(printed) != 3 || printed[0] != "pics" {
		t.Fatalf("printed %q", printed)
	}
	url, file := printed[1], printed[2]
	program := programOf(pod, url, file)
	if err := read(t.Context(), program); err != nil {
		t.Fatalf("%v\n%s", err, serve.stderr)
	}
	if status := serve.end(syscall.SIGKILL); status != -1 {
		t.Errorf("exit status %d after SIGKILL", status)
	}
	if err := read(t.Context(), program); err != nil {
		t.Errorf("a program that has a session, while serve is away: %v", err)
	}
	late := programOf(pod, url, file)
	if err := read(t.Context(), late); err == nil {
		t.Error("a program that has none, while serve is away: no error")
	}
	args[len(args)-1] = strings.TrimPrefix(strings.TrimSuffix(url, "/v1/pics"), "http://")
	before := pod.sessions("AssumeRoleWithWebIdentity") + pod.sessions("AssumeRole")
	serve = startCommand(t, vars, args...)
	if again := strings.Fields(serve.line()); strings.Join(again, " ") != strings.Join(printed, " ") {
		t.Errorf("after the restart: %q, before: %q", again, printed)
	}
	for _, p := range []*s3.Client{program, late} {
		if err := read(t.Context(), p); err != nil {
			t.Errorf("after the restart: %v\n%s", err, serve.stderr)
		}
	}
	if n := pod.sessions("AssumeRoleWithWebIdentity") + pod.sessions("AssumeRole") - before; n != 2 {
		t.Errorf("the restart cost %d sessions, want one for each of two hops", n)
	}
	if status := serve.end(syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d after SIGTERM\n%s", status, serve.stderr)
	}
}

// exec passes signals on, and its exit status is the program's.
func TestExecForwardsSignals(t *testing.T) {
	_, vars := newFakePod(t, t.TempDir())
	for _, tt := range []struct {
		signal os.Signal
		script string
		status int
	}{
		{syscall.SIGTERM, `trap 'echo term; exit 3' TERM; echo ready; read x`, 3},
		{syscall.SIGUSR1, `trap 'echo usr1; exit 4' USR1; echo ready; read x`, 4},
		{syscall.SIGHUP, `trap 'exit 5' HUP; echo ready; read x`, 5},
		{syscall.SIGTERM, `echo ready; read x`, 128 + 15},
	} {
		p := startCommand(t, vars, "exec", "--role", target, "--", "sh", "-c", tt.script)
		if line := p.line(); line != "ready" {
			t.Errorf("printed %q\n%s", line, p.stderr)
		}
		if status := p.end(tt.signal); status != tt.status {
			t.Errorf("%v of %q: exit status %d, want %d\n%s", tt.signal, tt.script, status, tt.status, p.stderr)
		}
	}
}
