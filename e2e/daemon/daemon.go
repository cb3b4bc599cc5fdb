// Package daemon runs other people's servers as children of a test process and
// sees to it that none of them outlives it.
//
// A server runs in the foreground in a process group of its own, so that a
// Ctrl-C in the terminal reaches the test alone, which then stops the servers
// in order; the kernel kills a server whose parent died without doing so
// (SIGKILL, a panic, the -timeout of go test).
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
	log  string // file with what the server wrote to stdout and stderr
	cmd  *exec.Cmd
	done chan struct{} // closed once the process has been waited for
	err  error         // how it ended; read after done
}

// Start runs a program in dir with the arguments and nothing but the given
// environment. Its output goes into name.log there.
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
	// Pdeathsig follows the thread that forked. The Go runtime ends a thread
	// only when a goroutine locked to it returns, and none of ours is locked.
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

// Stop kills the server's process group and returns when the server is gone.
// A server that has ended already is left alone, so Stop may be called again.
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

// Until asks ready again and again until it returns nil. It gives up when the
// context ends or the server does; the error then says what ready said last.
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
