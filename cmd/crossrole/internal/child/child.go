// Package child runs a program in the place of this process: signals that are sent to
// this process reach the program, and the program's exit status is returned. As process
// 1 of a container it also reaps orphaned processes.
//
// # How it works
//
// On Linux, [Hold] starts the command a second time with nearly all signals blocked, so
// that they can be read from a signalfd, which also says who sent them
// (hold_linux.go). Elsewhere, and for the signals that the Go runtime does not let a
// process block, os/signal delivers them, and the terminal is asked whether it may have
// sent a signal to the program as well (signals_unix.go).
//
// After [Signals.Receive], signals wait in a queue. [Signals.Run] starts the program,
// passes the queue on to it, and waits for its end.
package child

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"time"
)

// Signals passes signals on to a program. Use one for one program.
type Signals struct {
	held     *heldSignals // nil where signals cannot be held
	received chan received
}

// received is a signal that was sent to this process.
type received struct {
	signal os.Signal
	// toGroup says that the kernel sent it to the whole process group, as it does
	// for the interrupt key of a terminal. The program has it already, unless it
	// is in another group.
	toGroup bool
}

// signalQueue is how many signals may wait for the program to start.
const signalQueue = 256

// Hold blocks signals where the system allows it. It may start this process again with
// the same arguments, so call it before anything else has an effect. Without restart it
// never does, and signals are not held; for tests that run the command in their process.
func Hold(restart bool) *Signals { return &Signals{held: holdSignals(restart)} }

// Environ returns the environment that the program inherits.
func (s *Signals) Environ() []string {
	if s.held == nil {
		return os.Environ()
	}
	return s.held.environ()
}

// Receive queues signals for the program from now on, in place of their default effect
// on this process. Call stop when the program has ended.
func (s *Signals) Receive() (stop func(), err error) {
	if s.held != nil {
		s.received, err = s.held.receive()
		return func() {}, err
	}
	s.received, stop = notified()
	return stop, nil
}

// Run starts the program, passes signals on to it, and returns its exit status: 128 and
// the signal's number if a signal ended it. If it cannot be started, err says why, and
// the status is that of shells: 127 if there is no such program, else 126.
//
// grace is how long orphans may remain before process 1 reaps them: time for this
// process to wait for children of its own.
func (s *Signals) Run(cmd *exec.Cmd, grace time.Duration) (status int, err error) {
	if err := s.start(cmd, grace); err != nil {
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			return 127, err
		}
		return 126, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case r := <-s.received:
			if !r.toGroup || !inOurGroup(cmd.Process.Pid) {
				_ = cmd.Process.Signal(r.signal) // it may have ended meanwhile
			}
		case err := <-done:
			if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
				return 1, fmt.Errorf("exec: %w", err)
			}
			return exitStatus(cmd.ProcessState), nil
		}
	}
}

func (s *Signals) start(cmd *exec.Cmd, grace time.Duration) error {
	defer inForeground(cmd)()
	var err error
	if s.held != nil {
		err = s.held.start(cmd, s.received)
	} else {
		err = cmd.Start()
	}
	if err == nil && os.Getpid() == 1 {
		go reapOrphans(cmd.Process.Pid, grace)
	}
	return err
}

// notified returns the signals to pass on as os/signal delivers them, for systems and
// processes that cannot hold signals, and a function that ends it.
func notified() (chan received, func()) {
	in, out, done := make(chan os.Signal, signalQueue), make(chan received, signalQueue), make(chan struct{})
	for _, s := range forwarded {
		if !signal.Ignored(s) { // the program should ignore it too, as under nohup
			signal.Notify(in, s)
		}
	}
	go func() {
		for {
			select {
			case s := <-in:
				out <- received{s, fromTerminal(s)}
			case <-done:
				return
			}
		}
	}()
	return out, func() { signal.Stop(in); close(done) }
}
