//go:build !unix

package child

import "os"

var forwarded = []os.Signal{os.Interrupt}

// fromTerminal returns true: the console sends signals to all its processes, and
// processes cannot send any to each other.
func fromTerminal(os.Signal) bool { return true }

func inOurGroup(int) bool { return true }

func exitStatus(p *os.ProcessState) int { return p.ExitCode() }
