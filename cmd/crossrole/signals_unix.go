//go:build unix

package main

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// forwarded are the signals to pass on where signals cannot be held.
var forwarded = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH,
}

// fromTerminal reports whether the kernel may have sent s to the whole process
// group: this group is in the foreground of a terminal, and s is what a
// terminal sends. Many programs take a second interrupt for impatience.
func fromTerminal(s os.Signal) bool {
	if s != syscall.SIGINT && s != syscall.SIGQUIT && s != syscall.SIGWINCH {
		return false
	}
	terminal, err := os.Open("/dev/tty")
	if err != nil {
		return false // there is none, as in a pod
	}
	defer terminal.Close()
	foreground, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}

// inOurGroup reports whether a process is in the process group of this one.
func inOurGroup(pid int) bool {
	group, err := unix.Getpgid(pid)
	return err == nil && group == unix.Getpgrp()
}

// statusOfChild is the exit status as shells report it.
func statusOfChild(p *os.ProcessState) exitError {
	if w, ok := p.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return exitError(128 + int(w.Signal()))
	}
	return exitError(p.ExitCode())
}
