// Minio lists a bucket of another account with minio-go, as a pod would:
//
//	minio [-role ARN]... s3://bucket/prefix
//
// Thanos, Mimir, Tempo and Loki (its Thanos storage client) read S3 through minio-go.
// provider.go is what such a program needs to do so with a chain of roles. A program that
// you cannot change runs next to "crossrole serve".
//
// The environment configures it: AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE, which EKS
// injects, and AWS_REGION, the bucket's region. Without -role, the token is exchanged for
// a session of AWS_ROLE_ARN (direct); each -role is assumed after that one (hub).
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"

	"github.com/minio/minio-go/v7"
	miniocredentials "github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/crossrole/crossrole"
	"github.com/crossrole/crossrole/credentials"
)

func main() {
	var roles []string
	flag.Func("role", "`ARN` of a role to assume next; may be given several times", func(arn string) error {
		roles = append(roles, arn)
		return nil
	})
	flag.Parse()
	rest, ok := strings.CutPrefix(flag.Arg(0), "s3://")
	bucket, prefix, _ := strings.Cut(rest, "/")
	if !ok || bucket == "" || flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: minio [-role ARN]... s3://bucket/prefix")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, roles, bucket, prefix); err != nil {
		fmt.Fprintln(os.Stderr, "minio:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, roles []string, bucket, prefix string) error {
	cfg, err := crossrole.LoadConfig(ctx, credentials.Assume(roles...))
	if err != nil {
		return err
	}
	chain, _ := credentials.ChainOf(cfg)
	client, err := newClient(chain, cfg.Region, nil)
	if err != nil {
		return err
	}
	return list(ctx, out, client, bucket, prefix)
}

// newClient returns a client of S3 in a region of the partitions aws and aws-us-gov; the
// host names of other partitions have another suffix, such as amazonaws.com.cn in China.
// The transport may be nil.
func newClient(chain *credentials.Chain, region string, transport http.RoundTripper) (*minio.Client, error) {
	return minio.New("s3."+region+".amazonaws.com", &minio.Options{
		Creds:     miniocredentials.New(Provider{chain}),
		Secure:    true,
		Region:    region, // otherwise the client asks for it, which takes s3:GetBucketLocation
		Transport: transport,
	})
}

// list prints the size and key of every object below the prefix.
func list(ctx context.Context, out io.Writer, client *minio.Client, bucket, prefix string) error {
	for object := range client.ListObjectsIter(ctx, bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if object.Err != nil {
			return object.Err
		}
		fmt.Fprintf(out, "%8d  %s\n", object.Size, object.Key)
	}
	return nil
}
