package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// startInit runs crossrole exec as process 1 of a PID namespace of its own.
func startInit(t *testing.T, script string, stdin ...*os.File) *process {
	t.Helper()
	_, vars := newFakePod(t, t.TempDir())
	for _, attr := range []*syscall.SysProcAttr{
		{Cloneflags: syscall.CLONE_NEWPID, Setsid: true},
		{
			Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWUSER, Setsid: true,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		},
	} {
		attr.Setctty = len(stdin) > 0
		p, err := tryCommand(t, attr, stdin, append(vars, "HOME="+t.TempDir()), "exec", "--role", target, "--", "sh", "-c", script)
		if err == nil {
			return p
		}
		if !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	t.Skip("this user may make neither a PID namespace nor a user namespace")
	return nil
}

// zombiesOf counts the ended children of a process that it has not reaped.
func zombiesOf(t *testing.T, pid int) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // ended meanwhile
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if fields[0] == "Z" && fields[1] == strconv.Itoa(pid) {
			n++
		}
	}
	return n
}

// Process 1 reaps the orphans, and the program's exit status is still its own.
func TestExecAsInitReapsOrphans(t *testing.T) {
	p := startInit(t, `
		i=0
		while [ $i -lt 100 ]; do (sleep 0.01 &); i=$((i+1)); done
		echo started
		read line
		exit 7`)
	if line := p.line(); line != "started" {
		t.Fatalf("printed %q\n%s", line, p.stderr)
	}
	pid := p.cmd.Process.Pid
	deadline, tick := time.After(20*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for children := -1; children != 1; { // the program
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d children are left, %d of them zombies; want the program alone", children, zombiesOf(t, pid))
		}
		list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			t.Fatal(err)
		}
		// Children belong to the thread that started them; orphans to the first.
		children = len(strings.Fields(string(list))) + 1
		if zombiesOf(t, pid) > 0 && children == 1 {
			children = 2
		}
	}
	if _, err := p.stdin.Write([]byte("go on\n")); err != nil {
		t.Fatal(err)
	}
	if status := p.wait(); status != 7 {
		t.Errorf("exit status %d, want 7\n%s", status, p.stderr)
	}
}

// Every signal that can be passed on arrives, and arrives once.
func TestExecAsInitPassesEverySignalOnce(t *testing.T) {
	var signals []syscall.Signal
	var traps strings.Builder
	for s := syscall.Signal(1); s <= 64; s++ {
		switch s {
		case syscall.SIGKILL, syscall.SIGSTOP: // cannot be caught
		case syscall.SIGCHLD: // says that a child of the receiver has ended
		case 32, 33, 34, syscall.SIGPROF: // the Go runtime does not deliver them
		default:
			signals = append(signals, s)
			fmt.Fprintf(&traps, "trap 'echo %d' %d\n", s, s)
		}
	}
	p := startInit(t, traps.String()+"sleep 1000 & echo ready; while :; do wait; done")
	if line := p.line(); line != "ready" {
		t.Fatalf("printed %q\n%s", line, p.stderr)
	}
	for range 3 { // a second copy of one would be read as the next
		for _, s := range signals {
			if err := p.cmd.Process.Signal(s); err != nil {
				t.Fatalf("%d: %v\n%s", s, err, p.stderr)
			}
			if line := p.line(); line != strconv.Itoa(int(s)) {
				t.Errorf("sent %d, the program got %q", s, line)
			}
		}
	}
	if status := p.end(syscall.SIGKILL); status != -1 {
		t.Errorf("exit status %d", status)
	}
}

// A program that a signal ends gives 128 and its number.
func TestExecAsInitStatusOfSignal(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, 35, 64} {
		p := startInit(t, "echo ready; read line")
		if line := p.line(); line != "ready" {
			t.Fatalf("printed %q\n%s", line, p.stderr)
		}
		if status := p.end(s); status != 128+int(s) {
			t.Errorf("%v: exit status %d, want %d\n%s", s, status, 128+int(s), p.stderr)
		}
	}
}

// openTerminal returns the two ends of a terminal: what its user types and what
// programs have as standard input.
func openTerminal(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { user.Close() })
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return user, program
}

// With a terminal an interrupt arrives once, whether it is typed or sent to
// process 1 alone.
func TestExecAsInitInterruptOfTerminal(t *testing.T) {
	user, program := openTerminal(t)
	p := startInit(t, "trap 'echo int' INT; trap 'echo usr2' USR2; sleep 1000 & echo ready; while :; do wait; done", program)
	want := func(line string) {
		t.Helper()
		if got := p.line(); got != line {
			t.Errorf("the program printed %q, want %q\n%s", got, line, p.stderr)
		}
	}
	want("ready")
	for range 3 {
		if _, err := user.Write([]byte{3}); err != nil { // Ctrl-C
			t.Fatal(err)
		}
		want("int")
		for _, s := range []syscall.Signal{syscall.SIGUSR2, syscall.SIGINT, syscall.SIGUSR2} {
			if err := p.cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			want(map[syscall.Signal]string{syscall.SIGINT: "int", syscall.SIGUSR2: "usr2"}[s])
		}
	}
	p.end(syscall.SIGKILL)
}
