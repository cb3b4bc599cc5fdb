package awstest_test

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/trust"
)

// A pod of the dev account reads an object of the shared account: it exchanges
// its token for a session of its own account's role, and that for one of the
// shared account's role.
func Example() {
	const dev, shared = "111122223333", "444455556666"
	cloud := awstest.New()
	blue := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	cloud.Account(dev).AddOIDCProvider(blue)
	hub := cloud.Account(dev).CreateRole("hub",
		trust.WebIdentityPolicy(dev, []string{blue.Issuer()}, []string{awstest.Subject("default", "app")}).String(),
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}`)
	reader := cloud.Account(shared).CreateRole("reader",
		trust.RolePolicy(hub.ARN()).String(),
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/*"}]}`)
	cloud.Account(shared).CreateBucket("pics").Put("cat.jpg", []byte("meow"))

	dir, err := os.MkdirTemp("", "pod") // t.TempDir() in a test
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	pod := blue.Pod(dir, "default", "app", hub.ARN())

	// From here on it is the program under test, with the SDK alone.
	cfg := cloud.Config()
	token := stscreds.IdentityTokenFile(pod.TokenFile())
	cfg.Credentials = aws.NewCredentialsCache(stscreds.NewWebIdentityRoleProvider(sts.NewFromConfig(cfg), pod.RoleARN(), token))
	cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), reader.ARN()))
	out, err := s3.NewFromConfig(cfg).GetObject(context.Background(), &s3.GetObjectInput{Bucket: new("pics"), Key: new("cat.jpg")})
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := io.ReadAll(out.Body)
	fmt.Printf("%s %v\n", data, err)
	for _, call := range cloud.Calls() {
		fmt.Println(call.Operation, call.Status)
	}
	// Output:
	// meow <nil>
	// AssumeRoleWithWebIdentity 200
	// AssumeRole 200
	// GetObject 200
}

func ExampleNew() {
	cloud := awstest.New()
	user := cloud.Account("111122223333").UserCredentials("ann", "")
	cfg := cloud.Config()
	cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return user, nil })
	who, err := sts.NewFromConfig(cfg).GetCallerIdentity(context.Background(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(*who.Arn)
	// Output: arn:aws:iam::111122223333:user/ann
}

// The program under test is given the config, or only its HTTP client.
func ExampleCloud_Config() {
	cloud := awstest.New()
	cfg := aws.Config{Region: "eu-west-1", HTTPClient: cloud.Config().HTTPClient}
	_, err := s3.NewFromConfig(cfg).HeadBucket(context.Background(), &s3.HeadBucketInput{Bucket: new("no-such-bucket")})
	fmt.Println(err != nil)
	fmt.Println(cloud.Calls()[0])
	// Output:
	// true
	// HeadBucket Bucket=no-such-bucket → 404 NoSuchBucket
}

// Another process, or a client in another language, is given a URL.
func ExampleCloud_Handler() {
	cloud := awstest.New()
	server := httptest.NewServer(cloud.Handler()) // cloud.Serve(t) in a test
	defer server.Close()
	resp, err := server.Client().Get(server.URL + "/?Action=GetCallerIdentity&Version=2011-06-15")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	fmt.Println(cloud.Calls()[0])
	// Output:
	// 403 Forbidden
	// GetCallerIdentity → 403 MissingAuthenticationToken
}

// testingT stands in for a *testing.T.
type testingT struct{ cleanup []func() }

func (*testingT) Helper()                           {}
func (t *testingT) Cleanup(f func())                { t.cleanup = append(t.cleanup, f) }
func (*testingT) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func ExampleCloud_Serve() {
	t := new(testingT)
	cloud := awstest.New()
	url := cloud.Serve(t)
	user := cloud.Account("111122223333").UserCredentials("ann", "")
	client := sts.New(sts.Options{
		BaseEndpoint: &url,
		Region:       "us-east-1",
		Credentials:  aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return user, nil }),
	})
	who, err := client.GetCallerIdentity(context.Background(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(*who.Arn)
	for _, f := range t.cleanup {
		f() // the testing package does this
	}
	// Output: arn:aws:iam::111122223333:user/ann
}

func ExampleCloud_Fault() {
	cloud := awstest.New()
	user := cloud.Account("111122223333").UserCredentials("ann", "")
	cfg := cloud.Config()
	cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return user, nil })

	// The first call is throttled; the SDK makes another.
	cloud.Fault(awstest.Fault{Operation: "GetCallerIdentity", Times: 1, Status: 400, Code: "Throttling", Message: "Rate exceeded"})
	_, err := sts.NewFromConfig(cfg).GetCallerIdentity(context.Background(), nil)
	fmt.Println(err)
	for _, call := range cloud.Calls() {
		fmt.Println(call.Status, call.Code)
	}
	// Output:
	// <nil>
	// 400 Throttling
	// 200
}

// A call says why a policy refused it, which AWS never does.
func ExampleCloud_Calls() {
	const account = "111122223333"
	cloud := awstest.New()
	blue := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	cloud.Account(account).AddOIDCProvider(blue)
	role := cloud.Account(account).CreateRole("hub",
		trust.WebIdentityPolicy(account, []string{blue.Issuer()}, []string{awstest.Subject("default", "app")}).String(), "")

	token := blue.Token("default", "other-app")
	_, err := sts.NewFromConfig(cloud.Config()).AssumeRoleWithWebIdentity(context.Background(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: new(role.ARN()), RoleSessionName: new("pod"), WebIdentityToken: &token,
	})
	fmt.Println(err != nil)
	call := cloud.Calls()[0]
	fmt.Println(call.Operation, call.Status, call.Code, call.Subject)
	fmt.Println(call.Explain != "")
	// Output:
	// true
	// AssumeRoleWithWebIdentity 403 AccessDenied system:serviceaccount:default:other-app
	// true
}

func ExampleCluster_Pod() {
	dir, err := os.MkdirTemp("", "pod") // t.TempDir() in a test
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	cloud := awstest.New()
	blue := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	green := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/GREEN")
	pod := blue.Pod(dir, "default", "app", "arn:aws:iam::111122223333:role/hub")
	link, err := os.Readlink(pod.TokenFile())
	fmt.Println(filepath.ToSlash(link), err)
	for _, change := range []func(){func() { pod.Rotate() }, func() { pod.Move(green) }} {
		change()
		raw, err := os.ReadFile(pod.TokenFile())
		if err != nil {
			fmt.Println(err)
			return
		}
		token, err := trust.ParseToken(raw)
		fmt.Println(token.Issuer, token.Subject, err)
	}
	// Output:
	// ..data/token <nil>
	// https://oidc.eks.us-east-1.amazonaws.com/id/BLUE system:serviceaccount:default:app <nil>
	// https://oidc.eks.us-east-1.amazonaws.com/id/GREEN system:serviceaccount:default:app <nil>
}

func ExampleCluster_Token() {
	blue := awstest.New().Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	raw := blue.Token("default", "app", func(t *trust.Token) { t.Audience = []string{"elsewhere"} })
	token, err := trust.ParseToken([]byte(raw))
	fmt.Println(token.Audience, token.Expires.Sub(token.IssuedAt), err)
	// Output: [elsewhere] 24h0m0s <nil>
}

// A trust policy may have 2,048 characters, unless the account's quota is raised.
func ExampleAccount_SetTrustPolicyLimit() {
	cloud := awstest.New()
	account := cloud.Account("444455556666")
	var subjects []string
	for i := range 60 {
		subjects = append(subjects, awstest.Subject("apps", fmt.Sprintf("reader-%d", i)))
	}
	policy := trust.WebIdentityPolicy(account.ID(), []string{"https://oidc.eks.us-east-1.amazonaws.com/id/BLUE"}, subjects)
	fmt.Println(policy.Size(), "characters")

	account.SetTrustPolicyLimit(4096) // without it, CreateRole panics
	fmt.Println(account.CreateRole("reader", policy.String(), "").ARN())
	// Output:
	// 2684 characters
	// arn:aws:iam::444455556666:role/reader
}

func ExampleCloud_SetPartition() {
	cloud := awstest.New()
	cloud.SetPartition("aws-us-gov")
	fmt.Println(cloud.Account("444455556666").CreateRole("reader", trust.RolePolicy("111122223333").String(), "").ARN())
	fmt.Println(cloud.Config().Region)
	// Output:
	// arn:aws-us-gov:iam::444455556666:role/reader
	// us-gov-west-1
}
