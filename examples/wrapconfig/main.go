// Wrapconfig is an existing program that lists a bucket with the aws.Config it is
// given. One added line makes it run as the shared account's role:
//
//	wrapconfig [-role ARN] bucket
//
// In a pod, the token comes from AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/credentials"
)

func main() {
	role := flag.String("role", "", "`ARN` of the role to assume after the pod's own (hub); if not given, the direct route")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: wrapconfig [-role ARN] bucket")
		os.Exit(2)
	}
	ctx := context.Background()
	base, err := config.LoadDefaultConfig(ctx, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	if err == nil {
		err = run(ctx, os.Stdout, base, *role, flag.Arg(0))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "wrapconfig:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, base aws.Config, role, bucket string) error {
	var hub []string
	if role != "" {
		hub = append(hub, role)
	}
	cfg, err := credentials.Wrap(base, credentials.Assume(hub...)) // the one line
	if err != nil {
		return err
	}
	return list(ctx, out, s3.NewFromConfig(cfg), bucket)
}

// list is the unchanged part of the program.
func list(ctx context.Context, out io.Writer, client *s3.Client, bucket string) error {
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, object := range page.Contents {
			fmt.Fprintf(out, "%8d  %s\n", aws.ToInt64(object.Size), aws.ToString(object.Key))
		}
	}
	return nil
}
