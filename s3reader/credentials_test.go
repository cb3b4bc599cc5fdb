package s3reader_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// An outage of STS is not one of S3: the chain has its own retries and backoff, and the
// requests that wait for it return its error.
func TestOutageOfSTSIsNotRetriedAsS3s(t *testing.T) {
	for name, f := range map[string]awstest.Fault{
		"unavailable": {Status: 503, Code: "ServiceUnavailable"},
		"throttled":   {Status: 400, Code: "Throttling"},
		"broken":      {Status: 500, Code: "InternalFailure"},
		"dropped":     {Drop: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			cloud, _, cfg := gallery(t)
			pics := newReader(t, cfg, "pics")
			f.Operation = "AssumeRoleWithWebIdentity"
			cloud.Fault(f)
			get := func() time.Duration {
				began := time.Now()
				if _, err := pics.Get(t.Context(), "a b/cat+1.jpg"); err == nil {
					t.Errorf("%s: no error", name)
				} else if _, ok := errors.AsType[*credentials.Error](err); !ok {
					t.Errorf("%s: got %v", name, err)
				}
				return time.Since(began)
			}
			if took := get(); took > 30*time.Second { // the chain's own limit
				t.Errorf("%s: the first call took %v", name, took)
			}
			asked := signIns(cloud)
			if asked > 25 {
				t.Errorf("%s: %d requests", name, asked)
			}
			for range 10 {
				if took := get(); took > 0 {
					t.Errorf("%s: %v for a remembered error", name, took)
				}
			}
			if n := signIns(cloud); n != asked {
				t.Errorf("%s: %d more requests", name, n-asked)
			}
			time.Sleep(time.Minute) // for what the chain does in the background
		})
	}
}
