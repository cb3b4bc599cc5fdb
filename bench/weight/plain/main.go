// Plain is a pod's program with the SDK alone: it builds the two hops and reads one
// object. The library's weight is compared with the size of this program.
package main

import (
	"context"
	"io"
	"log"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func main() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx) // reads the token of the environment
	if err != nil {
		log.Fatal(err)
	}
	cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), os.Args[1]))
	out, err := s3.NewFromConfig(cfg).GetObject(ctx, &s3.GetObjectInput{Bucket: &os.Args[2], Key: &os.Args[3]})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = out.Body.Close() }()
	if _, err := io.Copy(os.Stdout, out.Body); err != nil {
		log.Fatal(err)
	}
}
