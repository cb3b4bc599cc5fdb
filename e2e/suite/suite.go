// Package suite runs the tests of a binary and leaves no servers and no files behind,
// whether they succeed, fail, panic, time out or are interrupted by Ctrl-C.
package suite

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
)

var ending struct {
	mu    sync.Mutex
	funcs []func()
}

// AtEnd makes Main call f after the tests. Functions registered later are called first.
func AtEnd(f func()) {
	ending.mu.Lock()
	defer ending.mu.Unlock()
	ending.funcs = append(ending.funcs, f)
}

// Main is the body of a TestMain: it runs the tests and exits. While it runs,
// temporary files of the tests and of the programs that they start go into a directory
// that is removed afterwards.
func Main(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := tempDir()
	if err != nil {
		fmt.Fprintln(os.Stderr, "suite:", err)
		os.Exit(1)
	}
	code := make(chan int, 1)
	go func() { code <- m.Run() }()
	var exit int
	select {
	case exit = <-code:
	case <-ctx.Done():
		fmt.Fprintln(os.Stderr, "suite: interrupted, stopping the servers")
		exit = 130
	}
	ending.mu.Lock() // never unlocked: nothing may start from here on
	for _, f := range slices.Backward(ending.funcs) {
		f()
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, "suite:", err)
		exit = max(exit, 1)
	}
	os.Exit(exit)
}

// tempDir creates a directory next to the test binary and directs temporary files to
// it. go test removes it even after a panic or a timeout, when Main cannot.
func tempDir() (string, error) {
	binary, err := os.Executable()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(filepath.Dir(binary), "suite-")
	if err != nil {
		return "", err
	}
	return dir, os.Setenv("TMPDIR", dir)
}
