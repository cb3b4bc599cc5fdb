package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
	"github.com/crossrole/crossrole/trust"
)

func TestParse(t *testing.T) {
	tests := []struct {
		args []string
		want request
		ok   bool
	}{
		{[]string{"s3://pics/cat.jpg"}, request{bucket: "pics", key: "cat.jpg"}, true},
		{[]string{"-role", "a", "-role", "b", "s3://pics/x", "-o", "f"}, request{roles: []string{"a", "b"}, bucket: "pics", key: "x", output: "f"}, true},
		{[]string{"s3://pics/x", "-role", "a"}, request{roles: []string{"a"}, bucket: "pics", key: "x"}, true},
		{[]string{"s3://pics//a%20b/../c"}, request{bucket: "pics", key: "/a%20b/../c"}, true},
		{[]string{"s3://pics/"}, request{}, false},
		{[]string{"https://pics/x"}, request{}, false},
		{[]string{"s3:///x"}, request{}, false},
		{[]string{}, request{}, false},
		{[]string{"s3://pics/x", "s3://pics/y"}, request{}, false},
		{[]string{"-nope", "s3://pics/x"}, request{}, false},
	}
	for _, tt := range tests {
		got, err := parse(tt.args, io.Discard)
		if tt.ok != (err == nil) || !tt.ok && !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", tt.args, err)
		}
		if tt.ok && (got.bucket != tt.want.bucket || got.key != tt.want.key || got.output != tt.want.output || !slices.Equal(got.roles, tt.want.roles)) {
			t.Errorf("%q: %+v, want %+v", tt.args, got, tt.want)
		}
	}
}

// pod sets the environment variables of a pod whose service account is annotated
// with the given role, "hub" or "S3_Pics". It returns the target's ARN.
func pod(t *testing.T, annotated string) string {
	t.Helper()
	cloud := awstest.New()
	dev, shared := cloud.Account("111122223333"), cloud.Account("444455556666")
	cluster := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	dev.AddOIDCProvider(cluster)
	shared.AddOIDCProvider(cluster)
	subject := []string{awstest.Subject("default", "s3-shared-content")}
	const target = "arn:aws:iam::444455556666:role/S3_Pics"
	hub := dev.CreateRole("hub", trust.WebIdentityPolicy(dev.ID(), []string{cluster.Issuer()}, subject).String(),
		trust.AssumePolicy([]string{target}).String())
	policy := trust.WebIdentityPolicy(shared.ID(), []string{cluster.Issuer()}, subject)
	policy.Statements = append(policy.Statements, trust.RolePolicy(hub.ARN()).Statements...)
	role := shared.CreateRole("S3_Pics", policy.String(), trust.ReadBucketPolicy("pics", "").String())
	shared.CreateBucket("pics").Put("indoor-cat.jpg", []byte("meow"))

	roleARN := map[string]string{"hub": hub.ARN(), "S3_Pics": role.ARN()}[annotated]
	for _, variable := range cluster.Pod(t.TempDir(), "default", "s3-shared-content", roleARN).Env() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	url := cloud.Serve(t)
	t.Setenv("AWS_ENDPOINT_URL_STS", url)
	t.Setenv("AWS_ENDPOINT_URL_S3", url)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	return target
}

func TestFetch(t *testing.T) {
	for _, route := range []string{"direct", "hub"} {
		t.Run(route, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "cat.jpg")
			args := []string{"s3://pics/indoor-cat.jpg", "-o", file}
			if route == "hub" {
				args = append(args, "-role", pod(t, "hub"))
			} else {
				pod(t, "S3_Pics")
			}
			var stdout, stderr strings.Builder
			if err := run(t.Context(), args, &stdout, &stderr); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(file); err != nil || string(got) != "meow" {
				t.Errorf("wrote %q, %v", got, err)
			}
			if want := "indoor-cat.jpg: 4 bytes as arn:aws:sts::444455556666:assumed-role/S3_Pics/"; !strings.HasPrefix(stderr.String(), want) {
				t.Errorf("printed %q, want %q…", &stderr, want)
			}
			if err := run(t.Context(), args[:1], &stdout, io.Discard); route == "direct" && (err != nil || stdout.String() != "meow") {
				t.Errorf("to standard output: %q, %v", &stdout, err)
			}
		})
	}
}

// After any failure, the old file is unchanged and there is no other file next to it.
func TestFailureLeavesTheOldFile(t *testing.T) {
	target := pod(t, "hub")
	dir := t.TempDir()
	file := filepath.Join(dir, "cat.jpg")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want error
	}{
		{[]string{"-role", target, "s3://pics/no-cat.jpg"}, s3reader.NotFound},
		{[]string{"-role", target, "s3://no-such-bucket/x"}, s3reader.NoSuchBucket},
		{[]string{"-role", "arn:aws:iam::444455556666:role/Missing", "s3://pics/indoor-cat.jpg"}, credentials.AssumeDenied},
		{[]string{"-role", "nonsense", "s3://pics/indoor-cat.jpg"}, credentials.ConfigInvalid},
	} {
		err := run(t.Context(), append(tt.args, "-o", file), io.Discard, io.Discard)
		if !errors.Is(err, tt.want) {
			t.Errorf("%q: %v, want %v", tt.args, err, tt.want)
		}
	}
	if got, err := os.ReadFile(file); string(got) != "old" || err != nil {
		t.Errorf("the old file holds %q, %v", got, err)
	}
	if entries, err := os.ReadDir(dir); len(entries) != 1 || err != nil {
		t.Errorf("left next to it: %v, %v", entries, err)
	}
}
