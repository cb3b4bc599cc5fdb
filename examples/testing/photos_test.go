package photos

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// fixture is a test's own AWS, and a pod in it.
type fixture struct {
	cloud  *awstest.Cloud
	bucket *awstest.Bucket
	role   *awstest.Role
	pod    *awstest.Pod
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	cloud := awstest.New()
	shared := cloud.Account("444455556666")
	cluster := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	shared.AddOIDCProvider(cluster)
	role := shared.CreateRole("S3_Pics",
		trust.WebIdentityPolicy(shared.ID(), []string{cluster.Issuer()}, []string{awstest.Subject("default", "album")}).String(),
		trust.ReadBucketPolicy("pics", "").String())
	return &fixture{
		cloud:  cloud,
		bucket: shared.CreateBucket("pics"),
		role:   role,
		pod:    cluster.Pod(t.TempDir(), "default", "album", role.ARN()),
	}
}

// album opens the album as the pod would, with explicit settings in place of
// environment variables.
func (f *fixture) album(t *testing.T, animal string) *Album {
	t.Helper()
	album, err := Open(f.cloud.Config(), animal, func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: f.pod.RoleARN(), TokenFile: f.pod.TokenFile()}
	})
	if err != nil {
		t.Fatal(err)
	}
	return album
}

// The tests run in parallel: each has its own cloud, and none uses the environment.
func TestAlbums(t *testing.T) {
	for _, animal := range []string{"cat", "dog", "owl"} {
		t.Run(animal, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			for i := range 3 {
				f.bucket.Put(fmt.Sprintf("%s/%d.jpg", animal, i), []byte(animal))
			}
			album := f.album(t, animal)
			names, err := album.Names(t.Context())
			if want := []string{"0.jpg", "1.jpg", "2.jpg"}; err != nil || !slices.Equal(names, want) {
				t.Errorf("names %q, %v; want %q", names, err, want)
			}
			data, err := album.Photo(t.Context(), "1.jpg")
			if err != nil || string(data) != animal {
				t.Errorf("photo %q, %v", data, err)
			}
			if _, err := album.Photo(t.Context(), "9.jpg"); !errors.Is(err, ErrNoPhoto) {
				t.Errorf("a missing photo: %v, want %v", err, ErrNoPhoto)
			}
		})
	}
}

// What if the role loses its permissions? And which requests did AWS get?
func TestDenied(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.bucket.Put("cat/0.jpg", []byte("meow"))
	f.role.SetPolicy(trust.ReadBucketPolicy("other", "").String())
	if _, err := f.album(t, "cat").Photo(t.Context(), "0.jpg"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v, want fs.ErrPermission", err)
	}
	for _, call := range f.cloud.Calls() {
		t.Log(call)
	}
}

// What if STS is down for a moment? Two requests fail, the third succeeds.
func TestShortOutage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.bucket.Put("cat/0.jpg", []byte("meow"))
	f.cloud.Fault(awstest.Fault{Operation: "AssumeRoleWithWebIdentity", Times: 2, Status: 503, Code: "ServiceUnavailable"})
	if data, err := f.album(t, "cat").Photo(t.Context(), "0.jpg"); err != nil || string(data) != "meow" {
		t.Errorf("%q, %v", data, err)
	}
}
