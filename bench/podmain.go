package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
)

// podCommand is the argument with which the program starts itself as a pod's program.
const podCommand = "run-as-pod"

// podMain reads an object and writes its first byte. It does what a program in a
// pod does, and takes all settings from its environment.
func podMain(contender string) int {
	open := openWithSDK
	if contender == ours {
		open = openWithOurs
	}
	ctx := context.Background()
	body, err := open(ctx)
	if err == nil {
		first := make([]byte, 1)
		if _, err = io.ReadFull(body, first); err == nil {
			_, err = os.Stdout.Write(first)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func openWithOurs(ctx context.Context) (io.Reader, error) {
	base, err := config.LoadDefaultConfig(ctx, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	if err != nil {
		return nil, err
	}
	cfg, err := credentials.Wrap(base, credentials.Assume(targetARN))
	if err != nil {
		return nil, err
	}
	reader, err := s3reader.New(cfg, bucketName)
	if err != nil {
		return nil, err
	}
	return reader.Open(ctx, objectKey)
}

func openWithSDK(ctx context.Context) (io.Reader, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), targetARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = sessionName
		o.Duration = time.Hour
	}))
	client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }) // the endpoint is an IP address
	out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: aws.String(objectKey)})
	if err != nil {
		return nil, err
	}
	return out.Body, nil
}
