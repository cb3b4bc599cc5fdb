package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/crossrole/crossrole/e2e/ceph"
)

// suite is what the tests of this binary share.
var suite struct {
	dir string // files of servers and programs; gone at the end

	mu      sync.Mutex
	started bool
	scene   *scene
	err     error
}

// TestMain stops what the tests have started, also when somebody presses
// Ctrl-C: go test leaves the signal to this process and waits for it.
func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if suite.dir, err = workDir(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	code := make(chan int, 1)
	go func() { code <- m.Run() }()
	var exit int
	select {
	case exit = <-code:
	case <-ctx.Done():
		fmt.Fprintln(os.Stderr, "e2e: interrupted, stopping the servers")
		exit = 130
	}
	if err := stopSuite(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		exit = max(exit, 1)
	}
	os.Exit(exit)
}

// workDir makes a directory beside the test binary: go test removes that place
// even after a panic or a timeout, when stopSuite does not run.
func workDir() (string, error) {
	binary, err := os.Executable()
	if err != nil {
		return "", err
	}
	return os.MkdirTemp(filepath.Dir(binary), "e2e-")
}

func stopSuite() error {
	suite.mu.Lock()
	defer suite.mu.Unlock()
	if suite.scene != nil {
		suite.scene.close()
	}
	suite.started, suite.scene, suite.err = true, nil, errors.New("the servers have been stopped")
	return os.RemoveAll(suite.dir)
}

// cephScene returns the accounts, roles and the bucket on the one gateway of
// this test binary, which starts with the first test that asks for it. Where
// Ceph is not installed the test is skipped; in CI it fails. A failing test
// prints the ends of the servers' logs.
func cephScene(t *testing.T) *scene {
	t.Helper()
	if missing := ceph.Missing(); len(missing) > 0 {
		say := t.Skipf
		if os.Getenv("CI") == "true" {
			say = t.Fatalf
		}
		say("Ceph is not installed (no %v in PATH); install it with: %s", missing, ceph.Install)
	}
	suite.mu.Lock()
	defer suite.mu.Unlock()
	if !suite.started {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		suite.started = true
		suite.scene, suite.err = newScene(ctx, filepath.Join(suite.dir, "ceph"))
	}
	if suite.err != nil {
		t.Fatal("no Ceph to test with: ", suite.err)
	}
	cluster := suite.scene.cluster
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(cluster.Logs())
		}
	})
	return suite.scene
}
