package credentials_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// scene is the story of the package: a cluster of the developer account, a hub
// role there, and the shared account with its role and bucket.
type scene struct {
	cloud       *awstest.Cloud
	dev, shared *awstest.Account
	blue        *awstest.Cluster
	hub, target *awstest.Role // S3_Pics trusts the hub and, directly, the cluster
	pod         *awstest.Pod  // its service account names the hub
}

const photo = "meow"

func newScene(t testing.TB) *scene {
	t.Helper()
	s := &scene{cloud: awstest.New()}
	s.dev, s.shared = s.cloud.Account("111122223333"), s.cloud.Account("444455556666")
	s.blue = s.cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	s.dev.AddOIDCProvider(s.blue)
	s.shared.AddOIDCProvider(s.blue)
	s.hub = s.dev.CreateRole("hub", hubTrust(s), hubPolicy)
	s.target = s.shared.CreateRole("S3_Pics", targetTrust(s), targetPolicy)
	s.shared.CreateBucket("pics").Put("indoor-cat.jpg", []byte(photo))
	s.pod = s.blue.Pod(t.TempDir(), "default", "s3-shared-content", s.hub.ARN())
	return s
}

const (
	hubPolicy    = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],"Resource":"*"}]}`
	targetPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`
)

// hubTrust is the hub's trust policy: the pod's service account may assume it.
func hubTrust(s *scene) string { return podTrust(s, s.dev).String() }

// targetTrust is the target's trust policy: the pod and the hub may assume it.
func targetTrust(s *scene) string {
	both := podTrust(s, s.shared)
	both.Statements = append(both.Statements, trust.RolePolicy(s.hub.ARN(), func(o *trust.PolicyOptions) {
		o.TagSession, o.SetSourceIdentity = true, true
	}).Statements...)
	return both.String()
}

func podTrust(s *scene, account *awstest.Account) *trust.Policy {
	return trust.WebIdentityPolicy(account.ID(), []string{s.blue.Issuer()}, []string{awstest.Subject("default", "s3-shared-content")})
}

// web is the pod's own identity, without the environment.
func (s *scene) web() credentials.WebIdentity {
	return credentials.WebIdentity{RoleARN: s.pod.RoleARN(), TokenFile: s.pod.TokenFile()}
}

// hubChain is the chain through the hub.
func (s *scene) hubChain(t testing.TB, optFns ...func(*credentials.Options)) *credentials.Chain {
	t.Helper()
	return newChain(t, s.cloud.Config(), append([]func(*credentials.Options){func(o *credentials.Options) {
		o.Source = s.web()
		o.Roles = []credentials.Role{{ARN: s.target.ARN()}}
	}}, optFns...)...)
}

// directChain exchanges the token for the target right away.
func (s *scene) directChain(t testing.TB, optFns ...func(*credentials.Options)) *credentials.Chain {
	t.Helper()
	return newChain(t, s.cloud.Config(), append([]func(*credentials.Options){func(o *credentials.Options) {
		w := s.web()
		w.RoleARN = s.target.ARN()
		o.Source = w
	}}, optFns...)...)
}

func newChain(t testing.TB, base aws.Config, optFns ...func(*credentials.Options)) *credentials.Chain {
	t.Helper()
	c, err := credentials.New(base, optFns...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fetch reads the photo through cfg.
func fetch(ctx context.Context, cfg aws.Config) (string, error) {
	out, err := s3.NewFromConfig(cfg).GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("pics"), Key: aws.String("indoor-cat.jpg")})
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	return string(b), err
}

// count is how many requests of an operation the cloud answered.
func (s *scene) count(operation string) int {
	n := 0
	for _, c := range s.cloud.Calls() {
		if c.Operation == operation {
			n++
		}
	}
	return n
}

func TestChainReadsTheBucket(t *testing.T) {
	for _, route := range []string{"direct", "hub"} {
		t.Run(route, func(t *testing.T) {
			s := newScene(t)
			chain := s.hubChain(t)
			if route == "direct" {
				chain = s.directChain(t)
			}
			got, err := fetch(t.Context(), chain.Config())
			if err != nil || got != photo {
				t.Fatalf("got %q, %v", got, err)
			}
			creds, err := chain.Retrieve(t.Context())
			if err != nil || creds.AccountID != s.shared.ID() {
				t.Fatalf("account %s, %v", creds.AccountID, err)
			}
			status := chain.Status()
			last := status.Hops[len(status.Hops)-1]
			want := "arn:aws:sts::444455556666:assumed-role/S3_Pics/default.s3-shared-content@"
			if len(last.CallerARN) < len(want) || last.CallerARN[:len(want)] != want {
				t.Errorf("caller %s, want %s…", last.CallerARN, want)
			}
		})
	}
}

func TestChainAsksOncePerHop(t *testing.T) {
	s := newScene(t)
	chain := s.hubChain(t)
	var wg sync.WaitGroup
	errs := make(chan error, 1000)
	for range 1000 {
		wg.Go(func() {
			creds, err := chain.Retrieve(t.Context())
			if err == nil && creds.AccountID != s.shared.ID() {
				err = errors.New("account " + creds.AccountID)
			}
			errs <- err
		})
	}
	wg.Wait()
	for range 1000 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if web, assume := s.count("AssumeRoleWithWebIdentity"), s.count("AssumeRole"); web != 1 || assume != 1 {
		t.Errorf("%d + %d calls for 1,000 callers, want 1 + 1", web, assume)
	}
}
