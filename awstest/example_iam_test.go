package awstest_test

import (
	"context"
	"fmt"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/trust"
)

// Both accounts are built from nothing by requests to IAM, with the documents that
// package trust writes, and a pod assumes the role over both routes.
func ExampleAccount_AdminKey() {
	const (
		issuer  = "https://oidc.eks.us-east-1.amazonaws.com/id/BLUE"
		subject = "system:serviceaccount:default:app"
	)
	ctx := context.Background()
	cloud := awstest.New()
	cluster := cloud.Cluster(issuer)
	administrator := func(account string) *iam.Client {
		cfg := cloud.Config()
		cfg.Credentials = credentials.StaticCredentialsProvider{Value: cloud.Account(account).AdminKey()}
		return iam.NewFromConfig(cfg)
	}
	dev, shared := administrator("111122223333"), administrator("444455556666")
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}

	// The developers' account knows the cluster; its role is the hub.
	_, err := dev.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: new(issuer), ClientIDList: []string{"sts.amazonaws.com"}})
	check(err)
	hub, err := dev.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName:                 new("hub"),
		AssumeRolePolicyDocument: new(trust.WebIdentityPolicy("111122223333", []string{issuer}, []string{subject}).String()),
	})
	check(err)
	_, err = dev.PutRolePolicy(ctx, &iam.PutRolePolicyInput{
		RoleName: new("hub"), PolicyName: new("assume-targets"),
		PolicyDocument: new(trust.AssumePolicy([]string{"arn:aws:iam::444455556666:role/reader"}).String()),
	})
	check(err)

	// The shared account trusts the hub.
	reader, err := shared.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName:                 new("reader"),
		AssumeRolePolicyDocument: new(trust.RolePolicy(*hub.Role.Arn).String()),
	})
	check(err)

	token := cluster.Token("default", "app")
	exchange := func(role *string) (aws.Credentials, string) {
		out, err := sts.NewFromConfig(cloud.Config()).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{RoleArn: role, RoleSessionName: new("pod"), WebIdentityToken: &token})
		check(err)
		c := out.Credentials
		return aws.Credentials{AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken}, *out.AssumedRoleUser.Arn
	}
	session, arn := exchange(hub.Role.Arn)
	fmt.Println("hub:   ", arn)
	cfg := cloud.Config()
	cfg.Credentials = credentials.StaticCredentialsProvider{Value: session}
	assumed, err := sts.NewFromConfig(cfg).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: reader.Role.Arn, RoleSessionName: new("pod")})
	check(err)
	fmt.Println("target:", *assumed.AssumedRoleUser.Arn)

	// The direct route: the shared account knows the cluster too.
	_, err = shared.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: new(issuer), ClientIDList: []string{"sts.amazonaws.com"}})
	check(err)
	_, err = shared.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{
		RoleName:       new("reader"),
		PolicyDocument: new(trust.WebIdentityPolicy("444455556666", []string{issuer}, []string{subject}).String()),
	})
	check(err)
	_, arn = exchange(reader.Role.Arn)
	fmt.Println("direct:", arn)

	// IAM returns policies URL-encoded.
	got, err := shared.GetRole(ctx, &iam.GetRoleInput{RoleName: new("reader")})
	check(err)
	document, err := url.PathUnescape(*got.Role.AssumeRolePolicyDocument)
	check(err)
	policy, err := trust.ParsePolicy([]byte(document))
	check(err)
	fmt.Println("trusts:", policy.Statements[0].Principal)

	// Output:
	// hub:    arn:aws:sts::111122223333:assumed-role/hub/pod
	// target: arn:aws:sts::444455556666:assumed-role/reader/pod
	// direct: arn:aws:sts::444455556666:assumed-role/reader/pod
	// trusts: Federated "arn:aws:iam::444455556666:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/BLUE"
}
