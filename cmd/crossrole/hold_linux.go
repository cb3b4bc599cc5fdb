package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// heldSignals are signals that every thread of this process blocks from its
// first instruction on, so that they are read from a signalfd. Unlike os/signal
// that shows whether the kernel sent a signal to the whole process group, and
// whether this process caused it itself, such as SIGPIPE, or the SIGURG by which
// the Go runtime preempts its own threads.
//
// A Go program cannot block signals in threads that it has already started, so
// the command runs itself again in its place, with the signals blocked.
type heldSignals struct {
	inherited unix.Sigset_t // what the program is to have blocked
	goDebug   string        // what the program is to have as GODEBUG
	held      []syscall.Signal
}

// heldVariable passes the inherited signal mask and GODEBUG through the second
// start.
const heldVariable = "CROSSROLE_HELD_SIGNALS"

// holdSignals returns nil if signals cannot be held. At the first call it does
// not return if they can: the command begins again.
func holdSignals() *heldSignals {
	h := &heldSignals{held: signalsToHold()}
	if value, again := os.LookupEnv(heldVariable); again {
		os.Unsetenv(heldVariable)
		mask, goDebug, _ := strings.Cut(value, ",")
		if n, err := hex.Decode(h.maskBytes(), []byte(mask)); err != nil || n != len(h.maskBytes()) {
			return nil
		}
		h.goDebug = goDebug
		return h
	}
	if !isCommand {
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		return nil
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	set := sigset(h.held)
	if unix.PthreadSigmask(unix.SIG_BLOCK, &set, &h.inherited) != nil {
		return nil
	}
	goDebug := os.Getenv("GODEBUG")
	env := append(os.Environ(), heldVariable+"="+hex.EncodeToString(h.maskBytes())+","+goDebug)
	// Without preemption the runtime lets its threads block SIGURG.
	env = append(withoutVariable(env, "GODEBUG"), "GODEBUG="+strings.TrimPrefix(goDebug+",asyncpreemptoff=1", ","))
	_ = syscall.Exec(program, os.Args, env)
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &h.inherited, nil)
	return nil
}

func withoutVariable(env []string, name string) []string {
	var kept []string
	for _, variable := range env {
		if !strings.HasPrefix(variable, name+"=") {
			kept = append(kept, variable)
		}
	}
	return kept
}

// environ is what the program inherits: the environment of the first start.
func (h *heldSignals) environ() []string {
	env := withoutVariable(os.Environ(), "GODEBUG")
	if h.goDebug != "" {
		env = append(env, "GODEBUG="+h.goDebug)
	}
	return env
}

func (h *heldSignals) maskBytes() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(&h.inherited)), 8) // the kernel knows 64 signals
}

func sigset(signals []syscall.Signal) unix.Sigset_t {
	var set unix.Sigset_t
	bits := uint(unsafe.Sizeof(set.Val[0])) * 8
	for _, s := range signals {
		set.Val[uint(s-1)/bits] |= 1 << (uint(s-1) % bits)
	}
	return set
}

const lastSignal = syscall.Signal(64)

// unblockable are the signals that the Go runtime unblocks in each thread. Sent
// by a process they arrive through os/signal. Not passed on are SIGPROF, which
// the runtime keeps, and 32 to 34, for which it installs no handler: the C
// libraries use them.
var unblockable = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGTERM, syscall.SIGSYS,
	syscall.SIGILL, syscall.SIGTRAP, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSTKFLT,
}

// signalsToHold are all others but SIGKILL and SIGSTOP, which no process can
// block, and SIGCHLD. Where a shell controls jobs it stops and continues this
// process together with the program.
func signalsToHold() []syscall.Signal {
	var held []syscall.Signal
	shell := os.Getpid() != 1 && hasTerminal()
	for s := syscall.Signal(1); s <= lastSignal; s++ {
		if slices.Contains(unblockable, os.Signal(s)) {
			continue
		}
		switch s {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGPROF, 32, 33, 34:
			continue
		case syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGCONT:
			if shell {
				continue
			}
		}
		held = append(held, s)
	}
	return held
}

func hasTerminal() bool {
	terminal, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	terminal.Close()
	return true
}

// receive returns the signals that are sent to this process from now on.
func (h *heldSignals) receive() (chan received, error) {
	set := sigset(h.held)
	fd, err := unix.Signalfd(-1, &set, unix.SFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("signalfd: %w", err)
	}
	others := make(chan os.Signal, signalQueue)
	for _, s := range unblockable {
		if !signal.Ignored(s) { // the program is to ignore it too, as under nohup
			signal.Notify(others, s)
		}
	}
	out := make(chan received, signalQueue)
	go func() {
		for s := range others {
			out <- received{s, fromTerminal(s)}
		}
	}()
	go func() {
		runtime.LockOSThread() // a thread that writes to no socket
		for {
			var info unix.SignalfdSiginfo
			n, err := unix.Read(fd, unsafe.Slice((*byte)(unsafe.Pointer(&info)), unsafe.Sizeof(info)))
			if err == unix.EINTR {
				continue
			}
			if err != nil || n != int(unsafe.Sizeof(info)) {
				return
			}
			if int(info.Pid) == os.Getpid() && info.Code <= 0 {
				continue // caused by this process
			}
			const byKernel = 0x80 // SI_KERNEL
			out <- received{syscall.Signal(info.Signo), info.Code == byKernel}
		}
	}()
	return out, nil
}

// start starts the program with the signal mask that this process was given.
// For that moment one thread does not block what is held, so that signals arrive
// through os/signal as well.
func (h *heldSignals) start(child *exec.Cmd, out chan<- received) error {
	meanwhile := make(chan os.Signal, signalQueue)
	for _, s := range h.held {
		if !signal.Ignored(s) { // the program is to ignore it too, as under nohup
			signal.Notify(meanwhile, s)
		}
	}
	err := h.startUnblocked(child)
	signal.Stop(meanwhile)
	close(meanwhile)
	for s := range meanwhile {
		out <- received{s, fromTerminal(s)}
	}
	return err
}

func (h *heldSignals) startUnblocked(child *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var held unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &h.inherited, &held); err != nil {
		return err
	}
	defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &held, nil) }()
	return child.Start()
}

// inForeground has the program start in a process group of its own, in the
// foreground of the terminal, if this is process 1 and has one. What the
// terminal sends goes to the program alone then, and what arrives here was sent
// here. Elsewhere a shell controls the groups.
func inForeground(child *exec.Cmd) func() {
	if os.Getpid() != 1 {
		return func() {}
	}
	terminal, err := os.Open("/dev/tty")
	if err != nil {
		return func() {}
	}
	if group, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPGRP); err == nil && group == unix.Getpgrp() {
		child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Foreground: true, Ctty: int(terminal.Fd())}
	}
	return func() { terminal.Close() }
}

// reapOrphans reaps, as process 1 of a container must, the processes whose
// parents have ended, until there is none. It leaves child to its own Wait.
// grace is how long any other process may be waited for by this program itself.
func reapOrphans(child int, grace time.Duration) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return // no child is left
		}
		pid := endedProcess(&info)
		if pid == child {
			time.Sleep(time.Millisecond) // until its Wait has returned
			continue
		}
		time.Sleep(grace)
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
	}
}

// endedProcess reads si_pid, which follows three integers and is aligned like a
// pointer.
func endedProcess(info *unix.Siginfo) int {
	const offset = (3*4 + unsafe.Sizeof(uintptr(0)) - 1) &^ (unsafe.Sizeof(uintptr(0)) - 1)
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), offset)))
}
