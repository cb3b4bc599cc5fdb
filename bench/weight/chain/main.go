// Chain is plain with a chain in place of the two hops, and the SDK's own client of
// S3: what credentials alone weighs.
package main

import (
	"context"
	"io"
	"log"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/credentials"
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
	out, err := s3.NewFromConfig(cfg).GetObject(ctx, &s3.GetObjectInput{Bucket: &os.Args[2], Key: &os.Args[3]})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = out.Body.Close() }()
	if _, err := io.Copy(os.Stdout, out.Body); err != nil {
		log.Fatal(err)
	}
}
