package credentials_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// exampleCloud stands for the two accounts, and exampleToken for the file that
// the pod has mounted. In a pod, aws.Config comes from config.LoadDefaultConfig
// and the token file from the environment.
var exampleCloud, exampleToken, exampleDir = func() (*awstest.Cloud, string, string) {
	cloud := awstest.New()
	dev, shared := cloud.Account("111122223333"), cloud.Account("444455556666")
	cluster := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	dev.AddOIDCProvider(cluster)
	shared.AddOIDCProvider(cluster)
	subject := []string{awstest.Subject("default", "s3-shared-content")}
	hubTrust := trust.WebIdentityPolicy(dev.ID(), []string{cluster.Issuer()}, subject)
	hubTrust.Statements = append(hubTrust.Statements, trust.RolePolicy("arn:aws:iam::111122223333:root").Statements...)
	hub := dev.CreateRole("hub", hubTrust.String(), trust.AssumePolicy([]string{targetARN}).String())
	targetTrust := trust.WebIdentityPolicy(shared.ID(), []string{cluster.Issuer()}, subject)
	targetTrust.Statements = append(targetTrust.Statements, trust.RolePolicy(hub.ARN()).Statements...)
	shared.CreateRole("S3_Pics", targetTrust.String(), trust.ReadBucketPolicy("pics", "").String())
	shared.CreateBucket("pics").Put("indoor-cat.jpg", []byte("meow"))
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	return cloud, cluster.Pod(dir, "default", "s3-shared-content", hub.ARN()).TokenFile(), dir
}()

// inPod is what the variables that EKS injects say.
func inPod(roleARN string) func(*credentials.Options) {
	return func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: roleARN, TokenFile: exampleToken, SessionName: "example"}
	}
}

func whoAmI(chain *credentials.Chain) string {
	if _, err := chain.Retrieve(context.Background()); err != nil {
		return err.Error()
	}
	hops := chain.Status().Hops
	return hops[len(hops)-1].CallerARN
}

// Direct: the token is exchanged for the shared account's role.
func ExampleWrap() {
	cfg, err := credentials.Wrap(exampleCloud.Config(), inPod(targetARN))
	if err != nil {
		log.Fatal(err)
	}
	out, err := s3.NewFromConfig(cfg).GetObject(context.Background(), &s3.GetObjectInput{
		Bucket: aws.String("pics"), Key: aws.String("indoor-cat.jpg"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer out.Body.Close()
	fmt.Println(*out.ContentLength, "bytes")
	// Output: 4 bytes
}

// Hub: the token becomes the hub role, which assumes the shared account's.
func ExampleAssume() {
	cfg, err := credentials.Wrap(exampleCloud.Config(), inPod(hubARN), credentials.Assume(targetARN))
	if err != nil {
		log.Fatal(err)
	}
	chain, _ := credentials.ChainOf(cfg)
	fmt.Println(chain)
	fmt.Println(whoAmI(chain))
	// Output:
	// web identity → arn:aws:iam::111122223333:role/hub → arn:aws:iam::444455556666:role/S3_Pics
	// arn:aws:sts::444455556666:assumed-role/S3_Pics/example
}

// All that is wrong with the settings comes in one error, before any call.
func ExampleNew() {
	_, err := credentials.New(aws.Config{Region: "us-east-1"}, func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: "hub", TokenFile: "/token"}
		o.Roles = []credentials.Role{{ARN: targetARN, Duration: 2 * time.Hour}}
	})
	fmt.Println(errors.Is(err, credentials.ConfigInvalid))
	fmt.Println(err)
	// Output:
	// true
	// credentials: ConfigInvalid: 2 settings are wrong
	//   - WebIdentity.RoleARN: "hub" is not an ARN; want arn:<partition>:iam::<12-digit account>:role/<name>
	//   - Options.Roles[0].Duration: 2h0m0s (7200 s) is more than 1h0m0s (3600 s): when a role assumes another role, STS grants at most 1 hour; use a direct chain (WebIdentity.Duration) for longer sessions
}

func exampleChain(optFns ...func(*credentials.Options)) *credentials.Chain {
	chain, err := credentials.New(exampleCloud.Config(), append([]func(*credentials.Options){inPod(hubARN), credentials.Assume(targetARN)}, optFns...)...)
	if err != nil {
		log.Fatal(err)
	}
	return chain
}

func ExampleChain_Retrieve() {
	creds, err := exampleChain().Retrieve(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(creds.AccountID, creds.CanExpire)
	// Output: 444455556666 true
}

// A link that must live half an hour needs a session that does.
func ExampleChain_RetrieveFor() {
	chain := exampleChain()
	creds, err := chain.RetrieveFor(context.Background(), 30*time.Minute)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(time.Until(creds.Expires) >= 30*time.Minute)
	_, err = chain.RetrieveFor(context.Background(), 7*24*time.Hour)
	fmt.Println(errors.Is(err, credentials.ConfigInvalid))
	// Output:
	// true
	// true
}

func ExampleChain_Config() {
	cfg := exampleChain().Config()
	chain, ok := credentials.ChainOf(cfg)
	fmt.Println(ok, chain.RoleARN())
	// Output: true arn:aws:iam::444455556666:role/S3_Pics
}

// A service of your own says that the key is dead: the next call gets another.
func ExampleChain_Invalidate() {
	chain := exampleChain()
	first, _ := chain.Retrieve(context.Background())
	chain.Invalidate(first.AccessKeyID)
	second, _ := chain.Retrieve(context.Background())
	fmt.Println(first.AccessKeyID != second.AccessKeyID)
	// Output: true
}

// The first call after a quiet night does not wait.
func ExampleChain_KeepFresh() {
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{}, 2)
	chain := exampleChain(func(o *credentials.Options) {
		o.OnEvent = func(e credentials.Event) {
			if e.Type == credentials.Refreshed && e.Hop == 2 {
				ready <- struct{}{}
			}
		}
	})
	done := make(chan error)
	go func() { done <- chain.KeepFresh(ctx) }()
	<-ready // no caller has asked for credentials yet
	cancel()
	fmt.Println(<-done)
	// Output: <nil>
}

func ExampleChain_Status() {
	chain := exampleChain()
	if _, err := chain.Retrieve(context.Background()); err != nil {
		log.Fatal(err)
	}
	status := chain.Status()
	fmt.Println(status.Source)
	for _, hop := range status.Hops {
		fmt.Println(hop.CallerARN, hop.Err)
	}
	// Output:
	// web identity
	// arn:aws:sts::111122223333:assumed-role/hub/example <nil>
	// arn:aws:sts::444455556666:assumed-role/S3_Pics/example <nil>
}

func ExampleChain_Check() {
	report := exampleChain(func(o *credentials.Options) {
		o.Roles[0].ARN = "arn:aws:iam::444455556666:role/Other"
	}).Check(context.Background())
	fmt.Println(report.Healthy())
	for _, hop := range report.Hops {
		if hop.Err != nil {
			fmt.Println("hop", hop.Hop, hop.Err.Kind)
		}
	}
	// Output:
	// false
	// hop 2 AssumeDenied
}

func ExampleReport_Verdict() {
	report := exampleChain(func(o *credentials.Options) {
		o.Roles[0].ARN = "arn:aws:iam::444455556666:role/Other"
	}).Check(context.Background())
	fmt.Println(report.Verdict())
	// Output: hop 2 of 2 fails: AssumeDenied
}

func ExampleReport_Details() {
	report := exampleChain().Check(context.Background())
	chain, _, _ := strings.Cut(report.Details(), "\n")
	fmt.Println(chain)
	fmt.Println(report.Verdict())
	// Output:
	// chain    web identity → arn:aws:iam::111122223333:role/hub → arn:aws:iam::444455556666:role/S3_Pics
	// healthy
}

func ExampleChain_ProviderSources() {
	fmt.Println(len(exampleChain().ProviderSources()))
	// Output: 2
}

// An error names its kind, and wraps AWS's own response.
func ExampleError() {
	_, err := exampleChain(func(o *credentials.Options) {
		o.Roles[0].ARN = "arn:aws:iam::444455556666:role/Other"
	}).Retrieve(context.Background())
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		fmt.Println("hop", e.Hop, e.Kind, "as", e.Caller)
	}
	fmt.Println(errors.Is(err, credentials.AssumeDenied))
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		fmt.Println(api.ErrorCode())
	}
	// Output:
	// hop 2 AssumeDenied as arn:aws:sts::111122223333:assumed-role/hub/example
	// true
	// AccessDenied
}

// On a laptop the same chain starts from the profile that base was loaded with.
func ExampleFromBase() {
	base := exampleCloud.Config()
	base.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return laptopKeys, nil // config.WithSharedConfigProfile("dev"), say
	})
	chain, err := credentials.New(base, func(o *credentials.Options) { o.Source = credentials.FromBase{} }, credentials.Assume(hubARN, targetARN))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(chain)
	_, err = chain.Retrieve(context.Background())
	fmt.Println(err)
	// Output:
	// base configuration → arn:aws:iam::111122223333:role/hub → arn:aws:iam::444455556666:role/S3_Pics
	// <nil>
}

var laptopKeys = exampleCloud.Account("111122223333").UserCredentials("anna",
	`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}`)

func ExampleProvider() {
	chain, err := credentials.New(exampleCloud.Config(), func(o *credentials.Options) {
		o.Source = credentials.Provider{Name: "vault", Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return laptopKeys, nil
		})}
	}, credentials.Assume(hubARN))
	fmt.Println(chain, err)
	// Output: vault → arn:aws:iam::111122223333:role/hub <nil>
}

func ExamplePodIdentity() {
	chain, err := credentials.New(exampleCloud.Config(), func(o *credentials.Options) {
		// Both are set in the environment of a pod with an association.
		o.Source = credentials.PodIdentity{Endpoint: "http://169.254.170.23/v1/credentials", TokenFile: filepath.Join(exampleDir, "token")}
	}, credentials.Assume(targetARN))
	fmt.Println(chain, err)
	// Output: EKS Pod Identity → arn:aws:iam::444455556666:role/S3_Pics <nil>
}

func ExampleNodeRole() {
	chain, err := credentials.New(exampleCloud.Config(), func(o *credentials.Options) { o.Source = credentials.NodeRole{} }, credentials.Assume(targetARN))
	fmt.Println(chain, err)
	// Output: EC2 node role → arn:aws:iam::444455556666:role/S3_Pics <nil>
}

// On a node with IPv6 only, the metadata service has another address.
func ExampleNodeRole_ipv6() {
	chain, err := credentials.New(exampleCloud.Config(), func(o *credentials.Options) {
		o.Source = credentials.NodeRole{Endpoint: "http://[fd00:ec2::254]"}
	}, credentials.Assume(targetARN))
	fmt.Println(chain, err)
	// Output: EC2 node role → arn:aws:iam::444455556666:role/S3_Pics <nil>
}

// A readiness probe.
func ExampleStatus_Healthy() {
	chain := exampleChain()
	fmt.Println(chain.Status().Healthy())
	if _, err := chain.Retrieve(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(chain.Status().Healthy())
	// Output:
	// false
	// true
}
