// Package crossrole documents a library for programs that run in a Kubernetes
// pod and must reach another AWS account: it turns the pod's service-account
// token into credentials for a role in that account, keeps them fresh, and
// reads that account's S3 bucket. The package itself holds no code; start with
//
//   - [github.com/crossrole/crossrole/credentials] for an aws.Config that is
//     signed as the other account's role,
//   - [github.com/crossrole/crossrole/s3reader] to read objects with it,
//   - [github.com/crossrole/crossrole/credentials/metrics] to show its sessions to
//     Prometheus,
//   - [github.com/crossrole/crossrole/trust] to read a token's claims and to
//     write or examine the policies involved,
//   - [github.com/crossrole/crossrole/awstest] to test your own program against
//     an AWS in memory.
//
// A whole program, whose pod's service account is annotated with a hub role of
// the developer account:
//
//	package main
//
//	import (
//		"context"
//		"log"
//		"os"
//
//		"github.com/aws/aws-sdk-go-v2/aws"
//		"github.com/aws/aws-sdk-go-v2/config"
//		"github.com/crossrole/crossrole/credentials"
//		"github.com/crossrole/crossrole/s3reader"
//	)
//
//	func main() {
//		ctx := context.Background()
//		base, err := config.LoadDefaultConfig(ctx, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
//		if err != nil {
//			log.Fatal(err)
//		}
//		cfg, err := credentials.Wrap(base, credentials.Assume("arn:aws:iam::444455556666:role/S3_Pics"))
//		if err != nil {
//			log.Fatal(err)
//		}
//		pics, err := s3reader.New(cfg, "pics")
//		if err != nil {
//			log.Fatal(err)
//		}
//		cat, err := pics.Get(ctx, "indoor-cat.jpg")
//		if err != nil {
//			log.Fatal(err)
//		}
//		os.Stdout.Write(cat)
//	}
//
// Base is loaded with anonymous credentials because the SDK's own search for
// credentials, which the chain replaces, fails on half-set variables and may
// find the node's role.
package crossrole
