package awstest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/awstest"
)

// TestPropagationDelay makes each change that SetPropagationDelay lists, by a method
// and by a request to IAM. Requests are judged as before it for ten seconds.
func TestPropagationDelay(t *testing.T) {
	const (
		webIdentity = "AssumeRoleWithWebIdentity"
		assume      = "AssumeRole"
		get         = "GetObject"
		reader      = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`
		missing     = "InvalidIdentityToken"
		other       = "aud"
	)
	admin := func(_ *testing.T, w *world, account *awstest.Account) *iam.Client {
		cfg := w.Config()
		cfg.Credentials = provider(account.AdminKey())
		return iam.NewFromConfig(cfg)
	}
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	blueARN := "arn:aws:iam::" + devID + ":oidc-provider/" + blueIssuer[len("https://"):]
	for _, x := range []struct {
		name          string
		prepare       func(w *world)
		change        func(t *testing.T, w *world)
		request       string
		before, after string
	}{
		{name: "SetTrust", change: func(_ *testing.T, w *world) { w.target.SetTrust(roleTrust(sharedID)) }, request: assume, after: "AccessDenied"},
		{name: "UpdateAssumeRolePolicy", change: func(t *testing.T, w *world) {
			_, err := admin(t, w, w.shared).UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: new("S3_Pics"), PolicyDocument: new(roleTrust(sharedID))})
			must(t, err)
		}, request: assume, after: "AccessDenied"},
		{name: "SetPolicy", change: func(_ *testing.T, w *world) { w.hub.SetPolicy("") }, request: assume, after: "AccessDenied"},
		{name: "PutRolePolicy", change: func(t *testing.T, w *world) {
			_, err := admin(t, w, w.dev).PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: new("hub"), PolicyName: new("pics"), PolicyDocument: new(reader)})
			must(t, err)
		}, request: get, before: "AccessDenied"},
		{name: "AttachRolePolicy", change: func(t *testing.T, w *world) {
			_, err := admin(t, w, w.dev).AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: new("hub"), PolicyArn: new("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")})
			must(t, err)
		}, request: get, before: "AccessDenied"},
		{name: "CreateRole", prepare: func(w *world) { w.shared.DeleteRole(w.target) }, change: func(_ *testing.T, w *world) {
			w.shared.CreateRole("team/S3_Pics", roleTrust(hubARN), "")
		}, request: assume, before: "AccessDenied"},
		{name: "CreateRole request", prepare: func(w *world) { w.shared.DeleteRole(w.target) }, change: func(t *testing.T, w *world) {
			_, err := admin(t, w, w.shared).CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: new("S3_Pics"), Path: new("/team/"), AssumeRolePolicyDocument: new(roleTrust(hubARN))})
			must(t, err)
		}, request: assume, before: "AccessDenied"},
		{name: "DeleteRole", change: func(_ *testing.T, w *world) { w.shared.DeleteRole(w.target) }, request: assume, after: "AccessDenied"},
		{name: "DeleteRole of the caller", change: func(_ *testing.T, w *world) { w.dev.DeleteRole(w.hub) }, request: assume, after: "InvalidClientTokenId"},
		{name: "RemoveOIDCProvider", change: func(_ *testing.T, w *world) { w.dev.RemoveOIDCProvider(w.blue) }, request: webIdentity, after: missing},
		{name: "AddOIDCProvider", prepare: func(w *world) { w.dev.RemoveOIDCProvider(w.blue) }, change: func(_ *testing.T, w *world) { w.dev.AddOIDCProvider(w.blue) }, request: webIdentity, before: missing},
		{name: "DeleteOpenIDConnectProvider", change: func(t *testing.T, w *world) {
			_, err := admin(t, w, w.dev).DeleteOpenIDConnectProvider(t.Context(), &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: &blueARN})
			must(t, err)
		}, request: webIdentity, after: missing},
		{name: "RemoveClientIDFromOpenIDConnectProvider", change: func(t *testing.T, w *world) {
			_, err := admin(t, w, w.dev).RemoveClientIDFromOpenIDConnectProvider(t.Context(), &iam.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: &blueARN, ClientID: new("sts.amazonaws.com")})
			must(t, err)
		}, request: webIdentity, after: missing},
		{name: "AddClientIDToOpenIDConnectProvider", prepare: func(w *world) { w.dev.AddOIDCProvider(w.blue, other) }, change: func(t *testing.T, w *world) {
			_, err := admin(t, w, w.dev).AddClientIDToOpenIDConnectProvider(t.Context(), &iam.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: &blueARN, ClientID: new("sts.amazonaws.com")})
			must(t, err)
		}, request: webIdentity, before: missing},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, advance := range []bool{false, true} {
					w := newWorld()
					w.dev.CreateBucket("pics").Put("cat.jpg", nil)
					hub := w.hubSession(t)
					if x.prepare != nil {
						x.prepare(w)
					}
					w.SetPropagationDelay(10 * time.Second)
					send := func() string {
						switch x.request {
						case assume:
							return w.in(t, hub, "us-east-1")
						case webIdentity:
							return w.exchangeIn(t, "us-east-1")
						}
						cfg := w.Config()
						cfg.Credentials = provider(hub)
						_, err := s3.NewFromConfig(cfg).GetObject(t.Context(), &s3.GetObjectInput{Bucket: new("pics"), Key: new("cat.jpg")})
						return code(err)
					}
					wait := time.Sleep
					if advance {
						wait = w.Advance
					}
					x.change(t, w)
					if got := send(); got != x.before {
						t.Errorf("at once: %q, want %q\n%v", got, x.before, w.Calls())
					}
					wait(9 * time.Second)
					if got := send(); got != x.before {
						t.Errorf("9 s later: %q, want %q", got, x.before)
					}
					wait(time.Second)
					if got := send(); got != x.after {
						t.Errorf("10 s later: %q, want %q\n%v", got, x.after, w.Calls())
					}
				}
			})
		})
	}
}

// TestPropagationInOrder makes two changes: each arrives in its turn, and IAM's API
// shows the second at once.
func TestPropagationInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		hub := w.hubSession(t)
		w.SetPropagationDelay(10 * time.Second)
		w.target.SetTrust(roleTrust(sharedID))
		time.Sleep(4 * time.Second)
		w.target.SetTrust(roleTrust(hubARN))
		cfg := w.Config()
		cfg.Credentials = provider(w.shared.AdminKey())
		out, err := iam.NewFromConfig(cfg).GetRole(t.Context(), &iam.GetRoleInput{RoleName: new("S3_Pics")})
		if err != nil || !strings.Contains(aws.ToString(out.Role.AssumeRolePolicyDocument), "role%2Fhub") {
			t.Fatalf("GetRole: %+v, %v", out, err)
		}
		w.SetPropagationDelay(0) // changes on their way keep their time
		var got []string
		for range 3 {
			got = append(got, w.in(t, hub, "us-east-1"))
			time.Sleep(6 * time.Second)
		}
		if want := "[ AccessDenied ]"; fmt.Sprint(got) != want {
			t.Errorf("after 4, 10 and 16 s: %q, want %s", got, want)
		}
		w.hub.SetPolicy("")
		if got := w.in(t, hub, "us-east-1"); got != "AccessDenied" {
			t.Errorf("without a delay: %q", got)
		}
	})
}

// A program that creates a role and assumes it at once is refused, as it often is by
// AWS, and has to try again.
func ExampleCloud_SetPropagationDelay() {
	cloud := awstest.New()
	cloud.SetPropagationDelay(10 * time.Second)
	dev := cloud.Account("111122223333")
	keys := dev.AdminKey()
	dev.CreateRole("app", `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
		"Principal": {"AWS": "111122223333"}, "Action": "sts:AssumeRole"}]}`, "")

	cfg := cloud.Config()
	cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return keys, nil })
	client := sts.NewFromConfig(cfg)
	assume := func() {
		_, err := client.AssumeRole(context.Background(), &sts.AssumeRoleInput{RoleArn: new("arn:aws:iam::111122223333:role/app"), RoleSessionName: new("me")})
		fmt.Println(err == nil)
	}
	assume()
	cloud.Advance(10 * time.Second) // in a testing/synctest bubble: time.Sleep
	assume()
	// Output:
	// false
	// true
}
