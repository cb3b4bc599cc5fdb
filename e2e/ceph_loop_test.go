package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/e2e/ceph"
	"github.com/crossrole/crossrole/s3reader"
)

// TestCephThreeSecondSessions reads for a minute while sessions expire every three
// seconds. For an expired session the gateway answers AccessDenied, which no client
// can distinguish from a permanent denial, so only renewing in time keeps the loop
// free of errors.
func TestCephThreeSecondSessions(t *testing.T) {
	s := cephScene(t)
	t.Parallel()
	const minute = time.Minute
	var routes sync.WaitGroup // both at the same time, even with a single core
	defer routes.Wait()
	for _, route := range []struct {
		name, first string
		roles       []string
		last        string // the last hop's action
	}{
		{"direct", directRole, nil, "AssumeRoleWithWebIdentity"},
		{"hub", hubRole, []string{targetRole}, "AssumeRole"},
	} {
		short := s.shortSTS(t)
		cfg, err := credentials.Wrap(
			aws.Config{Region: ceph.Region, BaseEndpoint: aws.String(s.cluster.URL)},
			credentials.Assume(route.roles...),
			func(o *credentials.Options) {
				o.Source = credentials.WebIdentity{RoleARN: route.first, TokenFile: tokenFile(t, s.issuer, pod)}
				o.STS = func(o *sts.Options) { o.BaseEndpoint = aws.String(short.URL) }
			})
		if err != nil {
			t.Fatal(err)
		}
		reader, err := s3reader.New(cfg, bucket)
		if err != nil {
			t.Fatal(err)
		}
		routes.Go(func() {
			reads, err := readFor(t.Context(), minute, reader)
			t.Logf("%s: %d reads, sessions handed out: %v", route.name, reads, short.Handed())
			if err != nil {
				t.Errorf("%s: read %d: %v", route.name, reads+1, err)
				return
			}
			// Fewer would mean that a session was used after its expiry; more than one
			// a second, that sessions are requested unnecessarily.
			if n := short.Handed()[route.last]; n < int(minute/shortLife) || n > int(minute/time.Second) {
				t.Errorf("%s: %d sessions by %s in %v", route.name, n, route.last, minute)
			}
		})
	}
}

// readFor reads the picture repeatedly and counts the reads until the first error.
func readFor(ctx context.Context, d time.Duration, reader *s3reader.Reader) (reads int, err error) {
	start := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for time.Since(start) < d {
		got, err := reader.Get(ctx, object)
		if err != nil {
			return reads, fmt.Errorf("%v after the start: %w", time.Since(start), err)
		}
		if !bytes.Equal(got, picture()) {
			return reads, fmt.Errorf("%v after the start: %d bytes that are not the picture", time.Since(start), len(got))
		}
		reads++
		<-tick.C
	}
	return reads, nil
}
