package conformance

import (
	"context"
	"testing"
	"time"

	"github.com/crossrole/crossrole/e2e/versity"
)

// versitygw is asked about S3 alone, as the owner of the bucket. That its STS
// cannot fetch an issuer's keys is a test of package versity.
func TestVersityConformance(t *testing.T) {
	program, err := versity.Program(context.WithoutCancel(t.Context()), "../versity/tool")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	g, err := versity.Start(ctx, program, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(g.Logs())
		}
		g.Stop()
	})
	fill(ctx, t, g.S3)
	owner, err := g.S3.Credentials.Retrieve(ctx)
	if err != nil {
		t.Fatal(err)
	}
	run(t, &world{server: versityServer, s3: *g.S3.BaseEndpoint, reader: owner})
}
