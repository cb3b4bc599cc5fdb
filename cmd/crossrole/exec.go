package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"github.com/crossrole/crossrole/credentials"
)

func newExec() *cobra.Command {
	var pod podFlags
	c := &cobra.Command{
		Use:   "exec [--role ARN]... -- PROGRAM [ARGUMENT]...",
		Short: "Run a program with the credentials of a role, kept fresh",
		Long: `exec gets a session of the chain's last role, opens a container credential
endpoint on a free port of 127.0.0.1, for which only this program has the token,
and runs the program with

  AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE

set. Its SDK asks there whenever it needs credentials, for as long as it runs.
Variables that would choose other credentials (AWS_ACCESS_KEY_ID, AWS_PROFILE,
AWS_ROLE_ARN, …) are not passed on, nor are the shared configuration files, whose
default profile would come first; AWS_REGION is set.

Signals go to the program. The exit status is the program's; 128 and the signal's
number where a signal ended it, 127 where there is no such program, 126 where it
cannot be run, 1 where there are no credentials.`,
		Example: "  crossrole exec --role arn:aws:iam::444455556666:role/S3_Pics -- aws s3 ls s3://pics",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			logger := slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
			chain, err := pod.chain(c.Context(), func(o *credentials.Options) { o.Logger = logger })
			if err != nil {
				return err
			}
			// Without credentials the program need not start, and the reason is
			// better told here than by its SDK.
			if _, err := chain.Retrieve(c.Context()); err != nil {
				return err
			}
			child := exec.Command(args[0], args[1:]...)
			child.Stdin, child.Stdout, child.Stderr = c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()
			return runBeside(c.Context(), chain, child, logger)
		},
	}
	pod.add(c)
	c.Flags().SetInterspersed(false) // what follows the program is the program's
	return c
}

// runBeside runs the program beside an endpoint of its own.
func runBeside(ctx context.Context, chain *credentials.Chain, child *exec.Cmd, logger *slog.Logger) (err error) {
	dir, err := os.MkdirTemp("", "crossrole-") // for this user alone
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	token, file := newToken(), filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		return err
	}
	listener, err := listen(ctx, "exec", "127.0.0.1:0")
	if err != nil {
		return err
	}
	role := newServed("role", token, chain, true)
	child.Env = childEnv(os.Environ(), chain.Config().Region, "http://"+listener.Addr().String()+role.path(), file)

	// From here on signals are the program's: the endpoint goes on until the
	// program has ended, whatever becomes of ctx.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, forwarded...)
	defer signal.Stop(signals)
	if err := ctx.Err(); err != nil {
		return errors.Join(err, listener.Close())
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var beside sync.WaitGroup
	var serveErr error
	beside.Go(func() { serveErr = serveSites(ctx, logger, site{listener, newEndpoint([]*served{role}, false)}) })
	beside.Go(func() { role.keep(ctx) })
	err = runChild(child, signals)
	stop()
	beside.Wait()
	return errors.Join(err, serveErr)
}
