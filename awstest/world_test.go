package awstest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/awstest"
)

const (
	devID    = "111122223333"
	sharedID = "444455556666"

	blueIssuer  = "https://oidc.eks.us-east-1.amazonaws.com/id/BLUE"
	greenIssuer = "https://oidc.eks.us-east-1.amazonaws.com/id/GREEN"

	hubARN    = "arn:aws:iam::111122223333:role/hub"
	targetARN = "arn:aws:iam::444455556666:role/team/S3_Pics"
)

const allowAssume = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],"Resource":"*"}]}`

// world is the cloud of most tests: the service account default/app of cluster
// blue may become the hub role of the dev account, and that the target role of
// the shared account.
type world struct {
	*awstest.Cloud
	dev, shared *awstest.Account
	blue        *awstest.Cluster
	hub, target *awstest.Role
}

func newWorld() *world {
	cloud := awstest.New()
	w := &world{Cloud: cloud, dev: cloud.Account(devID), shared: cloud.Account(sharedID), blue: cloud.Cluster(blueIssuer)}
	w.dev.AddOIDCProvider(w.blue)
	w.hub = w.dev.CreateRole("hub", podTrust(devID, blueIssuer, "default", "app"), allowAssume)
	w.target = w.shared.CreateRole("team/S3_Pics", roleTrust(hubARN), `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/*"}]}`)
	return w
}

// podTrust is the trust policy for one service account of a cluster.
func podTrust(account, issuer, namespace, serviceAccount string) string {
	host := issuer[len("https://"):]
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::%s:oidc-provider/%s"},
		"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"%[2]s:sub":"%[3]s","%[2]s:aud":"sts.amazonaws.com"}}}]}`,
		account, host, awstest.Subject(namespace, serviceAccount))
}

// roleTrust is the trust policy for one AWS principal, with tags and source
// identity.
func roleTrust(principal string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":%q},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]}]}`, principal)
}

// webIdentity exchanges a token for a session of the role.
func (w *world) webIdentity(t testing.TB, roleARN, token string) aws.Credentials {
	t.Helper()
	out, err := sts.NewFromConfig(w.Config()).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: &roleARN, RoleSessionName: new("pod"), WebIdentityToken: &token,
	})
	if err != nil {
		t.Fatalf("%v\n%v", err, w.Calls())
	}
	return aws.Credentials{AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken}
}

// hubSession is a session of the hub role.
func (w *world) hubSession(t testing.TB) aws.Credentials {
	t.Helper()
	return w.webIdentity(t, w.hub.ARN(), w.blue.Token("default", "app"))
}

// as is an STS client that signs with these credentials.
func (w *world) as(credentials aws.Credentials) *sts.Client {
	cfg := w.Config()
	cfg.Credentials = provider(credentials)
	cfg.RetryMaxAttempts = 1
	return sts.NewFromConfig(cfg)
}

// provider always answers the same credentials.
func provider(credentials aws.Credentials) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) { return credentials, nil })
}
