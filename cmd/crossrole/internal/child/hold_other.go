//go:build !linux

package child

import (
	"os/exec"
	"time"
)

// heldSignals exist on Linux only.
type heldSignals struct{}

func holdSignals(bool) *heldSignals { return nil }

func (*heldSignals) environ() []string                              { return nil }
func (*heldSignals) receive() (chan received, error)                { return nil, nil }
func (*heldSignals) start(child *exec.Cmd, _ chan<- received) error { return child.Start() }

func inForeground(*exec.Cmd) func() { return func() {} }

func reapOrphans(int, time.Duration) {}
