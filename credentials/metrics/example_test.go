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

// fakePod is a pod in a cloud in memory; a program in a real pod needs neither.
func fakePod(dir string) (*awstest.Cloud, credentials.Source) {
	cloud := awstest.New()
	cluster, account := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE"), cloud.Account("111122223333")
	account.AddOIDCProvider(cluster)
	hub := account.CreateRole("hub",
		trust.WebIdentityPolicy(account.ID(), []string{cluster.Issuer()}, []string{awstest.Subject("default", "app")}).String(),
		trust.AssumePolicy([]string{"arn:aws:iam::444455556666:role/S3_Pics"}).String())
	cloud.Account("444455556666").CreateRole("S3_Pics",
		trust.RolePolicy(hub.ARN()).String(), trust.ReadBucketPolicy("pics", "").String())
	pod := cluster.Pod(dir+"/volume", "default", "app", hub.ARN())
	return cloud, credentials.WebIdentity{RoleARN: pod.RoleARN(), TokenFile: pod.TokenFile()}
}

// One collector observes what happens to a chain and, at each scrape, looks at
// its sessions.
func ExampleCollector() {
	dir, err := os.MkdirTemp("", "pod-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cloud, source := fakePod(dir)

	collector := metrics.New()
	chain, err := credentials.New(cloud.Config(), func(o *credentials.Options) { o.Source = source }, collector.Observe)
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
	// crossrole_sts_region
	// crossrole_token_rotations_total
	// crossrole_waiting_callers
}

// A pool is watched with all the chains that it has at the time of a scrape.
func ExampleCollector_WatchPool() {
	dir, err := os.MkdirTemp("", "pod-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cloud, source := fakePod(dir)

	collector := metrics.New()
	pool, err := credentials.NewPool(cloud.Config(), func(o *credentials.PoolOptions) {
		o.Source = source
		collector.Observe(&o.Options)
	})
	if err != nil {
		log.Fatal(err)
	}
	collector.WatchPool(pool)
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)

	chain, err := pool.Chain(credentials.Role{ARN: "arn:aws:iam::444455556666:role/S3_Pics"})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := chain.Retrieve(context.Background()); err != nil {
		log.Fatal(err)
	}
	scraped, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, family := range scraped {
		if family.GetName() == "crossrole_session_remaining_seconds" {
			fmt.Println(len(family.GetMetric()), "sessions")
		}
	}
	// Output:
	// 2 sessions
}
