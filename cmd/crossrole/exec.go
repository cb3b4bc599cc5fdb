package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/crossrole/crossrole/cmd/crossrole/internal/credserver"
	"github.com/crossrole/crossrole/credentials"
)

// isCommand says that this process is the command, which exec may start again in
// its place, and not a test of it.
var isCommand bool

func newExec() *cobra.Command {
	var pod podFlags
	var keepHomeFiles bool
	c := &cobra.Command{
		Use:   "exec [--role ARN]... -- PROGRAM [ARGUMENT]...",
		Short: "Run a program with the credentials of a role, kept fresh",
		Long: `exec gets a session of the chain's last role, opens a container credential
endpoint on a free port of 127.0.0.1, and runs the program with

  AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN

set. The token is for this program alone. Its SDK asks there whenever it needs
credentials, for as long as it runs. Variables that select other credentials
(AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ROLE_ARN, BOTO_CONFIG, …) are not passed on,
nor are the shared configuration files, whose default profile would come first;
AWS_REGION and AWS_DEFAULT_REGION are set. docs/serve.md lists them all.

A default profile with credentials in ~/.aws cannot be hidden from every SDK. Then
exec refuses to start; --keep-home-files starts the program nevertheless.

Signals go to the program. As process 1 of a container exec also reaps orphaned
processes. The exit status is the program's; 128 and the signal's number where a
signal ended it, 127 where there is no such program, 126 where it cannot be run,
1 where there are no credentials.`,
		Example: "  crossrole exec --role arn:aws:iam::444455556666:role/S3_Pics -- aws s3 ls s3://pics",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			held := holdSignals() // first of all: it may start the command again
			if !keepHomeFiles {
				if err := identityInHome(os.Getenv); err != nil {
					return err
				}
			}
			var started atomic.Bool
			logger := slog.New(startLog{slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}), &started})
			chain, err := pod.chain(c.Context(), func(o *credentials.Options) { o.Logger = logger })
			if err != nil {
				return err
			}
			// Without credentials the program need not start, and this error says
			// more than its SDK's.
			if _, err := chain.Retrieve(c.Context()); err != nil {
				return err
			}
			started.Store(true)
			child := exec.Command(args[0], args[1:]...)
			child.Stdin, child.Stdout, child.Stderr = c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()
			p := program{Cmd: child, held: held}
			if pod.source == "base" {
				p.grace = 50 * time.Millisecond // for a credential_process of the SDK
			}
			return p.runBeside(c.Context(), chain, logger)
		},
	}
	pod.add(c)
	c.Flags().BoolVar(&keepHomeFiles, "keep-home-files", false, "start the program even if a file in ~/.aws gives some SDKs another identity")
	c.Flags().SetInterspersed(false) // what follows the program is the program's
	return c
}

// startLog leaves out failed refreshes until started: the command returns the
// error of the first session.
type startLog struct {
	slog.Handler
	started *atomic.Bool
}

func (l startLog) Handle(ctx context.Context, r slog.Record) error {
	failed := false
	r.Attrs(func(a slog.Attr) bool { failed = failed || a.Key == "error"; return !failed })
	if failed && !l.started.Load() {
		return nil
	}
	return l.Handler.Handle(ctx, r)
}

// program is the program that exec runs.
type program struct {
	*exec.Cmd
	held  *heldSignals  // nil where signals cannot be held
	grace time.Duration // see reapOrphans
}

// runBeside runs the program next to an endpoint of its own.
func (p *program) runBeside(ctx context.Context, chain *credentials.Chain, logger *slog.Logger) error {
	token := credserver.NewToken()
	listener, err := listen(ctx, "exec", "127.0.0.1:0")
	if err != nil {
		return err
	}
	role := credserver.NewRole("role", token, chain, false)
	env := os.Environ()
	if p.held != nil {
		env = p.held.environ()
	}
	url := "http://" + listener.Addr().String() + role.Path()
	p.Env = childEnv(env, chain.Config().Region, url, token, runtime.GOOS == "windows")

	// From here on signals are the program's: the endpoint goes on until the
	// program has ended, whatever becomes of ctx.
	signals, stopSignals, err := p.signals()
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer stopSignals()
	if err := ctx.Err(); err != nil {
		return errors.Join(err, listener.Close())
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	server := credserver.Server{Roles: []*credserver.Role{role}, Logger: logger}
	go func() { served <- server.Run(ctx, listener, nil) }()
	err = p.run(signals)
	stop()
	return errors.Join(err, <-served)
}

// signals returns what is to be passed on to the program, and how to end that.
func (p *program) signals() (chan received, func(), error) {
	if p.held == nil {
		signals, stop := notified()
		return signals, stop, nil
	}
	signals, err := p.held.receive()
	return signals, func() {}, err
}

func (p *program) start(signals chan<- received) error {
	defer inForeground(p.Cmd)()
	var err error
	if p.held != nil {
		err = p.held.start(p.Cmd, signals)
	} else {
		err = p.Start()
	}
	if err == nil && os.Getpid() == 1 {
		go reapOrphans(p.Process.Pid, p.grace)
	}
	return err
}

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
