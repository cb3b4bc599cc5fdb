// Controller reads one object for each tenant, as the tenant's own role. A tenant is a
// service account with two annotations:
//
//	eks.amazonaws.com/role-arn: arn:aws:iam::444455556666:role/reader
//	crossrole.example/object: s3://pics/indoor-cat.jpg
//
// It gets a token for the service account by the TokenRequest API and exchanges it for a
// session of the role. It has no role in AWS itself. It runs in a cluster, with the
// rights that deploy.yaml grants:
//
//	controller [-every 5m]
//
// AWS_REGION selects the region. AWS_ENDPOINT_URL_STS and AWS_ENDPOINT_URL_S3 select
// services other than AWS's.
package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func main() {
	every := flag.Duration("every", 5*time.Minute, "how often to read each tenant's object")
	flag.Parse()
	// Kubernetes sends SIGTERM before it stops the pod.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	if err := run(ctx, log, *every); err != nil {
		log.Error("the controller stops", "err", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, log *slog.Logger, every time.Duration) error {
	cluster, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(cluster)
	if err != nil {
		return err
	}
	// The chains replace these credentials. If one were missing, S3 would get an
	// unsigned request, not one that is signed as another identity.
	base, err := config.LoadDefaultConfig(ctx, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	if err != nil {
		return err
	}
	return NewController(client, base, log, every).Run(ctx)
}
