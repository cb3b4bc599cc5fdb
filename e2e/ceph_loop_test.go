package e2e_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/e2e/ceph"
	"github.com/crossrole/crossrole/s3reader"
)

// TestCephThreeSecondSessions reads for a minute while sessions end every three
// seconds. The gateway answers an ended session with AccessDenied, which no
// client can tell from a refusal for good, so nothing but renewing in time
// keeps the loop free of errors.
func TestCephThreeSecondSessions(t *testing.T) {
	s := cephScene(t)
	t.Parallel()
	const minute = time.Minute
	for _, test := range []struct {
		name, first string
		roles       []string
		last        string // the last hop's action
	}{
		{"direct", directRole, nil, "AssumeRoleWithWebIdentity"},
		{"hub", hubRole, []string{targetRole}, "AssumeRole"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			short := s.shortSTS(t)
			cfg, err := credentials.Wrap(
				aws.Config{Region: ceph.Region, BaseEndpoint: aws.String(s.cluster.URL)},
				credentials.Assume(test.roles...),
				func(o *credentials.Options) {
					o.Source = credentials.WebIdentity{RoleARN: test.first, TokenFile: tokenFile(t, s.issuer, pod)}
					o.STS = func(o *sts.Options) { o.BaseEndpoint = aws.String(short.URL) }
				})
			if err != nil {
				t.Fatal(err)
			}
			reader, err := s3reader.New(cfg, bucket)
			if err != nil {
				t.Fatal(err)
			}
			reads, start := 0, time.Now()
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for range tick.C {
				got, err := reader.Get(t.Context(), object)
				if err != nil {
					t.Fatalf("read %d, %v after the start: %v", reads+1, time.Since(start), err)
				}
				if !bytes.Equal(got, picture()) {
					t.Fatalf("read %d: %d bytes that are not the picture", reads+1, len(got))
				}
				reads++
				if time.Since(start) >= minute {
					break
				}
			}
			t.Logf("%d reads, sessions handed out: %v", reads, short.Handed())
			// Fewer would mean that a session outlived its end, more than one a
			// second that somebody asks without need.
			if n := short.Handed()[test.last]; n < int(minute/shortLife) || n > int(minute/time.Second) {
				t.Errorf("%s: %d sessions in %v", test.last, n, minute)
			}
		})
	}
}
