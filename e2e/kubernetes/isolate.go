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

// isolated is set for the program that Isolate starts.
const isolated = "CROSSROLE_E2E_ISOLATED"

// Isolated reports whether this process runs in namespaces of its own.
func Isolated() bool { return os.Getenv(isolated) != "" }

// Isolate runs this very program again, with the same arguments, as the first
// process of PID, mount and network namespaces of its own, and returns its exit
// status. There it is alone with a loopback device: servers that listen on all
// interfaces cannot be reached from outside, ports may be fixed, and mounts are
// not visible to others. When it ends, however it does, the kernel ends every process in the
// namespaces and drops them.
//
// It needs to be root. A Ctrl-C in the terminal reaches the inner program, which
// ends in order.
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
			// One that the terminal has sent to both is not sent twice.
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

// Settle makes the new namespaces fit to live in.
func Settle() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("kubernetes: keep mounts to ourselves: %w", err)
	}
	// Process ids are counted anew.
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("kubernetes: mount /proc: %w", err)
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("kubernetes: loopback: %w", err)
	}
	defer unix.Close(socket)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("kubernetes: loopback: %w", err)
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("kubernetes: loopback: %w", err)
	}
	return nil
}
