package conformance

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

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
	known, foreign, silent := newIssuer(t), newIssuer(t), newIssuer(t)
	accounts := map[string]*ceph.Account{}
	for _, id := range []string{devAccount, sharedAccount} {
		if accounts[id], err = cluster.CreateAccount(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []*issuer.Issuer{known, silent} {
		register(ctx, t, accounts[devAccount].Config, i.URL, i.Thumbprints())
	}
	silent.Close()
	fill(ctx, t, accounts[sharedAccount].Config, true)

	w := &world{
		server: gateway, sts: cluster.URL, s3: cluster.URL, issuer: known.Host(), silent: silent.Host(),
		token: tokens(t, map[string]*issuer.Issuer{"": known, "foreign": foreign, "silent": silent}, ""),
		life:  aws.Int32(1), // see rgw_sts_min_session_duration
		create: func(account, name, trustJSON, policyJSON string) error {
			return createRole(ctx, accounts[account].Config, name, trustJSON, policyJSON)
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

// register registers an issuer in an account.
func register(ctx context.Context, t *testing.T, account aws.Config, url string, thumbprints []string) {
	t.Helper()
	if _, err := iam.NewFromConfig(account).CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{
		Url: &url, ClientIDList: []string{audience}, ThumbprintList: thumbprints,
	}); err != nil {
		t.Fatal(err)
	}
}

func createRole(ctx context.Context, account aws.Config, name, trustJSON, policyJSON string) error {
	client := iam.NewFromConfig(account)
	if _, err := client.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trustJSON}); err != nil || policyJSON == "" {
		return err
	}
	_, err := client.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("access"), PolicyDocument: &policyJSON})
	return err
}

// tokens returns a function that creates tokens of clusters. Their iss claim is the
// given one. If that is empty, and for the foreign cluster, it is the cluster's own.
func tokens(t *testing.T, clusters map[string]*issuer.Issuer, iss string) func(claims) string {
	return func(c claims) string {
		t.Helper()
		signs := issuer.Claims{
			Namespace: "default", ServiceAccount: cmp.Or(c.serviceAccount, "app"), Audience: c.audience, IssuedAt: time.Now().Add(-c.issuedAgo),
		}
		if c.cluster != "foreign" {
			signs.Issuer = iss
		}
		token, err := clusters[c.cluster].Token(signs)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
}

// fill makes the two buckets and their objects.
func fill(ctx context.Context, t *testing.T, owner aws.Config, keepsVersions bool) {
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
	if _, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(past)}); err != nil {
		t.Fatal(err)
	}
	// versitygw has no versions.
	_, err := client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: aws.String(past), VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	if err != nil && keepsVersions {
		t.Fatal(err)
	}
	if _, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(past), Key: aws.String("k"), Body: strings.NewReader("past")}); err != nil {
		t.Fatal(err)
	}
}
