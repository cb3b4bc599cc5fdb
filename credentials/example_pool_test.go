package credentials_test

import (
	"context"
	"fmt"
	"log"

	"github.com/crossrole/crossrole/credentials"
)

// A pool has one hub session for all its targets.
func ExampleNewPool() {
	pool, err := credentials.NewPool(exampleCloud.Config(), func(o *credentials.PoolOptions) {
		inPod(hubARN)(&o.Options)
		o.STSRate = 300 // leave half of the account's quota to others
	})
	if err != nil {
		log.Fatal(err)
	}
	one, err := pool.Chain(credentials.Role{ARN: targetARN})
	if err != nil {
		log.Fatal(err)
	}
	two, err := pool.Chain(credentials.Role{ARN: targetARN})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(one == two)
	fmt.Println(whoAmI(one))
	// Output:
	// true
	// arn:aws:sts::444455556666:assumed-role/S3_Pics/example
}

// Config is what the clients of one target are made from.
func ExamplePool_Config() {
	pool, err := credentials.NewPool(exampleCloud.Config(), func(o *credentials.PoolOptions) { inPod(hubARN)(&o.Options) })
	if err != nil {
		log.Fatal(err)
	}
	cfg, err := pool.Config(credentials.Role{ARN: targetARN})
	if err != nil {
		log.Fatal(err)
	}
	creds, err := cfg.Credentials.Retrieve(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(creds.HasKeys())
	// Output: true
}

// A service that assumes roles which its tenants name gives each tenant an
// external id of its own choice: a tenant that enters another one's role does not
// know, and cannot set, the id that its trust policy asks for.
func ExamplePool_Chain_tenants() {
	pool, err := credentials.NewPool(exampleCloud.Config(), func(o *credentials.PoolOptions) { inPod(hubARN)(&o.Options) })
	if err != nil {
		log.Fatal(err)
	}
	externalIDs := map[string]string{"alice": "crossrole-example-7f3a", "bob": "crossrole-example-91c2"} // made by the service, kept by it
	role := func(tenant, entered string) credentials.Role {
		return credentials.Role{ARN: entered, ExternalID: externalIDs[tenant]}
	}
	alice, err := pool.Chain(role("alice", targetARN))
	if err != nil {
		log.Fatal(err)
	}
	bob, err := pool.Chain(role("bob", targetARN))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("shared:", alice == bob)
	// Output: shared: false
}

// Warm gets the sessions before they are needed.
func ExamplePool_Warm() {
	pool, err := credentials.NewPool(exampleCloud.Config(), func(o *credentials.PoolOptions) { inPod(hubARN)(&o.Options) })
	if err != nil {
		log.Fatal(err)
	}
	roles := []credentials.Role{{ARN: targetARN}, {ARN: "arn:aws:iam::444455556666:role/closed"}}
	err = pool.Warm(context.Background(), roles, func(w credentials.Warmed) {
		if w.Done == w.Total {
			fmt.Println(w.Total, "roles had their turn")
		}
	})
	fmt.Println(err != nil)
	// Output:
	// 2 roles had their turn
	// true
}

// All is for a page that shows the state of every target.
func ExamplePool_All() {
	pool, err := credentials.NewPool(exampleCloud.Config(), func(o *credentials.PoolOptions) { inPod(hubARN)(&o.Options) })
	if err != nil {
		log.Fatal(err)
	}
	if _, err := pool.Chain(credentials.Role{ARN: targetARN}); err != nil {
		log.Fatal(err)
	}
	for chain := range pool.All() {
		last := chain.Status().Hops[1]
		fmt.Println(last.RoleARN, last.Expires.IsZero())
	}
	// Output: arn:aws:iam::444455556666:role/S3_Pics true
}
