package metrics_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/credentials/metrics"
	"github.com/crossrole/crossrole/trust"
)

// One collector observes what happens to a chain and, at each scrape, looks at
// its sessions.
func ExampleCollector() {
	// A cloud in memory and a pod in it; a program in a real pod has both.
	cloud := awstest.New()
	cluster, account := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE"), cloud.Account("444455556666")
	account.AddOIDCProvider(cluster)
	role := account.CreateRole("S3_Pics",
		trust.WebIdentityPolicy(account.ID(), []string{cluster.Issuer()}, []string{awstest.Subject("default", "app")}).String(),
		trust.ReadBucketPolicy("pics", "").String())
	dir, err := os.MkdirTemp("", "pod-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	pod := cluster.Pod(dir+"/volume", "default", "app", role.ARN())

	collector := metrics.New()
	chain, err := credentials.New(cloud.Config(), func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: pod.RoleARN(), TokenFile: pod.TokenFile()}
	}, collector.Observe)
	if err != nil {
		log.Fatal(err)
	}
	collector.Watch(chain)
	registry := prometheus.NewRegistry() // or prometheus.DefaultRegisterer
	registry.MustRegister(collector)

	if _, err := chain.Retrieve(context.Background()); err != nil {
		log.Fatal(err)
	}
	scraped, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, family := range scraped {
		fmt.Println(family.GetName())
	}
	// Output:
	// crossrole_exchange_duration_seconds
	// crossrole_failing_seconds
	// crossrole_invalidations_total
	// crossrole_issuer_changes_total
	// crossrole_next_attempt_seconds
	// crossrole_refreshes_total
	// crossrole_session_remaining_seconds
	// crossrole_token_rotations_total
	// crossrole_waiting_callers
}
