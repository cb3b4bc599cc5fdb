package child

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

// heldSignals are signals that every thread of this process blocks from its first
// instruction on, and that are read from a signalfd. Unlike os/signal, that shows
// whether the kernel sent a signal to the whole process group, and whether this process
// caused it itself, such as SIGPIPE, or the SIGURG that the Go runtime uses to preempt
// its own threads.
//
// A Go program cannot block signals in threads that it has already started, so the
// command starts itself again with the signals blocked.
type heldSignals struct {
	inherited unix.Sigset_t // the program's signal mask
	goDebug   string        // the program's GODEBUG
	held      []syscall.Signal
}

// heldVariable passes the inherited signal mask and GODEBUG on to the second start.
const heldVariable = "CROSSROLE_HELD_SIGNALS"

// holdSignals returns nil if signals cannot be held. If they can, the first call does
// not return: the command starts again.
func holdSignals(restart bool) *heldSignals {
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
	if !restart {
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

// environ returns what the program inherits: the environment of the first start.
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

// unblockable are the signals that the Go runtime unblocks in each thread. If a process
// sends one, it arrives through os/signal. Not passed on are SIGPROF, which the runtime
// keeps, and 32 to 34, for which it installs no handler because C libraries use them.
var unblockable = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGTERM, syscall.SIGSYS,
	syscall.SIGILL, syscall.SIGTRAP, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSTKFLT,
}

// signalsToHold returns all others except SIGCHLD, and SIGKILL and SIGSTOP, which no
// process can block. A shell with job control stops and continues this process together
// with the program, so those signals are not held there.
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

// receive returns a channel of the signals that are sent to this process from now on.
func (h *heldSignals) receive() (chan received, error) {
	set := sigset(h.held)
	fd, err := unix.Signalfd(-1, &set, unix.SFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("signalfd: %w", err)
	}
	others := make(chan os.Signal, signalQueue)
	for _, s := range unblockable {
		if !signal.Ignored(s) { // the program should ignore it too, as under nohup
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

// start starts the program with the signal mask that this process inherited. During the
// start one thread does not block the held signals, so they arrive through os/signal as
// well.
func (h *heldSignals) start(child *exec.Cmd, out chan<- received) error {
	meanwhile := make(chan os.Signal, signalQueue)
	for _, s := range h.held {
		if !signal.Ignored(s) { // the program should ignore it too, as under nohup
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

// inForeground makes the program start in its own process group, in the foreground of
// the terminal, if this is process 1 and has a terminal. Then the terminal's signals go
// to the program alone, and what arrives here was sent to this process. Elsewhere a
// shell controls the groups. Call the returned function after the start.
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

// reapOrphans reaps processes whose parents have ended, as process 1 of a container
// must, until no child is left. It leaves child to its own Wait. For any other process
// it waits for grace, in which this program may wait for it itself.
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

// endedProcess returns si_pid, which follows three integers and is aligned like a
// pointer.
func endedProcess(info *unix.Siginfo) int {
	const offset = (3*4 + unsafe.Sizeof(uintptr(0)) - 1) &^ (unsafe.Sizeof(uintptr(0)) - 1)
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), offset)))
}
