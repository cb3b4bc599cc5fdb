package clients_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/e2e/programs"
	"github.com/crossrole/crossrole/e2e/served"
	"github.com/crossrole/crossrole/trust"
)

// peer is a program that reads the object once for each line of its standard input, and
// prints what it read.
type peer struct {
	name   string
	args   []string
	file   bool // it reads AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE; older ones need the token itself
	silent bool // it shows only the status of an endpoint that refuses
	// The Common Runtime renews a session ten seconds before its expiry, and never one
	// that had less time left when it arrived. So it needs longer sessions: serve returns
	// one until a quarter of its life is left.
	life time.Duration // of a session, for the peer to renew it soon
}

// shortLife is how long a session lasts for peers that ask for a new one at each read.
const shortLife = 6 * time.Second

// read is one line that a peer prints.
type read struct {
	Key, Error string
	Body       []byte
}

// conversation is a running peer.
type conversation struct {
	t      *testing.T
	peer   peer
	stdin  io.Writer
	lines  *bufio.Reader
	stderr *strings.Builder
	object string
}

// talk starts a peer until the test ends, or crossrole exec with the peer, if prefix is
// its command line.
func (p peer) talk(t *testing.T, s served.Scene, prefix, env []string) *conversation {
	t.Helper()
	args := append(append([]string{}, prefix...), p.args...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = programs.Alone(t, append(env, "ENDPOINT="+s.Endpoint, "BUCKET="+s.Bucket, "KEY="+s.Key)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // if the test is killed
	c := &conversation{t: t, peer: p, stderr: &strings.Builder{}, object: s.Content}
	cmd.Stderr = c.stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.stdin, c.lines = stdin, bufio.NewReader(stdout)
	t.Cleanup(func() {
		_ = stdin.Close() // the program exits
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", p.name, err, c.stderr)
		}
	})
	return c
}

// attempt makes the peer read once.
func (c *conversation) attempt() read {
	c.t.Helper()
	if _, err := io.WriteString(c.stdin, "read\n"); err != nil {
		c.t.Fatalf("%s: %v", c.peer.name, err)
	}
	line, err := c.lines.ReadBytes('\n')
	var r read
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err != nil {
		c.t.Fatalf("%s: %v in %q", c.peer.name, err, line)
	}
	return r
}

// read makes the peer read once, and returns the access key ID that it used. It fails the
// test if the read failed or returned other bytes.
func (c *conversation) read() string {
	c.t.Helper()
	r := c.attempt()
	if r.Error != "" || string(r.Body) != c.object || r.Key == "" {
		c.t.Fatalf("%s read %q with key %q: %s\n%s", c.peer.name, r.Body, r.Key, r.Error, c.stderr)
	}
	return r.Key
}

// across reads until the peer has used n sessions.
func (c *conversation) across(n int) {
	c.t.Helper()
	seen := map[string]bool{}
	for begin := time.Now(); len(seen) < n; {
		if time.Since(begin) > time.Minute {
			c.t.Fatalf("%s used %d sessions in a minute, want %d", c.peer.name, len(seen), n)
		}
		seen[c.read()] = true
		time.Sleep(200 * time.Millisecond)
	}
}

// boto3Peers returns boto3 in all installed versions.
func boto3Peers(t *testing.T) []peer {
	t.Helper()
	var peers []peer
	for _, python := range programs.Pythons(t, "boto3", "install the Debian package python3-boto3") {
		// The file came with 1.34.41.
		file := !strings.HasPrefix(python.Version, "1.2")
		peers = append(peers, peer{name: "boto3 " + python.Version, args: []string{python.Path, "python/read.py"}, file: file, life: shortLife})
	}
	return peers
}

// endpointPeers returns the peers that get credentials from an endpoint.
func endpointPeers(t *testing.T) []peer {
	t.Helper()
	crt := programs.Pythons(t, "awscrt", "install the Debian package python3-awscrt")[0]
	return append(boto3Peers(t), peer{name: "Common Runtime", args: []string{crt.Path, "python/readcrt.py"}, silent: true, life: 44 * time.Second})
}

// variables returns the variables that the peer needs to use the endpoint.
func (p peer) variables(t *testing.T, s *served.Serve) []string {
	t.Helper()
	if p.file {
		return s.Variables()
	}
	token, err := os.ReadFile(s.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + s.URL, "AWS_CONTAINER_AUTHORIZATION_TOKEN=" + string(token)}
}

// peerWorld is a world with sessions that live only as long as given, a role that does
// not trust the hub, and the scene for both roles.
func peerWorld(t *testing.T, life time.Duration) (open, closed served.Scene) {
	t.Helper()
	w := newWorld(t)
	t.Cleanup(func() { w.report(t) })
	w.cloud.Fault(awstest.Fault{SessionLife: life})
	open = served.Scene{
		Pod:      append(w.pod.Env(), "AWS_ENDPOINT_URL_STS="+w.url),
		Role:     w.target.ARN(),
		Endpoint: w.url, Bucket: bucket, Key: key, Content: photo,
	}
	closed = open
	closed.Role = w.cloud.Account("444455556666").CreateRole("Closed", trust.RolePolicy(w.target.ARN()).String(), "").ARN()
	return open, closed
}

// Each peer reads with credentials from crossrole serve while sessions expire, and shows
// the user the error of a role that does not trust the hub.
func TestClientsPeersServe(t *testing.T) {
	t.Parallel()
	for _, p := range endpointPeers(t) {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			open, closed := peerWorld(t, p.life)
			serve := served.Start(t, open)
			p.talk(t, open, nil, p.variables(t, serve)).across(2)

			refused := served.Start(t, closed)
			r := p.talk(t, closed, nil, p.variables(t, refused)).attempt()
			want := []string{"AssumeDenied", "trust policy of role Closed in account 444455556666"}
			if p.silent {
				want = []string{"HTTP_STATUS_FAILURE"}
			}
			for _, text := range want {
				if !strings.Contains(r.Error, text) {
					t.Errorf("%s does not show %q: %+v", p.name, text, r)
				}
			}
		})
	}
}

// A kill -9 of crossrole serve does not interrupt boto3: while the process is away, boto3
// uses the session that it has, and then gets a new one without a restart.
func TestClientsPeersServeRestarts(t *testing.T) {
	t.Parallel()
	for _, p := range boto3Peers(t) {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			// boto3 asks for a newer session 15 minutes before the expiry, and must have
			// one 10 minutes before. So it asks at each read, and does without an answer.
			open, _ := peerWorld(t, 14*time.Minute)
			serve := served.Start(t, open)
			boto3 := p.talk(t, open, nil, p.variables(t, serve))
			before := boto3.read()
			serve.Kill(t)
			if without := boto3.read(); without != before {
				t.Errorf("a session without crossrole serve: %s, want %s", without, before)
			}
			serve.Restart(t)
			if after := boto3.read(); after == before {
				t.Error("the session of before the restart")
			}
		})
	}
}

// Each peer reads as the program of crossrole exec.
func TestClientsPeersExec(t *testing.T) {
	t.Parallel()
	open, _ := peerWorld(t, time.Hour)
	for _, p := range endpointPeers(t) {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.talk(t, open, []string{served.Command(t), "exec", "--role", open.Role, "--"}, open.Pod).read()
		})
	}
}

// boto3 and the Ruby SDK read with a profile that gets its credentials from crossrole
// process. They start it again for each new session, and show its error.
func TestClientsPeersProcess(t *testing.T) {
	t.Parallel()
	ruby := programs.Find(t, "ruby", "install the Debian package ruby-aws-sdk-s3")
	peers := append(boto3Peers(t), peer{name: "Ruby", args: []string{ruby, "ruby/read.rb"}, life: shortLife})
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			open, closed := peerWorld(t, p.life)
			p.talk(t, open, nil, append(open.Pod, profile(t, open)...)).across(3)

			c := p.talk(t, closed, nil, append(closed.Pod, profile(t, closed)...))
			// Ruby leaves the standard error of the process to the terminal.
			if said := c.attempt().Error + c.stderr.String(); !strings.Contains(said, "trust policy of role Closed in account 444455556666") {
				t.Errorf("%s says only %q", p.name, said)
			}
		})
	}
}

// profile returns the variables of a configuration file with the profile pics, which
// gets its credentials from crossrole process.
func profile(t *testing.T, s served.Scene) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	text := "[profile pics]\nregion = us-east-1\ncredential_process = " + served.Command(t) + " process --role " + s.Role + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"PROFILE=pics", "AWS_CONFIG_FILE=" + file}
}

// rclone, which has the Go SDK v1, reads with credentials from crossrole serve, and as
// the program of crossrole exec.
func TestClientsPeersRclone(t *testing.T) {
	t.Parallel()
	rclone := programs.Find(t, "rclone", "install the Debian package rclone")
	open, _ := peerWorld(t, time.Hour)
	cat := []string{rclone, "cat", "--s3-provider=Other", "--s3-env-auth", "--s3-region=us-east-1", "--s3-force-path-style", "--s3-endpoint=" + open.Endpoint,
		"--retries=1", "--low-level-retries=1", ":s3:" + open.Bucket + "/" + open.Key}
	run := func(env []string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Env = programs.Alone(t, env...)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		if out, err := cmd.Output(); err != nil || string(out) != open.Content {
			t.Errorf("%v: %q, %v\n%s", args, out, err, &stderr)
		}
	}
	serve := served.Start(t, open)
	run(peer{}.variables(t, serve), cat...)
	run(open.Pod, append([]string{served.Command(t), "exec", "--role", open.Role, "--"}, cat...)...)
}
