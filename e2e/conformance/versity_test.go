package conformance

import (
	"context"
	"testing"
	"time"

	"github.com/crossrole/crossrole/e2e/issuer"
	"github.com/crossrole/crossrole/e2e/versity"
)

// versitygw gets the S3 requests as the owner of the bucket. Its STS evaluates the
// role's trust policy before it fetches the issuer's keys, which fails here; the table
// covers its decisions up to that point.
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
	fill(ctx, t, g.S3, false)
	owner, err := g.S3.Credentials.Retrieve(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// IAM accepts only issuers with https and without a port.
	const host = "127.0.0.1/id/table"
	known, foreign := newIssuer(t), newIssuer(t)
	register(ctx, t, g.IAM, "https://"+host, known.Thumbprints())
	w := &world{
		server: versityServer, sts: *g.IAM.BaseEndpoint, s3: *g.S3.BaseEndpoint, reader: owner, writer: owner,
		issuer: host, only: versity.Account,
		token: tokens(t, map[string]*issuer.Issuer{"": known, "foreign": foreign, "silent": known}, "https://"+host),
		create: func(_, name, trustJSON, policyJSON string) error {
			return createRole(ctx, g.IAM, name, trustJSON, policyJSON)
		},
	}
	if err := w.furnish(ctx); err != nil {
		t.Fatal(err)
	}
	run(t, w)
}
