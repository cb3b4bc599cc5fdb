package conformance

import (
	"context"
	"testing"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/trust"
)

func TestClientsConformance(t *testing.T) {
	cloud := awstest.New()
	accounts := map[string]*awstest.Account{devAccount: cloud.Account(devAccount), sharedAccount: cloud.Account(sharedAccount)}
	known := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	foreign := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/FOREIGN")
	accounts[devAccount].AddOIDCProvider(known)
	b := accounts[sharedAccount].CreateBucket(bucket)
	for key, data := range contents {
		b.Put(key, []byte(data))
	}
	versions := accounts[sharedAccount].CreateBucket(past)
	versions.SetVersioning()
	versions.AllowCustomerKeys()
	versions.Put("k", []byte("past"))
	roles := map[string]*awstest.Role{}
	url := cloud.Serve(t)
	w := &world{
		server: double, sts: url, s3: url, issuer: "oidc.eks.us-east-1.amazonaws.com/id/BLUE",
		token: func(c claims) string {
			cluster, account := known, "app"
			if c.cluster == "foreign" {
				cluster = foreign
			}
			if c.serviceAccount != "" {
				account = c.serviceAccount
			}
			return cluster.Token("default", account, func(token *trust.Token) {
				token.IssuedAt = token.IssuedAt.Add(-c.issuedAgo)
				token.NotBefore = token.IssuedAt
				token.Expires = token.IssuedAt.Add(time.Hour)
				if c.audience != "" {
					token.Audience = []string{c.audience}
				}
			})
		},
		create: func(account, name, trustJSON, policyJSON string) error {
			roles[name] = accounts[account].CreateRole(name, trustJSON, policyJSON)
			return nil
		},
		revoke: func() { roles["S3-Pics-short"].RevokeSessions() },
	}
	if err := w.furnish(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	run(t, w)
}
