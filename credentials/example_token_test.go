package credentials_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// A controller acts for a tenant's service account: it gets the token from the cluster, as
// the TokenRequest API returns it, instead of a file in a pod of the tenant.
func ExampleWebIdentity_token() {
	cloud := awstest.New()
	tenant := cloud.Account("444455556666")
	cluster := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	tenant.AddOIDCProvider(cluster)
	role := tenant.CreateRole("reader",
		trust.WebIdentityPolicy(tenant.ID(), []string{cluster.Issuer()}, []string{awstest.Subject("tenant-a", "reader")}).String(),
		trust.ReadBucketPolicy("pics", "").String())
	tenant.CreateBucket("pics").Put("indoor-cat.jpg", []byte("meow"))

	cfg, err := credentials.Wrap(cloud.Config(), func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{
			RoleARN:     role.ARN(),
			SessionName: "controller",
			Token: func(context.Context) ([]byte, error) {
				return []byte(cluster.Token("tenant-a", "reader")), nil
			},
		}
	})
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
	chain, _ := credentials.ChainOf(cfg)
	fmt.Println(chain)
	fmt.Println(*out.ContentLength, "bytes")
	// Output:
	// token function → arn:aws:iam::444455556666:role/reader
	// 4 bytes
}

// A role of partition aws reads a bucket of partition aws-cn. The session of the one gets
// a token from STS (outbound identity federation), which the other exchanges.
func ExampleWebIdentity_crossPartition() {
	home := awstest.New()
	dev := home.Account("111122223333")
	issuer := dev.OutboundIssuer()
	blue := home.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	dev.AddOIDCProvider(blue)
	hub := dev.CreateRole("hub",
		trust.WebIdentityPolicy(dev.ID(), []string{blue.Issuer()}, []string{awstest.Subject("default", "app")}).String(),
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:GetWebIdentityToken","Resource":"*"}]}`)

	china := awstest.New()
	china.SetPartition("aws-cn")
	shared := china.Account("444455556666")
	shared.AddOIDCProvider(issuer)
	host := strings.TrimPrefix(issuer.Issuer(), "https://")
	role := shared.CreateRole("reader", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity",
		"Principal":{"Federated":"arn:aws-cn:iam::444455556666:oidc-provider/`+host+`"},
		"Condition":{"StringEquals":{"`+host+`:sub":"`+hub.ARN()+`","`+host+`:aud":"sts.amazonaws.com"}}}]}`,
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws-cn:s3:::pics/*"}]}`)
	shared.CreateBucket("pics").Put("indoor-cat.jpg", []byte("meow"))

	// The pod's role, as always. In a pod its token is in the mounted file.
	own, err := credentials.Wrap(home.Config(), func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: hub.ARN(), Token: func(context.Context) ([]byte, error) {
			return []byte(blue.Token("default", "app")), nil
		}}
	})
	if err != nil {
		log.Fatal(err)
	}
	cfg, err := credentials.Wrap(china.Config(), func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: role.ARN(), Token: func(ctx context.Context) ([]byte, error) {
			out, err := sts.NewFromConfig(own).GetWebIdentityToken(ctx, &sts.GetWebIdentityTokenInput{
				Audience: []string{"sts.amazonaws.com"}, SigningAlgorithm: aws.String("RS256"),
			})
			if err != nil {
				return nil, err
			}
			return []byte(aws.ToString(out.WebIdentityToken)), nil
		}}
	})
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
	fmt.Println(*out.ContentLength, "bytes from", role.ARN())
	// Output: 4 bytes from arn:aws-cn:iam::444455556666:role/reader
}
