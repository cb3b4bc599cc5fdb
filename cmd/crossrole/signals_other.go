//go:build !unix

package main

import "os"

var forwarded = []os.Signal{os.Interrupt}

// fromTerminal is always so here: the console sends to all its processes, and
// processes send each other no signals.
func fromTerminal(os.Signal) bool { return true }

func inOurGroup(int) bool { return true }

func statusOfChild(p *os.ProcessState) exitError { return exitError(p.ExitCode()) }
