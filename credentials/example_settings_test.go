package credentials_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// Code that receives a configuration can find out whether a chain signs it.
func ExampleChainOf() {
	cfg, err := credentials.Wrap(exampleCloud.Config(), inPod(targetARN))
	if err != nil {
		log.Fatal(err)
	}
	for _, cfg := range []aws.Config{cfg, exampleCloud.Config()} {
		if chain, ok := credentials.ChainOf(cfg); ok {
			fmt.Println("signed by", chain)
		} else {
			fmt.Println("signed otherwise")
		}
	}
	// Output:
	// signed by web identity → arn:aws:iam::444455556666:role/S3_Pics
	// signed otherwise
}

// A chain may be printed and logged: nothing secret is in it.
func ExampleChain_String() {
	fmt.Println(exampleChain())
	// Output: web identity → arn:aws:iam::111122223333:role/hub → arn:aws:iam::444455556666:role/S3_Pics
}

// A program whose flag names the source.
func ExampleParseSource() {
	for _, flag := range []string{"pod-identity", "irsa"} {
		source, err := credentials.ParseSource(flag)
		fmt.Println(source, err)
	}
	// Output:
	// EKS Pod Identity <nil>
	// <nil> credentials: ConfigInvalid: source "irsa"; want web-identity, pod-identity, node-role or base
}

// A program that knows the kinds it can do something about.
func ExampleKind() {
	_, err := exampleChain(func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: hubARN, TokenFile: "/var/run/secrets/none"}
		o.Refresh.Timeout = time.Second // a pod that has just started waits longer for its token
	}).Retrieve(context.Background())
	switch {
	case errors.Is(err, credentials.TokenUnreadable):
		fmt.Println("the pod mounts no token")
	case errors.Is(err, credentials.TrustDenied), errors.Is(err, credentials.AssumeDenied):
		fmt.Println("ask the account's administrator:", err)
	case err != nil:
		fmt.Println(err)
	}
	// Output: the pod mounts no token
}

// Settings of a target in addition to the ARN. The external ID is never printed.
func ExampleRole() {
	role := credentials.Role{
		ARN:         targetARN,
		SessionName: "nightly-report",
		ExternalID:  "agreed-with-the-shared-account",
		Duration:    15 * time.Minute,
		PolicyARNs:  []string{"arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"},
	}
	chain, err := credentials.New(exampleCloud.Config(), inPod(hubARN), func(o *credentials.Options) {
		o.Roles = append(o.Roles, role)
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(whoAmI(chain))
	fmt.Println(role)
	// Output:
	// arn:aws:sts::444455556666:assumed-role/S3_Pics/nightly-report
	// credentials.Role{ARN: "arn:aws:iam::444455556666:role/S3_Pics", SessionName: "nightly-report"}
}

// In a pod the fields come from the environment: WebIdentity{} is the default.
// A test or a program with two identities sets them itself.
func ExampleWebIdentity() {
	chain, err := credentials.New(exampleCloud.Config(), func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: hubARN, TokenFile: exampleToken, Audience: "vault"}
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = chain.Retrieve(context.Background())
	fmt.Println(errors.Is(err, credentials.AudienceMismatch))
	message, _, _ := strings.Cut(err.Error(), ". ")
	fmt.Println(message)
	// Output:
	// true
	// credentials: hop 1 of 1: check token for arn:aws:iam::111122223333:role/hub: AudienceMismatch: the token's audience is ["sts.amazonaws.com"], WebIdentity.Audience is "vault"
}

// Events arrive in order, for your own metrics or log.
func ExampleOptions() {
	var delivered sync.WaitGroup
	delivered.Add(2)
	chain := exampleChain(func(o *credentials.Options) {
		o.ExpectedAccount = "444455556666"
		o.OnEvent = func(e credentials.Event) {
			fmt.Println(e.Type, "hop", e.Hop, e.RoleARN)
			delivered.Done()
		}
	})
	if _, err := chain.Retrieve(context.Background()); err != nil {
		log.Fatal(err)
	}
	delivered.Wait()
	// Output:
	// refreshed hop 1 arn:aws:iam::111122223333:role/hub
	// refreshed hop 2 arn:aws:iam::444455556666:role/S3_Pics
}

// With fallback regions, a chain goes on while STS of its own region is down. Sessions
// from another region work just as well with S3.
func ExampleOptions_fallbackRegions() {
	stop := exampleCloud.Fault(awstest.Fault{Region: "us-east-1", Operation: "AssumeRoleWithWebIdentity", Drop: true})
	defer stop()
	chain := exampleChain(func(o *credentials.Options) {
		o.Roles = nil // the hub alone
		o.FallbackRegions = []string{"us-west-2"}
	})
	if _, err := chain.Retrieve(context.Background()); err != nil {
		log.Fatal(err)
	}
	hop := chain.Status().Hops[0]
	fmt.Println(hop.Region, hop.Endpoint)
	// Output: us-west-2 sts.us-west-2.amazonaws.com
}

// A deployment that creates a role and uses it in the same minute waits for IAM, whose
// changes take seconds to reach STS.
func ExampleRefresh_retryDenied() {
	stop := exampleCloud.Fault(awstest.Fault{Operation: "AssumeRoleWithWebIdentity", Times: 1, Status: 403, Code: "AccessDenied", Message: "Not authorized to perform sts:AssumeRoleWithWebIdentity"})
	defer stop()
	chain := exampleChain(func(o *credentials.Options) {
		o.Refresh.RetryDenied = time.Minute
	})
	fmt.Println(whoAmI(chain))
	// Output: arn:aws:sts::444455556666:assumed-role/S3_Pics/example
}
