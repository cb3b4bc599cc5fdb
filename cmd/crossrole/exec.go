package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/crossrole/crossrole/cmd/crossrole/internal/child"
	"github.com/crossrole/crossrole/cmd/crossrole/internal/childenv"
	"github.com/crossrole/crossrole/cmd/crossrole/internal/credserver"
	"github.com/crossrole/crossrole/credentials"
)

// isCommand says that this process is the command, which exec may start again, and not a
// test.
var isCommand bool

func newExec() *cobra.Command {
	var pod podFlags
	var keepHomeFiles bool
	c := &cobra.Command{
		Use:   "exec [--role ARN]... -- PROGRAM [ARGUMENT]...",
		Short: "Run a program with credentials of a role, renewed for as long as it runs",
		Long: `exec gets a session of the chain's last role, opens a container credential
endpoint on a free port of 127.0.0.1, and runs the program with these variables:

  AWS_CONTAINER_CREDENTIALS_FULL_URI
  AWS_CONTAINER_AUTHORIZATION_TOKEN

The token is for this program alone. The program's SDK gets its credentials there
for as long as it runs. exec removes variables that select other credentials
(AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ROLE_ARN, BOTO_CONFIG, …), and hides the shared
configuration files, whose default profile would take precedence. It sets AWS_REGION
and AWS_DEFAULT_REGION. docs/serve.md lists all variables.

A default profile with credentials in ~/.aws cannot be hidden from every SDK. If
there is one, exec does not start the program, unless you add --keep-home-files.

Signals are passed on to the program. As process 1 of a container, exec also reaps
orphaned processes. The exit status is the program's: 128 plus the signal's number
if a signal ended it, 127 if there is no such program, 126 if it cannot be run, 1 if
there are no credentials.`,
		Example: "  crossrole exec --role arn:aws:iam::444455556666:role/S3_Pics -- aws s3 ls s3://pics",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			signals := child.Hold(isCommand) // first of all: it may start the command again
			if !keepHomeFiles {
				if err := childenv.CheckHome(os.Getenv); err != nil {
					return err
				}
			}
			var started atomic.Bool
			logger := slog.New(startLog{slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}), &started})
			chain, err := pod.chain(c.Context(), func(o *credentials.Options) { o.Logger = logger })
			if err != nil {
				return err
			}
			// Without credentials there is no point in starting the program, and this
			// error says more than its SDK's would.
			if _, err := chain.Retrieve(c.Context()); err != nil {
				return err
			}
			started.Store(true)
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()
			var grace time.Duration
			if pod.source == "base" {
				grace = 50 * time.Millisecond // in which the SDK waits for its credential_process
			}
			return runBeside(c.Context(), cmd, signals, grace, chain, logger)
		},
	}
	pod.add(c)
	c.Flags().BoolVar(&keepHomeFiles, "keep-home-files", false, "start the program even if a file in ~/.aws gives some SDKs another identity")
	c.Flags().SetInterspersed(false) // flags after the program are the program's
	return c
}

// startLog drops failed refreshes until started, since the command itself returns the
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

// runBeside runs the program while the sessions of chain are served to it.
func runBeside(ctx context.Context, cmd *exec.Cmd, signals *child.Signals, grace time.Duration, chain *credentials.Chain, logger *slog.Logger) error {
	listener, err := listen(ctx, "exec", "127.0.0.1:0")
	if err != nil {
		return err
	}
	token := credserver.NewToken()
	role := credserver.NewRole("role", token, chain, false)
	url := "http://" + listener.Addr().String() + role.Path()
	cmd.Env = childenv.Environ(signals.Environ(), chain.Config().Region, url, token, runtime.GOOS == "windows")

	// From here on signals are the program's: credentials are served until the program
	// has ended, even if ctx ends before.
	stopSignals, err := signals.Receive()
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
	status, err := signals.Run(cmd, grace)
	stop()
	if err != nil && status > 1 { // not started
		fmt.Fprintf(cmd.Stderr, "crossrole: exec: %v\n", err)
		err = nil
	}
	if err == nil && status != 0 {
		err = exitError(status)
	}
	return errors.Join(err, <-served)
}
