package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/e2e/ceph"
	"github.com/crossrole/crossrole/e2e/issuer"
)

const (
	devAccount    = "111122223333"
	sharedAccount = "444455556666"
	strangeHub    = "arn:aws:iam::777788889999:role/hub" // a role of an account that does not exist here

	bucket = "pics"
	object = "indoor-cat.jpg"
)

// The roles. Ceph does not allow underscores in the names of roles, so S3_Pics is
// called S3-Pics here.
var (
	hubRole    = roleARN(devAccount, "hub")
	targetRole = roleARN(sharedAccount, "S3-Pics")        // trusts the hub
	directRole = roleARN(sharedAccount, "S3-Pics-direct") // trusts the cluster
	closedRole = roleARN(sharedAccount, "S3-Pics-closed") // trusts strangeHub
)

// pod is the service account that the roles' trust policies name.
var pod = issuer.Claims{Namespace: "default", ServiceAccount: "s3-shared-content"}

func roleARN(account, name string) string { return "arn:aws:iam::" + account + ":role/" + name }

// picture is the content of the object: 5,556 bytes without a repeating pattern, so
// that a piece in the wrong position is noticed.
func picture() []byte {
	b := make([]byte, 5556)
	for i := range b {
		b[i] = byte(i*i>>3 ^ i)
	}
	return b
}

// scene is the setup of the README on Ceph's gateway: a cluster, a developer account
// and a shared account.
type scene struct {
	cluster     *ceph.Cluster
	issuer      *issuer.Issuer
	dev, shared *ceph.Account
}

func newScene(ctx context.Context, dir string) (_ *scene, err error) {
	s := &scene{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.issuer, err = issuer.Start(); err != nil {
		return nil, err
	}
	if s.cluster, err = ceph.Start(ctx, dir); err != nil {
		return nil, err
	}
	if s.dev, err = s.cluster.CreateAccount(ctx, devAccount); err != nil {
		return nil, err
	}
	if s.shared, err = s.cluster.CreateAccount(ctx, sharedAccount); err != nil {
		return nil, err
	}
	if err = s.furnish(ctx); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, s.cluster.GatewayLog())
	}
	return s, nil
}

func (s *scene) close() {
	if s.cluster != nil {
		s.cluster.Stop()
	}
	if s.issuer != nil {
		s.issuer.Close()
	}
}

// furnish creates providers, roles and the bucket.
func (s *scene) furnish(ctx context.Context) error {
	const (
		// The gateway refuses a policy with another tenant's resources, and ignores the
		// caller's own policy at AssumeRole. AWS accepts the former and checks the latter.
		mayAssume = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::*:role/*"}]}`
		mayRead   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::` + bucket + `","arn:aws:s3:::` + bucket + `/*"]}]}`
	)
	s3c := s3.NewFromConfig(s.shared.Config)
	_, bucketErr := s3c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)})
	_, objectErr := s3c.PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String(object), Body: bytes.NewReader(picture()),
	})
	return errors.Join(
		createProvider(ctx, s.dev, s.issuer),
		createProvider(ctx, s.shared, s.issuer),
		createRole(ctx, s.dev, "hub", trustsPod(devAccount, s.issuer), mayAssume),
		createRole(ctx, s.shared, "S3-Pics", trustsRole(hubRole), mayRead),
		createRole(ctx, s.shared, "S3-Pics-direct", trustsPod(sharedAccount, s.issuer), mayRead),
		createRole(ctx, s.shared, "S3-Pics-closed", trustsRole(strangeHub), mayRead),
		bucketErr, objectErr,
		s.introduce(ctx, devAccount, hubRole),
		s.introduce(ctx, sharedAccount, directRole),
	)
}

// introduce gets the pod's first session in an account. The gateway then creates a user
// for the token's subject; if two requests do so at the same time, one of them gets
// "BucketAlreadyExists".
func (s *scene) introduce(ctx context.Context, account, role string) error {
	token, err := s.issuer.Token(pod)
	if err != nil {
		return err
	}
	_, err = sts.NewFromConfig(s.shared.Config).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String(role), RoleSessionName: aws.String("first"), WebIdentityToken: aws.String(token),
	})
	if err != nil {
		return fmt.Errorf("first session in account %s: %w", account, err)
	}
	return nil
}

// createProvider registers an issuer in an account.
func createProvider(ctx context.Context, a *ceph.Account, i *issuer.Issuer) error {
	_, err := iam.NewFromConfig(a.Config).CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{
		Url:            aws.String(i.URL),
		ClientIDList:   []string{issuer.Audience},
		ThumbprintList: i.Thumbprints(),
	})
	return err
}

func createRole(ctx context.Context, a *ceph.Account, name, trust, policy string) error {
	c := iam.NewFromConfig(a.Config)
	_, err := c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String(name), AssumeRolePolicyDocument: aws.String(trust)})
	if err != nil {
		return err
	}
	_, err = c.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String(name), PolicyName: aws.String("access"), PolicyDocument: aws.String(policy)})
	return err
}

// trustsPod returns the trust policy of a role that the pod may assume with its token
// from any of the clusters: the target of the direct route, or the hub.
func trustsPod(account string, clusters ...*issuer.Issuer) string {
	var statements []string
	for _, c := range clusters {
		statements = append(statements, fmt.Sprintf(`{"Effect":"Allow","Action":["sts:AssumeRoleWithWebIdentity"],
			"Principal":{"Federated":["arn:aws:iam::%[1]s:oidc-provider/%[2]s"]},
			"Condition":{"StringEquals":{"%[2]s:aud":%[3]q,"%[2]s:sub":%[4]q}}}`,
			account, c.Host(), issuer.Audience, pod.Subject()))
	}
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// trustsRole returns the trust policy of a role that another role may assume.
func trustsRole(arn string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":[%q]},"Action":["sts:AssumeRole"]}]}`, arn)
}
