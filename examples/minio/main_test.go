package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

const target = "arn:aws:iam::444455556666:role/S3_Pics"

// newCloud returns an in-memory AWS whose bucket has n objects, and a chain that reads it
// over the hub route.
func newCloud(n int, optFns ...func(*credentials.Options)) (*awstest.Cloud, *credentials.Chain, error) {
	cloud := awstest.New()
	dev, shared := cloud.Account("111122223333"), cloud.Account("444455556666")
	cluster := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	dev.AddOIDCProvider(cluster)
	hub := dev.CreateRole("hub",
		trust.WebIdentityPolicy(dev.ID(), []string{cluster.Issuer()}, []string{awstest.Subject("default", "app")}).String(),
		trust.AssumePolicy([]string{target}).String())
	shared.CreateRole("S3_Pics", trust.RolePolicy(hub.ARN()).String(), trust.ReadBucketPolicy("pics", "").String())
	bucket := shared.CreateBucket("pics")
	for i := range n {
		bucket.Put(fmt.Sprintf("cats/%04d.jpg", i), []byte("meow"))
	}
	chain, err := credentials.New(cloud.Config(), append(optFns, credentials.Assume(target), func(o *credentials.Options) {
		// In a pod the source needs no settings.
		o.Source = credentials.WebIdentity{RoleARN: hub.ARN(), Token: func(context.Context) ([]byte, error) {
			return []byte(cluster.Token("default", "app")), nil
		}}
	})...)
	return cloud, chain, err
}

// inMemory is a transport whose requests the cloud handles.
type inMemory struct{ cloud *awstest.Cloud }

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	return m.cloud.Config().HTTPClient.Do(r)
}

// A program that lists with minio-go, over the hub route.
func Example() {
	cloud, chain, err := newCloud(2)
	if err != nil {
		log.Fatal(err)
	}
	client, err := newClient(chain, "us-east-1", inMemory{cloud})
	if err != nil {
		log.Fatal(err)
	}
	if err := list(context.Background(), os.Stdout, client, "pics", "cats/"); err != nil {
		log.Fatal(err)
	}
	// Output:
	//        4  cats/0000.jpg
	//        4  cats/0001.jpg
}

// A listing takes four hours, and each session lives for one. Every page is signed with
// a valid session, and no page waits for a renewal.
func TestRenewsWhileAListingRuns(t *testing.T) {
	const objects, pageSize, pause = 48, 4, 5 * time.Minute
	synctest.Test(t, func(t *testing.T) {
		renewals := 0
		cloud, chain, err := newCloud(objects, func(o *credentials.Options) {
			o.OnEvent = func(e credentials.Event) {
				if e.Type == credentials.Refreshed && e.RoleARN == target {
					renewals++
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		client, err := newClient(chain, "us-east-1", inMemory{cloud})
		if err != nil {
			t.Fatal(err)
		}
		began, listed := time.Now(), 0
		for object := range client.ListObjectsIter(t.Context(), "pics", minio.ListObjectsOptions{Recursive: true, MaxKeys: pageSize}) {
			if object.Err != nil {
				t.Fatalf("after %d objects and %v: %v", listed, time.Since(began), object.Err)
			}
			listed++
			time.Sleep(pause) // the program works on the object
		}
		if took := time.Since(began); listed != objects || took != objects*pause {
			t.Errorf("%d objects in %v, want %d in %v: no time but the pauses", listed, took, objects, objects*pause)
		}
		synctest.Wait()

		keys := map[string]bool{}
		pages := 0
		for _, call := range cloud.Calls() {
			if call.Operation == "ListObjectsV2" {
				pages++
				keys[call.AccessKeyID] = true
			}
			if call.Code != "" {
				t.Errorf("refused: %v", call)
			}
		}
		if pages != objects/pageSize {
			t.Errorf("%d pages, want %d", pages, objects/pageSize)
		}
		// The first session, and at least two more.
		if renewals < 3 || len(keys) < 3 {
			t.Errorf("%d sessions, of which %d signed pages; want at least 3", renewals, len(keys))
		}
		t.Logf("%d pages in %v, signed with %d of %d sessions", pages, time.Since(began), len(keys), renewals)
	})
}

// An STS outage that is shorter than a session does not interrupt a listing.
func TestListsDuringAnOutageOfSTS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, chain, err := newCloud(10)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := chain.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		cloud.Fault(awstest.Fault{Operation: "AssumeRole", Status: 503, Code: "ServiceUnavailable"})
		cloud.Fault(awstest.Fault{Operation: "AssumeRoleWithWebIdentity", Status: 503, Code: "ServiceUnavailable"})
		client, err := newClient(chain, "us-east-1", inMemory{cloud})
		if err != nil {
			t.Fatal(err)
		}
		listed := 0
		for object := range client.ListObjectsIter(t.Context(), "pics", minio.ListObjectsOptions{Recursive: true, MaxKeys: 1}) {
			if object.Err != nil {
				t.Fatalf("after %d objects: %v", listed, object.Err)
			}
			listed++
			time.Sleep(5 * time.Minute)
		}
		if listed != 10 {
			t.Errorf("%d objects, want 10", listed)
		}
	})
}

// When there is no session, the caller of minio-go gets the chain's error, and waits no
// longer than its own context allows.
func TestErrorsOfTheChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, chain, err := newCloud(1)
		if err != nil {
			t.Fatal(err)
		}
		cloud.Fault(awstest.Fault{Operation: "AssumeRole", Status: 403, Code: "AccessDenied", Message: "not authorized"})
		client, err := newClient(chain, "us-east-1", inMemory{cloud})
		if err != nil {
			t.Fatal(err)
		}
		if err := list(t.Context(), &strings.Builder{}, client, "pics", ""); err == nil || !strings.Contains(err.Error(), "hop 2 of 2") {
			t.Errorf("with a target that refuses: %v, want the chain's error", err)
		}

		cloud, chain, err = newCloud(1)
		if err != nil {
			t.Fatal(err)
		}
		defer cloud.Fault(awstest.Fault{Operation: "AssumeRole", Hang: true})()
		if client, err = newClient(chain, "us-east-1", inMemory{cloud}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		err = list(ctx, &strings.Builder{}, client, "pics", "")
		if took := time.Since(began); err == nil || took != 3*time.Second {
			t.Errorf("with a deadline of 3 s and an STS that hangs: %v after %v", err, took)
		}
		time.Sleep(time.Minute) // the chain's own attempts end too
	})
}
