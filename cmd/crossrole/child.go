package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
)

// received is a signal that was sent to this process.
type received struct {
	signal os.Signal
	// toGroup says that the kernel sent it to the whole process group, as it does
	// for the interrupt key of a terminal. The program has it already, unless it
	// is in another group.
	toGroup bool
}

// run starts the program and passes signals on to it until it has ended. Its
// exit status, if it is not 0, is the error.
func (p *program) run(signals chan received) error {
	if err := p.start(signals); err != nil {
		status := exitError(126)
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			status = 127
		}
		fmt.Fprintf(p.Stderr, "crossrole: exec: %v\n", err)
		return status
	}
	done := make(chan error, 1)
	go func() { done <- p.Wait() }()
	for {
		select {
		case s := <-signals:
			if !s.toGroup || !inOurGroup(p.Process.Pid) {
				_ = p.Process.Signal(s.signal) // it may have ended meanwhile
			}
		case err := <-done:
			if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
				return fmt.Errorf("exec: %w", err)
			}
			if status := statusOfChild(p.ProcessState); status != 0 {
				return status
			}
			return nil
		}
	}
}
