package versity_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/crossrole/crossrole/e2e/issuer"
	"github.com/crossrole/crossrole/e2e/versity"
)

// TestVersityKeysUnreachable requests a session with a valid token from an issuer that
// the STS refuses to contact.
func TestVersityKeysUnreachable(t *testing.T) {
	g := gateway(t)
	cluster, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Close() })
	// IAM accepts only issuers with https and without a port.
	const host = "127.0.0.1/id/unreachable"
	client := iam.NewFromConfig(g.IAM)
	_, err = client.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{
		Url: aws.String("https://" + host), ClientIDList: []string{issuer.Audience}, ThumbprintList: cluster.Thumbprints(),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName: aws.String("S3_Pics"),
		AssumeRolePolicyDocument: aws.String(fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity",
			"Principal":{"Federated":"arn:aws:iam::%s:oidc-provider/%s"}}]}`, versity.Account, host)),
	})
	if err != nil {
		t.Fatal(err)
	}
	token, err := cluster.Token(issuer.Claims{Namespace: "default", ServiceAccount: "reader", Issuer: "https://" + host})
	if err != nil {
		t.Fatal(err)
	}
	_, err = sts.NewFromConfig(g.IAM).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn:          aws.String("arn:aws:iam::" + versity.Account + ":role/S3_Pics"),
		RoleSessionName:  aws.String("reader-0"),
		WebIdentityToken: aws.String(token),
	})
	refused, ok := errors.AsType[smithy.APIError](err)
	if !ok || refused.ErrorCode() != "InvalidIdentityToken" || !strings.Contains(refused.ErrorMessage(), "Couldn't retrieve verification key") {
		t.Errorf("%v; want InvalidIdentityToken, Couldn't retrieve verification key", err)
	}
}
