package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/spf13/cobra"

	"github.com/crossrole/crossrole/s3reader"
)

// The ls command: what it lists, and how a line looks.

func newLs() *cobra.Command {
	var o listing
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

// listing is what ls is asked for.
type listing struct {
	bucketFlags
	recursive bool
}

func (o *listing) run(c *cobra.Command, r *s3reader.Reader, u s3URL) error {
	found := false
	print := func(row listed) error {
		found = true
		if o.json {
			return json.NewEncoder(c.OutOrStdout()).Encode(row)
		}
		_, err := fmt.Fprintln(c.OutOrStdout(), row)
		return err
	}
	list := o.level
	if o.recursive {
		list = o.all
	}
	if err := list(c.Context(), r, u, print); err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("there is no object below %s", u)
	}
	return nil
}

// listed is a line of ls: an object, or what the keys of several have in common.
type listed struct {
	Key          string     `json:"key,omitempty"`
	Prefix       string     `json:"prefix,omitempty"`
	Size         *int64     `json:"size,omitempty"`
	LastModified *time.Time `json:"lastModified,omitempty"`
	ETag         string     `json:"etag,omitempty"`
	StorageClass string     `json:"storageClass,omitempty"`
}

func (l listed) String() string {
	if l.Size == nil {
		return fmt.Sprintf("%15s  %-20s  %s", "DIR", "", shown(l.Prefix))
	}
	return fmt.Sprintf("%15d  %-20s  %s", *l.Size, l.LastModified.UTC().Format(time.RFC3339), shown(l.Key))
}

// all lists every object.
func (o *listing) all(ctx context.Context, r *s3reader.Reader, u s3URL, print func(listed) error) error {
	for info, err := range r.List(ctx, u.key) {
		if err != nil {
			return err
		}
		if err := print(listed{Key: info.Key, Size: &info.Size, LastModified: &info.LastModified, ETag: info.ETag, StorageClass: info.StorageClass}); err != nil {
			return err
		}
	}
	return nil
}

// level lists what has no further slash, and what keys with one have in common.
func (o *listing) level(ctx context.Context, r *s3reader.Reader, u s3URL, print func(listed) error) error {
	in := &s3.ListObjectsV2Input{Bucket: &u.bucket, Prefix: &u.key, Delimiter: aws.String("/"), EncodingType: types.EncodingTypeUrl}
	if o.payer {
		in.RequestPayer = types.RequestPayerRequester
	}
	for more := true; more; {
		page, err := r.Client().ListObjectsV2(ctx, in)
		if err != nil && in.ContinuationToken == nil {
			// The reader explains a refusal, and follows the bucket to its region.
			if err := firstError(ctx, r, u.key); err != nil {
				return err
			}
			page, err = r.Client().ListObjectsV2(ctx, in)
		}
		if err != nil {
			return err
		}
		if more, err = goesOn(page, in.ContinuationToken); err != nil {
			return err
		}
		rows, err := rowsOf(page)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := print(row); err != nil {
				return err
			}
		}
		in.ContinuationToken = page.NextContinuationToken
	}
	return nil
}

// goesOn reports whether there is another page. A listing that says so and cannot go
// on is no listing: what is missing would be taken for not there.
func goesOn(page *s3.ListObjectsV2Output, token *string) (bool, error) {
	next := aws.ToString(page.NextContinuationToken)
	switch {
	case page.IsTruncated == nil: // the SDK reads HTML as an empty page
		return false, errors.New("the answer is not a listing of S3 (no IsTruncated)")
	case *page.IsTruncated && next == "":
		return false, errors.New("the listing says that there is more, and not how to go on (no NextContinuationToken)")
	case *page.IsTruncated && next == aws.ToString(token):
		return false, errors.New("the listing goes in a circle: its continuation token is the one just used")
	}
	return *page.IsTruncated, nil
}

func firstError(ctx context.Context, r *s3reader.Reader, prefix string) error {
	for _, err := range r.List(ctx, prefix) {
		return err
	}
	return nil
}

// rowsOf are the objects and prefixes of a page, in one order.
func rowsOf(page *s3.ListObjectsV2Output) ([]listed, error) {
	decode := url.QueryUnescape
	if page.EncodingType != types.EncodingTypeUrl {
		decode = func(s string) (string, error) { return s, nil }
	}
	var rows []listed
	for _, p := range page.CommonPrefixes {
		prefix, err := decode(aws.ToString(p.Prefix))
		if err != nil {
			return nil, err
		}
		rows = append(rows, listed{Prefix: prefix})
	}
	for _, object := range page.Contents {
		key, err := decode(aws.ToString(object.Key))
		if err != nil {
			return nil, err
		}
		size, modified := aws.ToInt64(object.Size), aws.ToTime(object.LastModified)
		class := cmp.Or(string(object.StorageClass), string(types.StorageClassStandard)) // as s3reader.Info has it
		rows = append(rows, listed{Key: key, Size: &size, LastModified: &modified, ETag: aws.ToString(object.ETag), StorageClass: class})
	}
	slices.SortFunc(rows, func(a, b listed) int { return cmp.Compare(a.Key+a.Prefix, b.Key+b.Prefix) })
	return rows, nil
}
