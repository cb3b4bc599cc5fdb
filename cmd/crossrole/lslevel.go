package main

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crossrole/crossrole/s3reader"
)

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
