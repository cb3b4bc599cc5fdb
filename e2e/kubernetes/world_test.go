package kubernetes_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crossrole/crossrole/e2e/awsdialect"
	"github.com/crossrole/crossrole/e2e/ceph"
	"github.com/crossrole/crossrole/e2e/issuer"
	"github.com/crossrole/crossrole/e2e/kubernetes"
	"github.com/crossrole/crossrole/e2e/suite"
)

const (
	devAccount    = "111122223333"
	sharedAccount = "444455556666"
	bucket        = "pics"
	object        = "indoor-cat.jpg"
	url           = "s3://" + bucket + "/" + object
	account       = "s3-shared-content" // the service account, in both namespaces
)

// The roles of the manifests, except for the underscore, which Ceph does not allow.
const (
	hubRole    = "arn:aws:iam::" + devAccount + ":role/crossrole-hub"
	targetRole = "arn:aws:iam::" + sharedAccount + ":role/S3-Pics"        // trusts the hub
	directRole = "arn:aws:iam::" + sharedAccount + ":role/S3-Pics-direct" // trusts the cluster
)

// The namespaces of the routes' pods.
const direct, hub = "direct", "hub"

// world is two accounts on Ceph's gateway, and a cluster that is registered in one of
// them.
type world struct {
	dir         string
	ceph        *ceph.Cluster
	dev, shared *ceph.Account
	etcd        *kubernetes.Etcd
	servers     kubernetes.Servers
	blue        *kubernetes.Cluster
	sts         *awsdialect.Proxy
	rotation    kubernetes.Rotation
}

// picture is the content of the object.
func picture() []byte {
	b := make([]byte, 5556)
	for i := range b {
		b[i] = byte(i*i>>3 ^ i)
	}
	return b
}

func pictureSum() string {
	sum := sha256.Sum256(picture())
	return hex.EncodeToString(sum[:])
}

var theWorld = sync.OnceValues(func() (*world, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	w := &world{rotation: kubernetes.Forced}
	suite.AtEnd(w.stop)
	return w, w.start(ctx)
})

// theWorldFor returns the world that all tests share. If this machine lacks something,
// the test is skipped; in CI it fails. A failing test prints the ends of the servers'
// logs.
func theWorldFor(t *testing.T) *world {
	t.Helper()
	if what := lacking(); what != "" {
		if os.Getenv("CI") == "true" {
			t.Fatal(what)
		}
		t.Skip(what)
	}
	w, err := theWorld()
	if err != nil {
		t.Fatal("no world to test in: ", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(w.ceph.GatewayLog() + w.blue.Logs())
		}
	})
	return w
}

func (w *world) start(ctx context.Context) (err error) {
	w.servers = kubernetes.In(os.Getenv(serversVariable))
	if w.dir, err = os.MkdirTemp("", "w-"); err != nil {
		return err
	}
	dir := func(name string) string { return filepath.Join(w.dir, name) }
	for _, name := range []string{"ceph", "etcd"} {
		if err := os.Mkdir(dir(name), 0o700); err != nil {
			return err
		}
	}
	var stores sync.WaitGroup
	var cephErr, kubernetesErr error
	stores.Go(func() { w.ceph, cephErr = ceph.Start(ctx, dir("ceph")) })
	stores.Go(func() {
		if w.etcd, kubernetesErr = kubernetes.StartEtcd(ctx, w.servers, dir("etcd")); kubernetesErr == nil {
			w.blue, kubernetesErr = w.cluster(ctx, "blue")
		}
	})
	stores.Wait()
	if err := errors.Join(cephErr, kubernetesErr); err != nil {
		return err
	}
	if w.sts, err = awsdialect.Start(w.ceph.URL, w.registered); err != nil {
		return err
	}
	if w.dev, err = w.ceph.CreateAccount(ctx, devAccount); err != nil {
		return err
	}
	if w.shared, err = w.ceph.CreateAccount(ctx, sharedAccount); err != nil {
		return err
	}
	return w.furnish(ctx)
}

// injection is the admission policy that changes pods as EKS's webhook does.
const injection = "pod-identity-policy.yaml"

// cluster starts one more cluster, whose pods get what the policy injects.
func (w *world) cluster(ctx context.Context, name string) (*kubernetes.Cluster, error) {
	dir := filepath.Join(w.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	policy, err := os.ReadFile(manifest(injection))
	if err != nil {
		return nil, err
	}
	c, err := kubernetes.StartCluster(ctx, w.servers, w.etcd, name, dir, w.rotation)
	if err != nil {
		return nil, err
	}
	if _, err := c.API.Apply(ctx, policy); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

func (w *world) stop() {
	if w.blue != nil {
		w.blue.Stop()
	}
	if w.etcd != nil {
		w.etcd.Stop()
	}
	if w.sts != nil {
		w.sts.Close()
	}
	if w.ceph != nil {
		w.ceph.Stop()
	}
}

// furnish creates providers, roles and the bucket.
func (w *world) furnish(ctx context.Context) error {
	const (
		mayAssume = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::*:role/*"}]}`
		mayRead   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::` + bucket + `","arn:aws:s3:::` + bucket + `/*"]}]}`
	)
	trustsHub := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":[%q]},"Action":["sts:AssumeRole"]}]}`, hubRole)
	c := s3.NewFromConfig(w.shared.Config)
	_, bucketErr := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)})
	_, objectErr := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(object), Body: bytes.NewReader(picture())})
	return errors.Join(bucketErr, objectErr,
		register(ctx, w.dev, w.blue.Issuer),
		register(ctx, w.shared, w.blue.Issuer),
		createRole(ctx, w.dev, hubRole, trustsPods(devAccount, hub, w.blue.Issuer), mayAssume),
		createRole(ctx, w.shared, targetRole, trustsHub, mayRead),
		createRole(ctx, w.shared, directRole, trustsPods(sharedAccount, direct, w.blue.Issuer), mayRead),
	)
}

func providerARN(account string, i *issuer.Issuer) string {
	return "arn:aws:iam::" + account + ":oidc-provider/" + i.Host()
}

// register registers an issuer in an account.
func register(ctx context.Context, a *ceph.Account, i *issuer.Issuer) error {
	_, err := iam.NewFromConfig(a.Config).CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{
		Url: aws.String(i.URL), ClientIDList: []string{issuer.Audience}, ThumbprintList: i.Thumbprints(),
	})
	return err
}

// forget is the opposite of register.
func forget(ctx context.Context, a *ceph.Account, i *issuer.Issuer) error {
	_, err := iam.NewFromConfig(a.Config).DeleteOpenIDConnectProvider(ctx, &iam.DeleteOpenIDConnectProviderInput{
		OpenIDConnectProviderArn: aws.String(providerARN(a.ID, i)),
	})
	return err
}

// registered reports whether an account has an issuer registered, for awsdialect.
func (w *world) registered(ctx context.Context, account, url string) (bool, error) {
	a := map[string]*ceph.Account{devAccount: w.dev, sharedAccount: w.shared}[account]
	if a == nil {
		return false, nil
	}
	_, known, err := provider(ctx, a, strings.TrimPrefix(url, "http://"))
	return known, err
}

// provider returns an account's OIDC provider for an issuer. The SDK cannot read Ceph's
// list of providers.
func provider(ctx context.Context, a *ceph.Account, host string) (p *iam.GetOpenIDConnectProviderOutput, known bool, err error) {
	p, err = iam.NewFromConfig(a.Config).GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{
		OpenIDConnectProviderArn: aws.String("arn:aws:iam::" + a.ID + ":oidc-provider/" + host),
	})
	if refusal, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && refusal.HTTPStatusCode() == http.StatusNotFound {
		return nil, false, nil
	}
	return p, err == nil, err
}

func createRole(ctx context.Context, a *ceph.Account, arn, trust, policy string) error {
	name := aws.String(arn[strings.LastIndexByte(arn, '/')+1:])
	c := iam.NewFromConfig(a.Config)
	if _, err := c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: &trust}); err != nil {
		return err
	}
	_, err := c.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("access"), PolicyDocument: &policy})
	return err
}

// setTrust changes a role's trust policy.
func setTrust(ctx context.Context, a *ceph.Account, arn, trust string) error {
	_, err := iam.NewFromConfig(a.Config).UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{
		RoleName: aws.String(arn[strings.LastIndexByte(arn, '/')+1:]), PolicyDocument: &trust,
	})
	return err
}

// trustsPods returns the trust policy of a role that the service account in the
// namespace may assume from each of the clusters.
func trustsPods(owner, namespace string, clusters ...*issuer.Issuer) string {
	var statements []string
	for _, i := range clusters {
		statements = append(statements, fmt.Sprintf(`{"Effect":"Allow","Action":["sts:AssumeRoleWithWebIdentity"],
			"Principal":{"Federated":[%[1]q]},
			"Condition":{"StringEquals":{"%[2]s:aud":%[3]q,"%[2]s:sub":"system:serviceaccount:%[4]s:%[5]s"}}}`,
			providerARN(owner, i), i.Host(), issuer.Audience, namespace, account))
	}
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}
