package kubernetes_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/crossrole/crossrole/e2e/ceph"
	"github.com/crossrole/crossrole/e2e/kubernetes"
	"github.com/crossrole/crossrole/e2e/suite"
)

var (
	drills = flag.String("drills", "", "a Markdown `file`, into which the table of drills is written")
	soak   = flag.Duration("soak", defaultSoak, "how long the soak lasts")
)

// Variables that the outer process passes to the inner one.
const (
	serversVariable  = "CROSSROLE_E2E_SERVERS"  // directory of the servers
	programsVariable = "CROSSROLE_E2E_PROGRAMS" // directory of our programs
)

// TestMain runs the tests in a process with its own namespaces (see
// kubernetes.Isolate). Before that it does what needs the network, to fetch modules.
func TestMain(m *testing.M) {
	kubernetes.Become() // if this process is to be a pod's container
	flag.Parse()
	switch {
	case kubernetes.Isolated():
		if err := kubernetes.Settle(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		suite.AtEnd(func() {
			if *drills == "" {
				return
			}
			if err := results.write(*drills); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		})
		suite.Main(m)
	case flag.Lookup("test.list").Value.String() != "" || lacking() != "":
		os.Exit(m.Run()) // the tests report what is missing
	}
	exit, err := isolate()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		exit = 1
	}
	os.Exit(exit)
}

// lacking returns what this machine lacks for the tests, and what to do about it.
func lacking() string {
	if os.Geteuid() != 0 {
		return "namespaces, and pods with users of their own, take root: run the tests as root"
	}
	if missing := ceph.Missing(); len(missing) > 0 {
		return fmt.Sprintf("Ceph is not installed (no %v in PATH); install it with: %s", missing, ceph.Install)
	}
	return ""
}

func isolate() (int, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	servers, err := kubernetes.Build(ctx, "tool", func(dir string) {
		fmt.Fprintln(os.Stderr, "building the servers of Kubernetes into "+dir+": 6 minutes, once")
	})
	if err != nil {
		return 0, err
	}
	// Next to the test binary, where go test always removes it.
	binary, err := os.Executable()
	if err != nil {
		return 0, err
	}
	programs, err := os.MkdirTemp(filepath.Dir(binary), "programs-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(programs)
	for _, p := range []struct{ module, pkg string }{
		{"../..", "./examples/fetch"}, {"../..", "./cmd/crossrole"}, {"..", "./kubernetes/reader"}, {"..", "./kubernetes/app"},
		{"../../examples/controller", "github.com/crossrole/crossrole/examples/controller"},
	} {
		if _, err := kubernetes.Program(ctx, p.module, programs, p.pkg); err != nil {
			return 0, err
		}
	}
	if _, err := kubernetes.SkewedProgram(ctx, "../..", programs, "./examples/fetch"); err != nil {
		return 0, err
	}
	stop() // from here on the inner process handles signals
	return kubernetes.Isolate(serversVariable+"="+servers, programsVariable+"="+programs)
}

// program returns the path of one of our programs.
func program(name string) string { return filepath.Join(os.Getenv(programsVariable), name) }
