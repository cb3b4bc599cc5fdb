package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/crossrole/crossrole/s3reader"
)

// The ls command: what it lists, and how a line looks.

func newLs() *cobra.Command {
	var o lsCmd
	c := &cobra.Command{
		Use:   "ls [--role ARN]... [-r] s3://BUCKET[/PREFIX]",
		Short: "List the objects of a bucket",
		Long: `ls lists the objects whose keys begin with the prefix: size, time and key. Those
that have a further slash are shown by the part up to it, once, with DIR in
place of the size; -r shows each of them instead.

Exit status: 0 something is listed, 1 there is nothing or listing failed, 2 wrong
usage.`,
		Example: "  crossrole ls --role arn:aws:iam::444455556666:role/S3_Pics s3://pics/",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			u, err := parseS3URL(args[0])
			if err != nil {
				return err
			}
			r, err := o.open(c, u.bucket)
			if err != nil {
				return err
			}
			return interrupted(c.Context(), c, o.run(c, r, u), "")
		},
	}
	o.add(c)
	c.Flags().BoolVarP(&o.recursive, "recursive", "r", false, "every object")
	return c
}

// lsCmd holds the flags of ls.
type lsCmd struct {
	bucketFlags
	recursive bool
}

func (o *lsCmd) run(c *cobra.Command, r *s3reader.Reader, u s3URL) error {
	found := false
	print := func(row lsRow) error {
		found = true
		if o.json {
			return json.NewEncoder(c.OutOrStdout()).Encode(row)
		}
		_, err := fmt.Fprintln(c.OutOrStdout(), row)
		return err
	}
	if err := o.each(c.Context(), r, u, print); err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("there is no object below %s", u)
	}
	return nil
}

// lsRow is a line of ls: an object, or a common prefix of several keys.
type lsRow struct {
	Key          string     `json:"key,omitempty"`
	Prefix       string     `json:"prefix,omitempty"`
	Size         *int64     `json:"size,omitempty"`
	LastModified *time.Time `json:"lastModified,omitempty"`
	ETag         string     `json:"etag,omitempty"`
	StorageClass string     `json:"storageClass,omitempty"`
}

func (l lsRow) String() string {
	if l.Size == nil {
		return fmt.Sprintf("%15s  %-20s  %s", "DIR", "", quote(l.Prefix))
	}
	return fmt.Sprintf("%15d  %-20s  %s", *l.Size, l.LastModified.UTC().Format(time.RFC3339), quote(l.Key))
}

// each prints every object below the prefix or, unless recursive is set, those that
// have no further slash, and once what the keys with one have in common.
func (o *lsCmd) each(ctx context.Context, r *s3reader.Reader, u s3URL, print func(lsRow) error) error {
	level := func(l *s3reader.ListOptions) {
		if !o.recursive {
			l.Delimiter = "/"
		}
	}
	for info, err := range r.List(ctx, u.key, level) {
		if err != nil {
			return err
		}
		row := lsRow{Prefix: info.Key}
		if !info.IsPrefix {
			row = lsRow{Key: info.Key, Size: &info.Size, LastModified: &info.LastModified, ETag: info.ETag, StorageClass: info.StorageClass}
		}
		if err := print(row); err != nil {
			return err
		}
	}
	return nil
}
