//go:build unix

package main

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// forwarded are the signals that one process sends another to be heard.
var forwarded = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2,
}

// reachesChild reports whether the program got the signal by itself: a terminal
// sends what its user types to all processes in the foreground. Many programs
// take a second interrupt for impatience.
func reachesChild(s os.Signal) bool {
	if s != syscall.SIGINT && s != syscall.SIGQUIT {
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

// statusOfChild is the exit status as shells report it.
func statusOfChild(p *os.ProcessState) exitError {
	if w, ok := p.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return exitError(128 + int(w.Signal()))
	}
	return exitError(p.ExitCode())
}
