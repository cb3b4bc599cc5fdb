package main

import (
	"cmp"
	"context"
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
		rows, err := rowsOf(page)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := print(row); err != nil {
				return err
			}
		}
		more = aws.ToBool(page.IsTruncated) && aws.ToString(page.NextContinuationToken) != aws.ToString(in.ContinuationToken)
		in.ContinuationToken = page.NextContinuationToken
	}
	return nil
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
		rows = append(rows, listed{Key: key, Size: &size, LastModified: &modified, ETag: aws.ToString(object.ETag), StorageClass: string(object.StorageClass)})
	}
	slices.SortFunc(rows, func(a, b listed) int { return cmp.Compare(a.Key+a.Prefix, b.Key+b.Prefix) })
	return rows, nil
}
