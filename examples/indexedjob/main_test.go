package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/trust"
)

const objects = 200

// job sets the environment variables of a job's pods. It returns the role to assume,
// and the cloud with its recorded calls.
func job(t *testing.T) (role string, cloud *awstest.Cloud) {
	t.Helper()
	cloud = awstest.New()
	dev, shared := cloud.Account("111122223333"), cloud.Account("444455556666")
	cluster := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	dev.AddOIDCProvider(cluster)
	subject := awstest.Subject("default", "copier")
	hub := dev.CreateRole("hub", trust.WebIdentityPolicy(dev.ID(), []string{cluster.Issuer()}, []string{subject}).String(),
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}`)
	target := shared.CreateRole("S3_Pics", trust.RolePolicy(hub.ARN()).String(), trust.ReadBucketPolicy("pics", "").String())
	bucket := shared.CreateBucket("pics")
	for i := range objects {
		bucket.Put(fmt.Sprintf("cats/%d/%03d", i%7, i), []byte(strconv.Itoa(i)))
	}
	pod := cluster.Pod(t.TempDir(), "default", "copier", hub.ARN())
	url := cloud.Serve(t)
	none := filepath.Join(t.TempDir(), "none")
	for _, v := range append(pod.Env(), "AWS_ENDPOINT_URL_STS="+url, "AWS_ENDPOINT_URL_S3="+url, "AWS_CONFIG_FILE="+none, "AWS_SHARED_CREDENTIALS_FILE="+none) {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	return target.ARN(), cloud
}

func gets(cloud *awstest.Cloud) int {
	n := 0
	for _, c := range cloud.Calls() {
		if c.Operation == "GetObject" {
			n++
		}
	}
	return n
}

// Four pods together copy everything, each object once, although two of them are
// stopped and restarted.
func TestPodsShareTheWork(t *testing.T) {
	role, cloud := job(t)
	dir := t.TempDir()
	t.Setenv("JOB_COMPLETION_COUNT", "4")
	for index := range 4 {
		t.Setenv("JOB_COMPLETION_INDEX", strconv.Itoa(index))
		if index%2 == 0 {
			ctx, cancel := context.WithCancel(t.Context())
			stopped := &stopper{after: 10, stop: cancel}
			if err := run(ctx, stopped, []string{role}, []string{"s3://pics/cats", dir}); err == nil {
				t.Error("a stopped pod returned no error")
			}
			cancel()
		}
		var out strings.Builder
		if err := run(t.Context(), &out, []string{role}, []string{"s3://pics/cats", dir}); err != nil {
			t.Fatal(err)
		}
		if again := !strings.Contains(out.String(), ", 0 of them already present"); again != (index%2 == 0) {
			t.Errorf("pod %d: %s", index, &out)
		}
	}
	found := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		found++
		data, err := os.ReadFile(path)
		if n, _ := strconv.Atoi(filepath.Base(path)); string(data) != strconv.Itoa(n) {
			t.Errorf("%s has %q", path, data)
		}
		return err
	})
	if err != nil || found != objects {
		t.Errorf("%d files, %v", found, err)
	}
	// Objects in flight in a stopped pod are fetched again.
	if n := gets(cloud); n > objects+2*64 {
		t.Errorf("%d objects were requested", n)
	}
}

// stopper stops a pod after it has printed some files.
type stopper struct {
	after int
	stop  func()
}

func (s *stopper) Write(p []byte) (int, error) {
	if s.after--; s.after == 0 {
		s.stop()
	}
	return len(p), nil
}

func TestPodWithoutItsPlace(t *testing.T) {
	role, cloud := job(t)
	for _, env := range [][2]string{{"", ""}, {"1", ""}, {"", "4"}, {"4", "4"}, {"x", "4"}} {
		t.Setenv("JOB_COMPLETION_INDEX", env[0])
		t.Setenv("JOB_COMPLETION_COUNT", env[1])
		if err := run(t.Context(), &strings.Builder{}, []string{role}, []string{"s3://pics/cats", t.TempDir()}); err == nil || !strings.Contains(err.Error(), "Indexed Job") {
			t.Errorf("%q: got %v", env, err)
		}
	}
	if n := len(cloud.Calls()); n > 0 {
		t.Errorf("%d calls", n)
	}
	for _, args := range [][]string{nil, {"s3://pics"}, {"pics/cats", "d"}, {"s3:///cats", "d"}} {
		if err := run(t.Context(), &strings.Builder{}, nil, args); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}
