// Crossrole checks and sets up a pod's access to a role of another AWS account: it tries
// every hop and says what to fix, prints the policies and commands that a route needs,
// reads buckets, and serves credentials to programs that are not written in Go.
//
//	crossrole doctor --role arn:aws:iam::444455556666:role/S3_Pics --bucket pics
//
// Its help reads like a manual: crossrole help COMMAND.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/crossrole/crossrole/internal/settings"
)

func main() {
	isCommand = true
	os.Exit(run())
}

// run returns the exit status: 0 success, 1 a problem was found, 2 the command line is
// wrong, any other an exitError.
func run() int {
	settings.UseFlags()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends what ignores ctx, such as reading a terminal
	return exitStatus(os.Stderr, newRoot().ExecuteContext(ctx))
}

// exitStatus returns the status for a command's error, and prints the error to stderr if
// the command has not.
func exitStatus(stderr io.Writer, err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errFound): // it was printed before
		return 1
	case errors.As(err, new(exitError)): // it was printed before
		status, _ := errors.AsType[exitError](err)
		return int(status)
	case errors.As(err, new(usageError)):
		fmt.Fprintf(stderr, "crossrole: %s\n", printable(err.Error()))
		return 2
	}
	fmt.Fprintf(stderr, "crossrole: %s\n", printable(err.Error()))
	return 1
}

// errFound is returned by a command that has printed what is wrong.
var errFound = errors.New("a problem was found")

// exitError is an exit status without a message: that of the program that exec ran, 3
// after a copy that skipped keys, 130 after Ctrl-C.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// usageError is a mistake in the command line.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }
