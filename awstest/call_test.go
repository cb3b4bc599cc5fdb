package awstest_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crossrole/crossrole/awstest"
)

// TestAllowed shows which statements a call's record names: those that grant it, on
// both sides.
func TestAllowed(t *testing.T) {
	w := newWorld()
	bucket := w.shared.CreateBucket("pics")
	bucket.Put("cat.jpg", nil)
	hub := w.hubSession(t)
	out, err := w.assume(t, hub, targetARN)
	if err != nil {
		t.Fatal(err)
	}
	target := credentialsOf(out.Credentials)
	last := func() awstest.Call { calls := w.Calls(); return calls[len(calls)-1] }
	client := func(keys aws.Credentials) *s3.Client {
		cfg := w.Config()
		cfg.Credentials = provider(keys)
		if keys.AccessKeyID == "" {
			cfg.Credentials = aws.AnonymousCredentials{}
		}
		return s3.NewFromConfig(cfg)
	}
	get := func(keys aws.Credentials, key string) func() {
		return func() { _, _ = client(keys).GetObject(t.Context(), &s3.GetObjectInput{Bucket: new("pics"), Key: &key}) }
	}
	const policy = `{"Version":"2012-10-17","Statement":[
		{"Sid":"Dogs","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/dogs/*"},
		{"Sid":"Hub","Effect":"Allow","Principal":{"AWS":"` + hubARN + `"},"Action":["s3:GetObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::pics/*"}]}`
	const targetPolicy = "identity policy of " + targetARN + ": statement 0"
	for _, x := range []struct {
		name          string
		do            func()
		code, allowed string
	}{
		{"token", func() { w.hubSession(t) }, "", "trust policy of " + hubARN + ": statement 0"},
		{"AssumeRole", func() { _, _ = w.assume(t, hub, targetARN) }, "", "identity policy of " + hubARN + ": statement 0; trust policy of " + targetARN + ": statement 0"},
		{"no permission needed", func() { _ = w.who(t.Context(), hub) }, "", ""},
		{"identity policy", get(target, "cat.jpg"), "", targetPolicy},
		{"denied", get(hub, "cat.jpg"), "AccessDenied", ""},
		{"identity and bucket policy", func() {
			w.hub.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Sid":"All","Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)
			bucket.SetPolicy(policy)
			bucket.Put("dogs/one.jpg", nil)
			get(hub, "cat.jpg")()
		}, "", "identity policy of " + hubARN + ": statement 0 All; resource policy of arn:aws:s3:::pics/cat.jpg: statement 1 Hub"},
		{"anonymous", get(aws.Credentials{}, "dogs/one.jpg"), "", "resource policy of arn:aws:s3:::pics/dogs/one.jpg: statement 0 Dogs"},
		{"two statements", get(hub, "dogs/one.jpg"), "", "identity policy of " + hubARN + ": statement 0 All; resource policy of arn:aws:s3:::pics/dogs/one.jpg: statement 0 Dogs; statement 1 Hub"},
		{"no such key", get(target, "none.jpg"), "AccessDenied", ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			x.do()
			if got := last(); got.Allowed != x.allowed || got.Code != x.code {
				t.Errorf("code %q, allowed by %q\nwant %q and %q", got.Code, got.Allowed, x.code, x.allowed)
			}
		})
	}

	var objects []types.ObjectIdentifier
	for i := range 500 {
		objects = append(objects, types.ObjectIdentifier{Key: new(fmt.Sprint("many/", i))})
	}
	if _, err := client(hub).DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: new("pics"), Delete: &types.Delete{Objects: objects}}); err != nil {
		t.Fatal(err)
	}
	if n := len(last().Allowed); n < 500 || n > 1500 {
		t.Errorf("the record of 500 deletions has %d bytes: %s", n, last().Allowed)
	}
}
