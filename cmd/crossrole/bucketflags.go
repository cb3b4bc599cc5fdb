package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/crossrole/crossrole/s3reader"
)

// bucketFlags are how a command reads a bucket.
type bucketFlags struct {
	pod   podFlags
	payer bool
	json  bool
}

func (b *bucketFlags) add(c *cobra.Command) {
	b.pod.add(c)
	c.Flags().BoolVar(&b.payer, "request-payer", false, "agree to pay for requests and transfer, as requester-pays buckets demand")
	c.Flags().BoolVar(&b.json, "json", false, "one JSON object a line")
}

// open is the bucket, read as the last role of the chain.
func (b *bucketFlags) open(ctx context.Context, bucket string, optFns ...func(*s3reader.Options)) (*s3reader.Reader, error) {
	chain, err := b.pod.chain(ctx)
	if err != nil {
		return nil, err
	}
	return s3reader.New(chain.Config(), bucket, append(optFns, func(o *s3reader.Options) { o.RequestPayer = b.payer })...)
}

// interrupted is err, or the exit status of a program that a signal has ended,
// once the command was told to end.
func interrupted(ctx context.Context, c *cobra.Command, err error, advice string) error {
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "crossrole: interrupted%s\n", advice)
	return exitError(130) // 128 and the number of SIGINT
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
