package conformance

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/e2e/ceph"
	"github.com/crossrole/crossrole/e2e/issuer"
)

func TestCephConformance(t *testing.T) {
	if missing := ceph.Missing(); len(missing) > 0 {
		say := t.Skipf
		if os.Getenv("CI") == "true" {
			say = t.Fatalf
		}
		say("Ceph is not installed (no %v in PATH); install it with: %s", missing, ceph.Install)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	cluster, err := ceph.Start(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(cluster.GatewayLog())
		}
		cluster.Stop()
	})
	known, foreign := newIssuer(t), newIssuer(t)
	accounts := map[string]*ceph.Account{}
	for _, id := range []string{devAccount, sharedAccount} {
		if accounts[id], err = cluster.CreateAccount(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := iam.NewFromConfig(accounts[devAccount].Config).CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{
		Url: &known.URL, ClientIDList: []string{audience}, ThumbprintList: known.Thumbprints(),
	}); err != nil {
		t.Fatal(err)
	}
	fill(ctx, t, accounts[sharedAccount].Config)

	w := &world{
		server: gateway, sts: cluster.URL, s3: cluster.URL, issuer: known.Host(),
		token: tokens(t, known, foreign),
		create: func(account, name, trustJSON, policyJSON string) error {
			client := iam.NewFromConfig(accounts[account].Config)
			if _, err := client.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trustJSON}); err != nil || policyJSON == "" {
				return err
			}
			_, err := client.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("access"), PolicyDocument: &policyJSON})
			return err
		},
	}
	if err := w.furnish(ctx); err != nil {
		t.Fatal(err)
	}
	run(t, w)
}

func newIssuer(t *testing.T) *issuer.Issuer {
	t.Helper()
	i, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close() })
	return i
}

// tokens makes the tokens of two clusters, of which one is registered.
func tokens(t *testing.T, known, foreign *issuer.Issuer) func(claims) string {
	return func(c claims) string {
		t.Helper()
		cluster, account := known, "app"
		if c.foreign {
			cluster = foreign
		}
		if c.serviceAccount != "" {
			account = c.serviceAccount
		}
		token, err := cluster.Token(issuer.Claims{Namespace: "default", ServiceAccount: account, Audience: c.audience, IssuedAt: time.Now().Add(-c.issuedAgo)})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
}

// fill makes the bucket and its objects.
func fill(ctx context.Context, t *testing.T, owner aws.Config) {
	t.Helper()
	client := s3.NewFromConfig(owner, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		t.Fatal(err)
	}
	for key, data := range contents {
		_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader([]byte(data))})
		if err != nil && key != "odd/x//y" { // a file system has no such name
			t.Fatalf("%s: %v", key, err)
		}
	}
}
