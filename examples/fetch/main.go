// Fetch copies one object from the shared account's bucket, as a pod would:
//
//	fetch [-role ARN]... s3://bucket/key [-o file]
//
// The environment configures it: AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE,
// which EKS injects, and AWS_REGION. Without -role, the token is exchanged for a
// session of AWS_ROLE_ARN (direct); each -role is assumed after that one (hub).
// AWS_ENDPOINT_URL_STS and AWS_ENDPOINT_URL_S3 select services other than AWS's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/crossrole/crossrole"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "fetch:", err)
		stop()
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "fetch:", err)
		if e, ok := errors.AsType[*credentials.Error](err); ok {
			for _, fix := range e.Fixes { // statements and commands, ready to use
				fmt.Fprintln(os.Stderr, "fix:", fix)
			}
		}
		stop()
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: fetch [-role ARN]... s3://bucket/key [-o file]")

// request holds the arguments of the command line.
type request struct {
	roles               []string
	bucket, key, output string
}

// parse accepts flags before and after the URL.
func parse(args []string, stderr io.Writer) (request, error) {
	var r request
	var urls []string
	flags := flag.NewFlagSet("fetch", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, errUsage)
		flags.PrintDefaults()
	}
	flags.Func("role", "`ARN` of a role to assume next; may be given several times", func(arn string) error {
		r.roles = append(r.roles, arn)
		return nil
	})
	flags.StringVar(&r.output, "o", "", "`file` to write; standard output if not given")
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return r, err
			}
			return r, fmt.Errorf("%w: %w", errUsage, err)
		}
		args = flags.Args()
		if len(args) > 0 {
			urls, args = append(urls, args[0]), args[1:]
		}
	}
	if len(urls) != 1 {
		return r, fmt.Errorf("%w: %d URLs given, want one", errUsage, len(urls))
	}
	rest, ok := strings.CutPrefix(urls[0], "s3://")
	// A key is taken byte for byte: it is neither decoded nor cleaned.
	r.bucket, r.key, _ = strings.Cut(rest, "/")
	if !ok || r.bucket == "" || r.key == "" {
		return r, fmt.Errorf("%w: %q is not s3://bucket/key", errUsage, urls[0])
	}
	return r, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	req, err := parse(args, stderr)
	if err != nil {
		return err
	}
	cfg, err := crossrole.LoadConfig(ctx, credentials.Assume(req.roles...))
	if err != nil {
		return err
	}
	chain, _ := credentials.ChainOf(cfg)
	bucket, err := s3reader.New(cfg, req.bucket)
	if err != nil {
		return err
	}
	info, err := save(ctx, bucket, req, stdout)
	if err != nil {
		return err
	}
	hops := chain.Status().Hops
	last := hops[len(hops)-1]
	fmt.Fprintf(stderr, "%s: %d bytes as %s, session until %s\n", req.key, info.Size, last.CallerARN, last.Expires.UTC().Format(time.RFC3339))
	return nil
}

// save writes the object to standard output, or to a file that has its name when
// it is complete.
func save(ctx context.Context, bucket *s3reader.Reader, req request, stdout io.Writer) (*s3reader.Info, error) {
	if req.output != "" {
		return bucket.DownloadFile(ctx, req.key, req.output)
	}
	object, err := bucket.Open(ctx, req.key)
	if err != nil {
		return nil, err
	}
	defer object.Close()
	_, err = io.Copy(stdout, object)
	info := object.Info()
	return &info, err
}
