//go:build unix

package child_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/crossrole/crossrole/cmd/crossrole/internal/child"
)

// The status is the program's, or that of shells.
func TestStatus(t *testing.T) {
	noProgram := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(noProgram, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args   []string
		status int
		starts bool
	}{
		{[]string{"true"}, 0, true},
		{[]string{"sh", "-c", "exit 7"}, 7, true},
		{[]string{"sh", "-c", "kill -TERM $$"}, 128 + 15, true},
		{[]string{"no-such-program"}, 127, false},
		{[]string{noProgram + ".absent"}, 127, false},
		{[]string{noProgram}, 126, false},
	} {
		signals := child.Hold(false)
		stop, err := signals.Receive()
		if err != nil {
			t.Fatal(err)
		}
		status, err := signals.Run(exec.CommandContext(t.Context(), tt.args[0], tt.args[1:]...), 0)
		stop()
		if status != tt.status || (err == nil) != tt.starts {
			t.Errorf("%q: status %d, %v; want %d", tt.args, status, err, tt.status)
		}
	}
}

// A signal that this process gets while the program runs goes to the program.
func TestSignalIsPassedOn(t *testing.T) {
	signals := child.Hold(false)
	stop, err := signals.Receive()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "trap 'exit 9' USR1; echo ready; read line")
	stdin, err := cmd.StdinPipe() // on which nothing is sent
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "ready\n" {
			t.Errorf("printed %q, %v", line, err)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
			t.Error(err)
		}
	}()
	if status, err := signals.Run(cmd, 0); status != 9 || err != nil {
		t.Errorf("status %d, %v; want the trap's", status, err)
	}
}
