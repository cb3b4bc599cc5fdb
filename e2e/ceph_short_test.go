package e2e_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/crossrole/crossrole/e2e/shortsession"
)

// shortLife is short enough for many sessions to expire in a minute.
const shortLife = 3 * time.Second

// shortSTS is a proxy in front of the gateway's STS whose sessions last for shortLife.
func (s *scene) shortSTS(t *testing.T) *shortsession.Proxy {
	t.Helper()
	p, err := shortsession.Start(s.cluster.URL, shortLife)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// TestCephShortSessionEnds checks that the gateway really refuses a session of three
// seconds after that time. If it did not, the one-minute loop would prove nothing.
func TestCephShortSessionEnds(t *testing.T) {
	s := cephScene(t)
	t.Parallel()
	cfg := aws.Config{Region: s.shared.Config.Region, BaseEndpoint: aws.String(s.shortSTS(t).URL)}
	cfg.Credentials = stscreds.NewWebIdentityRoleProvider(sts.NewFromConfig(cfg), hubRole, stscreds.IdentityTokenFile(tokenFile(t, s.issuer, pod)))
	session, err := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), targetRole).Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	issued := time.Now()
	client := s3.New(s3.Options{
		Region: cfg.Region, BaseEndpoint: aws.String(s.cluster.URL),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return session, nil }),
	})
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		_, err := client.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String(bucket)})
		lived := time.Since(issued)
		if err == nil && lived < 2*shortLife {
			continue
		}
		refused, ok := errors.AsType[smithy.APIError](err)
		if !ok || refused.ErrorCode() != "Forbidden" || lived < shortLife-time.Second {
			t.Errorf("after %v: %v; want a refusal after %v", lived, err, shortLife)
		}
		return
	}
}
