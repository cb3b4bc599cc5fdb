package kubernetes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// isolated is a variable that is set in the program that Isolate starts.
const isolated = "CROSSROLE_E2E_ISOLATED"

// Isolated reports whether this process runs in its own namespaces.
func Isolated() bool { return os.Getenv(isolated) != "" }

// Isolate runs this program again, with the same arguments, as the first process of new
// PID, mount and network namespaces, and returns its exit status. The only network
// device there is loopback: servers that listen on all interfaces cannot be reached from
// outside, ports may be fixed, and mounts are not visible to others. However the program
// ends, the kernel kills all processes in the namespaces and removes them.
//
// Isolate needs root. A Ctrl-C in the terminal reaches the inner program, which then
// shuts down in order.
func Isolate(env ...string) (exit int, err error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(append(os.Environ(), isolated+"=1"), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("kubernetes: a process in namespaces of its own (it takes root): %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			// Do not forward a signal that the terminal has sent to both.
			if s != os.Interrupt {
				if err := cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
					return 0, fmt.Errorf("kubernetes: pass %v on: %w", s, err)
				}
			}
		case err := <-done:
			if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
				return 0, fmt.Errorf("kubernetes: %w", err)
			}
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
				return 128 + int(status.Signal()), nil
			}
			return cmd.ProcessState.ExitCode(), nil
		}
	}
}

// Settle sets up the new namespaces: the loopback device and /proc.
func Settle() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("kubernetes: keep mounts to ourselves: %w", err)
	}
	// Process IDs are different in the new namespace.
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("kubernetes: mount /proc: %w", err)
	}
	return loopback()
}
