// Package daemon runs third-party servers as children of a test process and makes sure
// that none of them outlives it.
//
// A server runs in the foreground in its own process group, so that a Ctrl-C in the
// terminal reaches only the test, which then stops the servers in order. If the test
// dies without doing so (SIGKILL, a panic, the -timeout of go test), the kernel kills
// the servers.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Daemon is a running server. Its methods may be called from any goroutine.
type Daemon struct {
	name string
	log  string // file with the server's stdout and stderr
	cmd  *exec.Cmd
	done chan struct{} // closed once the process has been waited for
	err  error         // how it ended; read after done
}

// Start runs a program in dir with the arguments and only the given environment. Its
// output goes to name.log in dir.
func Start(dir, name, program string, env []string, args ...string) (*Daemon, error) {
	d := &Daemon{
		name: name,
		log:  filepath.Join(dir, name+".log"),
		cmd:  exec.Command(program, args...),
		done: make(chan struct{}),
	}
	out, err := os.Create(d.log)
	if err != nil {
		return nil, fmt.Errorf("daemon: log of %s: %w", d.name, err)
	}
	defer out.Close()
	d.cmd.Dir, d.cmd.Env = dir, env
	d.cmd.Stdout, d.cmd.Stderr = out, out
	// Pdeathsig is tied to the thread that forked. The Go runtime ends a thread only
	// when a goroutine locked to it returns, and none of ours is locked.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("daemon: start %s: %w", d.name, err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.done)
	}()
	return d, nil
}

// Stop kills the server's process group and waits until the server has exited. If it
// has exited already, Stop does nothing, so it may be called again.
func (d *Daemon) Stop() {
	select {
	case <-d.done:
		return
	default:
	}
	// While the child has not been waited for, its group cannot be reused.
	if err := syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		fmt.Fprintf(os.Stderr, "daemon: kill %s: %v\n", d.name, err)
	}
	<-d.done
}

// Until calls ready repeatedly until it returns nil. It stops when the context is done
// or the server exits; its error then contains the last error of ready.
func (d *Daemon) Until(ctx context.Context, ready func(context.Context) error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-d.done:
			return fmt.Errorf("daemon: %s ended before it was ready: %w", d.name, errors.Join(d.err, err))
		case <-ctx.Done():
			return fmt.Errorf("daemon: %s is not ready: %w: %w", d.name, context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}
