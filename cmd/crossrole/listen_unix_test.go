//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
)

// serveHere runs serve on a listener of this machine until the test ends, and
// returns the fields of the first line that it prints.
func serveHere(t *testing.T, s *serveCmd, pod *fakePod, listener net.Listener) []string {
	t.Helper()
	printed, out := io.Pipe()
	s.out = out
	server := newServer(t, s, pod, "pics="+target)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.serve(ctx, server, listener, nil) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve ended with %v", err)
		}
	})
	line, err := bufio.NewReader(printed).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(line)
}

// Every URL that serve prints works, and its protection against other names
// stays.
func TestPrintedURLs(t *testing.T) {
	hostname, err := os.Hostname()
	if err != nil {
		t.Skip(err)
	}
	for _, tt := range []struct{ listen, name string }{
		{"127.0.0.1:0", ""}, {"127.0.0.2:0", ""}, {"[::1]:0", ""}, {"[::ffff:127.0.0.1]:0", ""}, {"localhost:0", "localhost"}, {"LOCALHOST:0", "localhost"},
		{"0.0.0.0:0", ""}, {"[::]:0", ""}, {":0", ""}, {hostname + ":0", hostname},
	} {
		pod := newQuietPod(t.TempDir())
		s := &serveCmd{listen: tt.listen, tokenDir: t.TempDir(), beyondPod: strings.HasPrefix(tt.listen, "0.") || strings.HasPrefix(tt.listen, "[::]") || strings.HasPrefix(tt.listen, ":") || tt.name == hostname}
		if err := s.checkReach(t.Context()); err != nil {
			t.Errorf("%s: %v", tt.listen, err)
			continue
		}
		listener, err := listen(t.Context(), "--listen", tt.listen)
		if err != nil {
			t.Logf("%s: %v", tt.listen, err) // this machine has no such address
			continue
		}
		printed := serveHere(t, s, pod, listener)
		for _, host := range []string{"", tt.name} {
			url, file := printed[1], printed[2]
			if host != "" {
				_, port, _ := net.SplitHostPort(listener.Addr().String())
				url = "http://" + net.JoinHostPort(host, port) + "/v1/pics"
			}
			if err := read(t.Context(), programOf(pod, url, file)); err != nil {
				t.Errorf("%s: %s: %v", tt.listen, url, err)
			}
		}
		for _, host := range []string{"attacker.example", "127.0.0.1.nip.io", "10.1.2.3", "[2001:db8::1]"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, printed[1], nil)
			if err != nil {
				t.Fatal(err)
			}
			_, port, _ := net.SplitHostPort(listener.Addr().String())
			req.Host = host + ":" + port
			token, err := os.ReadFile(printed[2])
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", string(token))
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusForbidden {
				t.Errorf("%s: Host %s: %d", tt.listen, host, resp.StatusCode)
			}
		}
	}
}

func TestListenAddresses(t *testing.T) {
	for _, tt := range []serveCmd{
		{listen: "127.0.0.1:9911", admin: "127.0.0.1:9911"}, {listen: "127.0.0.1:9911", admin: ":9911"}, {listen: "127.0.0.1:9911", admin: "0.0.0.0:9911"},
		{listen: "127.0.0.1:99999"}, {listen: "127.0.0.1:-1"}, {listen: "127.0.0.1:http"}, {listen: "127.0.0.1:"}, {listen: "10.0.0.1:9911"}, {listen: ":9911"}, {listen: "[fe80::1%eth0]:9911"},
		{listen: "127.0.0.1:9911", admin: "9912"}, {listen: "127.0.0.1:9911", admin: "127.0.0.1:70000"},
	} {
		if err := tt.checkReach(t.Context()); !errors.As(err, new(usageError)) {
			t.Errorf("--listen %q --admin %q: %v", tt.listen, tt.admin, err)
		}
	}
	for _, tt := range []serveCmd{{listen: "127.0.0.1:9911", admin: "127.0.0.2:9911"}, {listen: "127.0.0.1:0", admin: "127.0.0.1:0"}, {listen: "127.0.0.1:9911", admin: ":9912"}} {
		if err := tt.checkReach(t.Context()); err != nil {
			t.Errorf("--listen %q --admin %q: %v", tt.listen, tt.admin, err)
		}
	}
}

// A hangup has sessions renewed and does not end serve.
func TestHangup(t *testing.T) {
	_, vars := newFakePod(t, t.TempDir())
	serve := startCommand(t, vars, "serve", "--role", "pics="+target, "--token-dir", t.TempDir(), "--listen", "localhost:0")
	serve.line()
	if err := serve.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if status := serve.end(syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d\n%s", status, serve.stderr)
	}
}
