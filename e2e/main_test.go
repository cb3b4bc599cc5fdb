package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/crossrole/crossrole/e2e/ceph"
)

// TestMain stops what the tests have started, also when somebody presses
// Ctrl-C: go test passes the signal on and waits for this process.
func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code := make(chan int, 1)
	go func() { code <- m.Run() }()
	select {
	case c := <-code:
		shared.stop()
		os.Exit(c)
	case <-ctx.Done():
		fmt.Fprintln(os.Stderr, "e2e: interrupted, stopping the servers")
		shared.stop()
		os.Exit(130)
	}
}

// shared is the one gateway of this test binary. It starts with the first test
// that asks for it.
var shared server

type server struct {
	mu      sync.Mutex
	stopped bool
	dir     string
	scene   *scene
	err     error
}

// cephScene returns the accounts, roles and the bucket on a running gateway.
// Where Ceph is not installed the test is skipped, in CI it fails. When the
// test fails, it prints the ends of the servers' logs.
func cephScene(t *testing.T) *scene {
	t.Helper()
	if missing := ceph.Missing(); len(missing) > 0 {
		say := t.Skipf
		if os.Getenv("CI") == "true" {
			say = t.Fatalf
		}
		say("Ceph is not installed (no %v); install it with: %s", missing, ceph.Install)
	}
	s, err := shared.start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.cluster.Logs())
		}
	})
	return s
}

func (s *server) start() (*scene, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.scene != nil || s.err != nil {
		return s.scene, s.err
	}
	if s.stopped {
		return nil, fmt.Errorf("e2e: the servers have been stopped")
	}
	if s.dir, s.err = os.MkdirTemp("", "crossrole-ceph-"); s.err != nil {
		return nil, s.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s.scene, s.err = newScene(ctx, s.dir)
	return s.scene, s.err
}

func (s *server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.scene != nil {
		s.scene.close()
	}
	if s.dir == "" {
		return
	}
	if err := os.RemoveAll(s.dir); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
	}
}
