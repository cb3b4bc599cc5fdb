package main

import (
	"strings"
	"testing"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/trust"
)

func TestListsTheSharedBucket(t *testing.T) {
	cloud := awstest.New()
	dev, shared := cloud.Account("111122223333"), cloud.Account("444455556666")
	cluster := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	dev.AddOIDCProvider(cluster)
	subject := awstest.Subject("default", "s3-shared-content")
	const target = "arn:aws:iam::444455556666:role/S3_Pics"
	hub := dev.CreateRole("hub",
		trust.WebIdentityPolicy(dev.ID(), []string{cluster.Issuer()}, []string{subject}).String(),
		trust.AssumePolicy([]string{target}).String())
	shared.CreateRole("S3_Pics", trust.RolePolicy(hub.ARN()).String(), trust.ReadBucketPolicy("pics", "").String())
	bucket := shared.CreateBucket("pics")
	bucket.Put("indoor-cat.jpg", make([]byte, 5556))
	bucket.Put("outdoor-cat.jpg", make([]byte, 12))

	// The environment configures the program, as in a pod.
	for _, variable := range cluster.Pod(t.TempDir(), "default", "s3-shared-content", hub.ARN()).Env() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	var out strings.Builder
	if err := run(t.Context(), &out, cloud.Config(), target, "pics"); err != nil {
		t.Fatal(err)
	}
	if want := "    5556  indoor-cat.jpg\n      12  outdoor-cat.jpg\n"; out.String() != want {
		t.Errorf("printed\n%swant\n%s", &out, want)
	}
	if err := run(t.Context(), &out, cloud.Config(), "", "pics"); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("as the hub itself: %v, want S3's AccessDenied", err)
	}
}
