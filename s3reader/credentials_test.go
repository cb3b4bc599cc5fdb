package s3reader_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
)

// A refusal of STS is not one of S3: it says nothing about the bucket, and the
// reader passes on what the chain says about its fix.
func TestCredentialsFailureIsNotS3sAnswer(t *testing.T) {
	cloud := awstest.New()
	shared := cloud.Account("444455556666")
	cluster := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	shared.AddOIDCProvider(cluster)
	role := shared.CreateRole("S3_Pics", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRoleWithWebIdentity"}]}`, "")
	shared.CreateBucket("pics").Put("cat.jpg", []byte("meow"))
	pod := cluster.Pod(t.TempDir(), "default", "reader", role.ARN())
	cfg, err := credentials.Wrap(cloud.Config(), func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: pod.RoleARN(), TokenFile: pod.TokenFile()}
	})
	if err != nil {
		t.Fatal(err)
	}
	pics, err := s3reader.New(cfg, "pics")
	if err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func() error{
		"stat": func() error { _, err := pics.Stat(t.Context(), "cat.jpg"); return err },
		"get":  func() error { _, err := pics.Get(t.Context(), "cat.jpg"); return err },
		"open": func() error { _, err := pics.Open(t.Context(), "cat.jpg"); return err },
		"list": func() error {
			for _, err := range pics.List(t.Context(), "") {
				return err
			}
			return nil
		},
	} {
		err := read()
		e, ok := errors.AsType[*s3reader.Error](err)
		if !ok || e.Kind != "" || e.Code != "" || e.RoleARN != "" || errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %#v", name, e)
			continue
		}
		if !errors.Is(err, credentials.TrustDenied) || errors.Is(err, s3reader.AccessDenied) {
			t.Errorf("%s: got %v, want %v", name, err, credentials.TrustDenied)
		}
		if text := err.Error(); !strings.Contains(text, "hop 1 of 1") || strings.Contains(text, "ListBucket") {
			t.Errorf("%s: the chain's own words are lost: %v", name, err)
		}
		if c, ok := errors.AsType[*credentials.Error](err); !ok || !strings.Contains(strings.Join(c.Fixes, "\n"), `"Action": "sts:AssumeRoleWithWebIdentity"`) {
			t.Errorf("%s: the chain's own fixes are lost: %v", name, err)
		}
	}
	for _, c := range cloud.Calls() {
		if strings.HasSuffix(c.Operation, "Object") || c.Operation == "ListObjectsV2" {
			t.Errorf("S3 was asked without credentials: %v", c)
		}
	}
}
