// Package crossrole gives a program in a Kubernetes pod credentials for a role in
// another AWS account: it exchanges the pod's service-account token for a session
// of that role, directly or through a hub role, and renews the session before it
// expires. Start with [LoadConfig]:
//
//	package main
//
//	import (
//		"context"
//		"log"
//		"os"
//
//		"github.com/crossrole/crossrole"
//		"github.com/crossrole/crossrole/credentials"
//		"github.com/crossrole/crossrole/s3reader"
//	)
//
//	func main() {
//		ctx := context.Background()
//		cfg, err := crossrole.LoadConfig(ctx, credentials.Assume("arn:aws:iam::444455556666:role/S3_Pics"))
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
// In this program, the pod's service account is annotated with a hub role of the
// pod's own account. If the annotation names the role of the other account, leave
// out Assume; the route is then direct.
//
// The other packages:
//
//   - [github.com/crossrole/crossrole/credentials] is the chain itself. Its Wrap
//     takes an aws.Config that the program already has.
//   - [github.com/crossrole/crossrole/s3reader] reads objects from a bucket.
//   - [github.com/crossrole/crossrole/credentials/metrics] exports metrics of the
//     sessions to Prometheus.
//   - [github.com/crossrole/crossrole/trust] reads a token's claims and writes,
//     evaluates and explains the policies involved.
//   - [github.com/crossrole/crossrole/awstest] is an in-memory AWS for your tests.
package crossrole
