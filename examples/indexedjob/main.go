// Indexedjob copies one pod's share of a bucket. It runs in the pods of a
// Kubernetes Indexed Job; each pod copies the keys that belong to its index. Use it as
// a starting point if "crossrole cp -r --shard" is not enough; the function to copy is
// copyPart.
//
//	indexedjob [-role ARN]... s3://bucket/prefix directory
//
// Kubernetes sets JOB_COMPLETION_INDEX; the manifest sets JOB_COMPLETION_COUNT to
// the job's completions (examples/deploy/indexed-job.yaml). A restarted pod
// continues where the previous one stopped.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/crossrole/crossrole"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
)

func main() {
	var roles []string
	flag.Func("role", "`ARN` of a role to assume next; may be given several times", func(arn string) error {
		roles = append(roles, arn)
		return nil
	})
	flag.Parse()
	// Kubernetes stops a pod with SIGTERM.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, roles, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "indexedjob:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, roles, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: indexedjob [-role ARN]... s3://bucket/prefix directory")
	}
	rest, ok := strings.CutPrefix(args[0], "s3://")
	bucket, prefix, _ := strings.Cut(rest, "/")
	if !ok || bucket == "" {
		return fmt.Errorf("%q is not s3://bucket/prefix", args[0])
	}
	index, err1 := strconv.ParseUint(os.Getenv("JOB_COMPLETION_INDEX"), 10, 32)
	count, err2 := strconv.ParseUint(os.Getenv("JOB_COMPLETION_COUNT"), 10, 32)
	if err := errors.Join(err1, err2); err != nil || index >= count {
		return fmt.Errorf("JOB_COMPLETION_INDEX %q, JOB_COMPLETION_COUNT %q: this is not a pod of an Indexed Job, or the manifest does not set JOB_COMPLETION_COUNT to the job's completions", os.Getenv("JOB_COMPLETION_INDEX"), os.Getenv("JOB_COMPLETION_COUNT"))
	}
	cfg, err := crossrole.LoadConfig(ctx, credentials.Assume(roles...))
	if err != nil {
		return err
	}
	r, err := s3reader.New(cfg, bucket)
	if err != nil {
		return err
	}
	return copyPart(ctx, out, r, prefix, args[1], index, count)
}

// copyPart copies the objects below prefix whose keys belong to index, of count.
func copyPart(ctx context.Context, out io.Writer, r *s3reader.Reader, prefix, dir string, index, count uint64) error {
	sum, err := r.DownloadDir(ctx, prefix, dir, func(o *s3reader.DirOptions) {
		o.Include = func(i *s3reader.Info) bool {
			// Decide by the key alone. Each pod lists the bucket itself, so objects that
			// are added or removed in the meantime must not move other keys to another pod.
			h := fnv.New64a()
			io.WriteString(h, i.Key) // never fails
			return h.Sum64()%count == index
		}
		// Process each file here, or after DownloadDir has returned. An Unchanged
		// file was there before this pod started.
		o.Each = func(o s3reader.Outcome) {
			if o.Err == nil && o.Skipped == "" && !o.Unchanged {
				fmt.Fprintln(out, o.Path)
			}
		}
	})
	for _, s := range sum.Skipped {
		fmt.Fprintf(out, "skipped %q: %s\n", s.Key, s.Reason)
	}
	fmt.Fprintf(out, "pod %d of %d: %d files, %d of them already present, %d bytes\n", index, count, sum.Files, sum.Unchanged, sum.Bytes)
	return err
}
