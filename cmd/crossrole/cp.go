package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crossrole/crossrole/s3reader"
)

// copying is what cp is asked for.
type copying struct {
	bucketFlags
	recursive bool
	shardFlag string
}

func newCp() *cobra.Command {
	var o copying
	c := &cobra.Command{
		Use:   "cp [--role ARN]... [-r] s3://BUCKET/KEY DESTINATION",
		Short: "Copy an object, or all below a prefix, from a bucket to files",
		Long: `cp copies an object to a file, or with -r all objects below a prefix to a
directory, over many connections at a time, and compares what arrives with the
checksums that S3 keeps.

A file has its name when it is complete, and keeps its old content until then.
When cp is interrupted or killed, the parts that have arrived stay (in files
named .NAME.crossrole-part); the same command goes on from there. With -r it
fetches no file again that is the object's already: files get the object's time,
with a mark of its ETag in the digits below the second, by which it knows them.

With -r, keys that cannot be the name of a file are skipped and reported: with
"..", "//", a backslash, an element of more than 255 bytes, or one that is the
name of a directory as well. A link in the destination is not followed.

Where one machine is not enough, each of N takes the part --shard I/N of the
keys, I counting from 0. In an Indexed Job of Kubernetes, whose pods have
` + jobIndex + `, set ` + jobCount + ` to its completions instead. A key belongs
to the shard whose index is the first 8 bytes of the key's SHA-256 modulo N.

On a terminal it shows how far it is; else it prints a line for each file. --json
prints an object for each file, with "error" where it failed and "skipped" where
it cannot be a file, and one for all at the end.

Exit status: 0 all is copied, 1 something failed, 2 wrong usage, 3 all is copied
but what was skipped (markers of directories without content do not count), 130
interrupted.`,
		Example: `  crossrole cp --role arn:aws:iam::444455556666:role/S3_Pics s3://pics/indoor-cat.jpg .
  crossrole cp --role arn:aws:iam::444455556666:role/S3_Pics -r s3://pics/cats/ /data/cats`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return o.run(c, args[0], args[1]) },
	}
	o.add(c)
	c.Flags().BoolVarP(&o.recursive, "recursive", "r", false, "all objects below the prefix, which is taken for a directory")
	c.Flags().StringVar(&o.shardFlag, "shard", "", "`I/N`: only this part of the keys (with -r)")
	return c
}

func (o *copying) run(c *cobra.Command, from, to string) error {
	u, err := parseS3URL(from)
	if err != nil {
		return err
	}
	part, err := o.check(u, to)
	if err != nil {
		return err
	}
	out := newCpReport(c.OutOrStdout(), c.ErrOrStderr(), u.bucket, o.json)
	defer out.done()
	r, err := o.open(c.Context(), u.bucket, func(opts *s3reader.Options) { opts.Progress = out.progress })
	if err != nil {
		return err
	}
	if o.recursive {
		err = o.tree(c.Context(), r, u, to, part, out)
	} else {
		err = o.file(c.Context(), r, u, to, out)
	}
	out.done()
	return interrupted(c.Context(), c, err, "; the same command goes on from here")
}

// check looks for contradictions in the command line.
func (o *copying) check(u s3URL, to string) (shard, error) {
	switch {
	case strings.HasPrefix(to, "s3://"):
		return shard{}, usagef("%q: cp copies from a bucket to files only", to)
	case to == "":
		return shard{}, usagef("the destination is empty; want a path")
	case o.recursive:
		return parseShard(o.shardFlag, os.Getenv)
	case o.shardFlag != "":
		return shard{}, usagef("--shard %s without -r: an object is not divided", o.shardFlag)
	case u.key == "" || strings.HasSuffix(u.key, "/"):
		return shard{}, usagef("%s is a prefix; give an object's key, or -r to copy all below it", u)
	}
	return shard{}, nil
}

// file copies one object.
func (o *copying) file(ctx context.Context, r *s3reader.Reader, u s3URL, to string, out *cpReport) error {
	if stat, err := os.Stat(to); err == nil && stat.IsDir() || strings.HasSuffix(to, string(os.PathSeparator)) {
		name := path.Base(u.key)
		if !filepath.IsLocal(name) || name == "." || strings.ContainsAny(name, "/\\\x00") {
			return usagef("%s cannot be the name of a file; give the file's, not the directory's", shown(name))
		}
		to = filepath.Join(to, name)
	}
	info, err := r.DownloadFile(ctx, u.key, to)
	if err != nil {
		return err
	}
	out.told(s3reader.Outcome{Info: info, Path: to})
	return nil
}

// tree copies all below a prefix.
func (o *copying) tree(ctx context.Context, r *s3reader.Reader, u s3URL, to string, part shard, out *cpReport) error {
	sum, err := r.DownloadDir(ctx, u.key, to, func(opts *s3reader.DirOptions) {
		opts.Each = out.told
		if part.count > 1 {
			opts.Include = func(i *s3reader.Info) bool { return part.has(i.Key) }
		}
	})
	out.done()
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return err
	}
	out.rest(err)
	out.summary(sum, part)
	switch {
	case err != nil:
		return errFound
	case out.lost > 0:
		return exitError(3)
	case sum.Files+len(sum.Skipped) == 0 && part.count == 1:
		return fmt.Errorf("there is no object below %s", u)
	}
	return nil
}
