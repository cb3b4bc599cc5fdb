package awstest_test

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/trust"
)

// A caller in partition aws becomes a role in partition aws-cn. It gets a token from
// its own STS and exchanges it at STS in aws-cn, as a pod exchanges its token.
func ExampleAccount_OutboundIssuer() {
	ctx := context.Background()
	home, china := awstest.New(), awstest.New()
	china.SetPartition("aws-cn")
	issuer := home.Account("111122223333").OutboundIssuer()
	caller := home.Account("111122223333").UserCredentials("ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:GetWebIdentityToken","Resource":"*"}]}`)

	account := china.Account("444455556666")
	account.AddOIDCProvider(issuer, "china")
	role := account.CreateRole("reader", trust.WebIdentityPolicy("444455556666",
		[]string{issuer.Issuer()}, []string{"arn:aws:iam::111122223333:user/ann"},
		func(o *trust.PolicyOptions) { o.Partition, o.Audience = "aws-cn", "china" }).String(), "")

	cfg := home.Config()
	cfg.Credentials = credentials.StaticCredentialsProvider{Value: caller}
	token, err := sts.NewFromConfig(cfg).GetWebIdentityToken(ctx, &sts.GetWebIdentityTokenInput{Audience: []string{"china"}, SigningAlgorithm: new("RS256")})
	if err != nil {
		fmt.Println(err)
		return
	}
	out, err := sts.NewFromConfig(china.Config()).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: new(role.ARN()), RoleSessionName: new("ann"), WebIdentityToken: token.WebIdentityToken,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(*out.SubjectFromWebIdentityToken)
	fmt.Println(*out.AssumedRoleUser.Arn)
	// Output:
	// arn:aws:iam::111122223333:user/ann
	// arn:aws-cn:sts::444455556666:assumed-role/reader/ann
}
