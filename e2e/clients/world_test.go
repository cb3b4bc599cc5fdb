package clients_test

import (
	"crypto/md5"
	"fmt"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/e2e/suite"
	"github.com/crossrole/crossrole/trust"
)

func TestMain(m *testing.M) { suite.Main(m) }

const (
	photo  = "0123456789"
	bucket = "pics"
	key    = "indoor-cat.jpg"
)

// photoETag is the ETag of an object that was uploaded with a single PutObject.
var photoETag = fmt.Sprintf(`"%x"`, md5.Sum([]byte(photo)))

// world is awstest on a listener, with both accounts and a pod whose service
// account is annotated with the hub role.
type world struct {
	cloud       *awstest.Cloud
	url         string
	hub, target *awstest.Role
	pod         *awstest.Pod
	bucket      *awstest.Bucket
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cloud := awstest.New()
	dev, shared := cloud.Account("111122223333"), cloud.Account("444455556666")
	cluster := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	dev.AddOIDCProvider(cluster)
	const targetARN = "arn:aws:iam::444455556666:role/S3_Pics"
	hub := dev.CreateRole("hub",
		trust.WebIdentityPolicy(dev.ID(), []string{cluster.Issuer()}, []string{awstest.Subject("default", "app")}).String(),
		trust.AssumePolicy([]string{targetARN}).String())
	rights := trust.ReadBucketPolicy(bucket, "")
	rights.Statements = append(rights.Statements, trust.Statement{
		Effect: "Allow", Action: []string{"s3:PutObject"}, Resource: []string{"arn:aws:s3:::" + bucket + "/new/*"},
	})
	target := shared.CreateRole("S3_Pics", trust.RolePolicy(hub.ARN()).String(), rights.String())
	b := shared.CreateBucket(bucket)
	b.Put(key, []byte(photo))
	for _, k := range []string{"dir/a.txt", "dir/b.txt", "dir/sub/c.txt", "other.txt"} {
		b.Put(k, []byte(k))
	}
	return &world{cloud, cloud.Serve(t), hub, target, cluster.Pod(t.TempDir(), "default", "app", hub.ARN()), b}
}

// asked returns the number of calls of an operation with this status.
func (w *world) asked(operation string, status int) int {
	n := 0
	for _, c := range w.cloud.Calls() {
		if c.Operation == operation && c.Status == status {
			n++
		}
	}
	return n
}

// report logs the requests if a test has failed.
func (w *world) report(t *testing.T) {
	t.Helper()
	if !t.Failed() {
		return
	}
	var b strings.Builder
	for _, c := range w.cloud.Calls() {
		fmt.Fprintln(&b, c)
	}
	t.Logf("awstest was asked:\n%s", &b)
}
