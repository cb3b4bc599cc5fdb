package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crossrole/crossrole/s3reader"
)

// cpCmd is the command cp with its flags.
type cpCmd struct {
	bucketFlags
	recursive bool
	shardFlag string
}

func newCp() *cobra.Command {
	var o cpCmd
	c := &cobra.Command{
		Use:   "cp [--role ARN]... [-r] s3://BUCKET/KEY DESTINATION",
		Short: "Copy objects from a bucket to files",
		Long: `cp copies an object to a file or, with -r, all objects below a prefix to a
directory. It uses many connections and verifies the content with the checksums
that S3 stores.

A file gets its new content only when the object is complete. cp creates
directories that do not exist. It replaces only regular files: it writes to a
device, a named pipe or /dev/stdout in order, and follows a link; - is standard
output.

If cp is interrupted or killed, the parts that have arrived remain (in files named
.NAME.crossrole-part), and the same command resumes from there. With -r, cp does not
fetch files that are up to date. It recognizes them by their time: that of the
object, with sub-second digits derived from its ETag.

With -r, keys that cannot be the name of a file are skipped and reported: those with
"..", "//", a backslash, an element of more than 255 bytes, or the name of a
directory of other keys. Links in the destination are not followed.

To divide a copy among N machines, give each --shard I/N, with I from 0 to N-1. In
an Indexed Job of Kubernetes, whose pods have ` + jobIndex + `, set
` + jobCount + ` to the job's completions instead. A key belongs to the shard
whose index is the first 8 bytes of the key's SHA-256 modulo N.

On a terminal cp shows a progress bar, otherwise a line per file. --json prints an
object per file, with "error" if it failed and "skipped" if it was skipped, and a
summary at the end.

Exit status: 0 everything was copied, 1 something failed, 2 wrong usage, 3 keys were
skipped and everything else was copied (empty directory markers do not count), 130
interrupted.`,
		Example: `  crossrole cp --role arn:aws:iam::444455556666:role/S3_Pics s3://pics/indoor-cat.jpg .
  crossrole cp --role arn:aws:iam::444455556666:role/S3_Pics -r s3://pics/cats/ /data/cats`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return o.run(c, args[0], args[1]) },
	}
	o.add(c)
	c.Flags().BoolVarP(&o.recursive, "recursive", "r", false, "copy all objects below the prefix, like a directory")
	c.Flags().StringVar(&o.shardFlag, "shard", "", "`I/N`: copy only this part of the keys (with -r)")
	return c
}

func (o *cpCmd) run(c *cobra.Command, from, to string) error {
	u, err := parseS3URL(from)
	if err != nil {
		return err
	}
	part, err := o.check(u, to)
	if err != nil {
		return err
	}
	out := newCpReport(c.OutOrStdout(), c.ErrOrStderr(), u.bucket, o.json)
	out.lines = out.lines || !o.recursive
	if o.onStdout(to) {
		out.out, out.useBar = c.ErrOrStderr(), false
	}
	defer out.done()
	r, err := o.open(c, u.bucket)
	if err != nil {
		return err
	}
	switch {
	case o.recursive:
		err = o.tree(c.Context(), r, u, to, part, out)
	case to == "-":
		err = o.stream(c.Context(), r, u, c.OutOrStdout())
	default:
		err = o.file(c.Context(), r, u, to, out)
	}
	out.done()
	return interrupted(c.Context(), c, err, "; run the same command again to resume")
}

// check refuses contradictions in the command line.
func (o *cpCmd) check(u s3URL, to string) (shard, error) {
	switch {
	case strings.HasPrefix(to, "s3://"):
		return shard{}, usagef("%q: cp copies from a bucket to files only", to)
	case to == "":
		return shard{}, usagef("the destination is empty; want a path")
	case o.json && o.onStdout(to):
		return shard{}, usagef("--json with the destination %s: standard output is for the object itself", quote(to))
	case o.recursive && to == "-":
		return shard{}, usagef("-r to standard output: objects become files; name a directory (./- if it is called -)")
	case o.recursive:
		return parseShard(o.shardFlag, os.Getenv)
	case o.shardFlag != "":
		return shard{}, usagef("--shard %s without -r: one object cannot be divided", o.shardFlag)
	case u.key == "" || strings.HasSuffix(u.key, "/"):
		return shard{}, usagef("%s is a prefix; name an object's key, or add -r to copy everything below it", u)
	}
	return shard{}, nil
}

// stream writes one object, and nothing else, to standard output.
func (o *cpCmd) stream(ctx context.Context, r *s3reader.Reader, u s3URL, w io.Writer) error {
	object, err := r.Open(ctx, u.key)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, object)
	return errors.Join(err, object.Close())
}

// onStdout reports whether a destination is standard output, under any name.
func (o *cpCmd) onStdout(to string) bool {
	if to == "-" {
		return !o.recursive
	}
	for range 40 { // a circle of links is reported later
		switch filepath.Clean(to) {
		case "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", fmt.Sprintf("/proc/%d/fd/1", os.Getpid()):
			return true
		}
		link, err := os.Readlink(to)
		if err != nil {
			break
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(to), link)
		}
		to = link
	}
	target, err := os.Stat(to)
	stdout, err2 := os.Stdout.Stat()
	return err == nil && err2 == nil && !target.Mode().IsRegular() && !target.IsDir() && os.SameFile(target, stdout)
}

// makeParents creates the directories that a file needs. undo removes those that it
// created, if they are empty.
func makeParents(file string) (undo func(), err error) {
	var made []string
	undo = func() {
		for _, dir := range made {
			if os.Remove(dir) != nil {
				return // it is not empty
			}
		}
	}
	if err := checkDir(filepath.Dir(file)); err != nil {
		return undo, err
	}
	for dir := filepath.Dir(file); ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			break
		}
		made = append(made, dir)
	}
	if len(made) == 0 {
		return undo, nil
	}
	if err := os.MkdirAll(made[0], 0o777); err != nil { //nolint:gosec // less umask
		undo()
		return undo, err
	}
	return undo, nil
}

// checkDir refuses a path that exists and is not a directory: opening a named pipe would
// wait for its writer.
func checkDir(path string) error {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return fmt.Errorf("%s is not a directory", quote(path))
	}
	return nil
}

// file copies one object.
func (o *cpCmd) file(ctx context.Context, r *s3reader.Reader, u s3URL, to string, out *cpReport) error {
	if stat, err := os.Stat(to); err == nil && stat.IsDir() || strings.HasSuffix(to, string(os.PathSeparator)) {
		name := path.Base(u.key)
		if !filepath.IsLocal(name) || name == "." || strings.ContainsAny(name, "/\\\x00") {
			return usagef("%s cannot be the name of a file; name a file, not a directory", quote(name))
		}
		to = filepath.Join(to, name)
	}
	undo, err := makeParents(to)
	if err != nil {
		return err
	}
	info, err := r.DownloadFile(ctx, u.key, to, func(opts *s3reader.DownloadOptions) { opts.Progress = out.progress })
	if err != nil {
		undo()
		return err
	}
	out.report(s3reader.Outcome{Info: info, Path: to})
	return nil
}

// tree copies everything below a prefix.
func (o *cpCmd) tree(ctx context.Context, r *s3reader.Reader, u s3URL, to string, part shard, out *cpReport) error {
	if err := checkDir(to); err != nil {
		return err
	}
	sum, err := r.DownloadDir(ctx, u.key, to, func(opts *s3reader.DirOptions) {
		opts.Each, opts.Progress = out.report, out.progress
		if part.count > 1 {
			opts.Include = func(i *s3reader.Info) bool { return part.has(i.Key) }
		}
	})
	out.done()
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return err
	}
	out.reportRest(err)
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

// shard is one of count parts of a bucket's keys.
type shard struct{ index, count int }

// Kubernetes sets the first variable in the pods of an Indexed Job. The manifest must set
// the second, the number of pods.
const (
	jobIndex = "JOB_COMPLETION_INDEX"
	jobCount = "JOB_COMPLETION_COUNT"
)

// parseShard parses "i/n" or, if that is empty, the variables of an Indexed Job.
func parseShard(flag string, getenv func(string) string) (shard, error) {
	name, text := "--shard", flag
	if flag == "" {
		index, count := getenv(jobIndex), getenv(jobCount)
		switch {
		case index == "" && count == "":
			return shard{0, 1}, nil
		case index == "":
			return shard{}, usagef("%s is set and %s is not: set both, as in the pods of an Indexed Job, or use --shard", jobCount, jobIndex)
		case count == "":
			return shard{}, usagef("this is pod %s of an Indexed Job, and %s, the number of pods, is not set: set it to the job's completions, or add --shard 0/1 to copy everything", index, jobCount)
		}
		name, text = jobIndex+"/"+jobCount, index+"/"+count
	}
	i, n, ok := strings.Cut(text, "/")
	index, err1 := strconv.Atoi(i)
	count, err2 := strconv.Atoi(n)
	if !ok || err1 != nil || err2 != nil || index < 0 || index >= count {
		return shard{}, usagef("%s %q; want I/N with I from 0 to N-1, such as 0/4", name, text)
	}
	return shard{index, count}, nil
}

// has reports whether a key belongs to the shard: the first 8 bytes of its SHA-256, as a
// big-endian number, modulo the count, are the index. Programs in other languages can
// divide keys the same way.
func (s shard) has(key string) bool {
	sum := sha256.Sum256([]byte(key))
	return binary.BigEndian.Uint64(sum[:8])%uint64(s.count) == uint64(s.index)
}

func (s shard) String() string { return fmt.Sprintf("%d/%d", s.index, s.count) }
