// Reader is plain with a chain and a reader: what credentials and s3reader weigh
// together.
package main

import (
	"context"
	"io"
	"log"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
)

func main() {
	ctx := context.Background()
	base, err := config.LoadDefaultConfig(ctx, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	if err != nil {
		log.Fatal(err)
	}
	cfg, err := credentials.Wrap(base, credentials.Assume(os.Args[1]))
	if err != nil {
		log.Fatal(err)
	}
	bucket, err := s3reader.New(cfg, os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	object, err := bucket.Open(ctx, os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = object.Close() }()
	if _, err := io.Copy(os.Stdout, object); err != nil {
		log.Fatal(err)
	}
}
