package main

import (
	"fmt"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// organization is a developer account with a hub, and n accounts that each have a
// bucket and a role for the hub. Every five-hundredth trusts another role.
type organization struct {
	cloud   *awstest.Cloud
	pod     *awstest.Pod
	targets []target
}

const lockedEvery = 500

func newOrganization(dir string, n int) *organization {
	cloud := awstest.New()
	dev := cloud.Account("111122223333")
	cluster := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	dev.AddOIDCProvider(cluster)
	hub := dev.CreateRole("hub",
		trust.WebIdentityPolicy(dev.ID(), []string{cluster.Issuer()}, []string{awstest.Subject("default", "scanner")}).String(),
		trust.AssumePolicy([]string{"arn:aws:iam::*:role/audit"}).String())
	other := dev.CreateRole("other", trust.RolePolicy(hub.ARN()).String(), trust.AssumePolicy([]string{"arn:aws:iam::*:role/audit"}).String())

	o := &organization{cloud: cloud, pod: cluster.Pod(dir, "default", "scanner", hub.ARN())}
	for i := range n {
		account := cloud.Account(fmt.Sprintf("2%011d", i))
		bucket := "logs-" + account.ID()
		account.CreateBucket(bucket).Put("today", make([]byte, 100+i))
		trusted := hub
		if i%lockedEvery == lockedEvery-1 {
			trusted = other
		}
		// The scanner chooses the external ID, one for each account.
		external := fmt.Sprintf("scan-%08x", uint32(i)*2654435761)
		role := account.CreateRole("audit",
			trust.RolePolicy(trusted.ARN(), func(o *trust.PolicyOptions) { o.ExternalID = external }).String(),
			trust.ReadBucketPolicy(bucket, "").String())
		o.targets = append(o.targets, target{account.ID(), bucket, credentials.Role{ARN: role.ARN(), ExternalID: external}})
	}
	return o
}
