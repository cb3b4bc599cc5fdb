package main

import (
	"time"

	"github.com/spf13/cobra"
)

// plan is what setup is asked for.
type plan struct {
	route                  string
	issuers                []string
	cluster, shared        string // accounts
	hub, role              string // names
	serviceAccount         string
	bucket, prefix         string
	namespace, accountName string
	partition              partitionFlag

	asked roleSetting // of role
}

func newSetup() *cobra.Command {
	var p plan
	c := &cobra.Command{
		Use:   "setup --route direct|hub --issuer URL... --shared-account ID --bucket BUCKET --service-account NAMESPACE/NAME",
		Short: "Print all that a person must apply for a route, in order",
		Long: `setup prints, and changes nothing: the AWS CLI commands for each account, with
their policies, then the service account with its annotation, and a pod to try
it with. Run the commands of an account with that account's credentials.

  --route direct  the shared account registers the cluster's issuer
  --route hub     the cluster's account does; the shared account trusts one role.
                  For blue/green give --issuer twice: only the hub's account
                  changes.

--role takes a role's name with the settings of crossrole help roles: the trust
policy demands the external id, and admits tags and a source identity.`,
		Example: `  crossrole setup --route hub --issuer https://oidc.eks.us-east-1.amazonaws.com/id/BLUE \
    --cluster-account 111122223333 --shared-account 444455556666 \
    --bucket pics --service-account default/s3-shared-content`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := p.check(); err != nil {
				return err
			}
			return p.write(c.OutOrStdout())
		},
	}
	f := c.Flags()
	f.StringVar(&p.route, "route", "hub", "direct or hub")
	f.StringArrayVar(&p.issuers, "issuer", nil, "`URL` of the cluster's issuer; may be given several times")
	f.StringVar(&p.cluster, "cluster-account", "", "`ID` of the cluster's account (hub)")
	f.StringVar(&p.shared, "shared-account", "", "`ID` of the bucket's account")
	f.StringVar(&p.hub, "hub", "crossrole-hub", "`NAME` of the hub role")
	f.StringVar(&p.role, "role", "S3_Pics", "`NAME[,setting]...` of the shared account's role")
	f.StringVar(&p.serviceAccount, "service-account", "", "`NAMESPACE/NAME`")
	f.StringVar(&p.bucket, "bucket", "", "`BUCKET` to read")
	f.StringVar(&p.prefix, "prefix", "", "`PREFIX` of its keys; all if not given")
	p.partition.add(c)
	require(c, "issuer", "shared-account", "bucket", "service-account")
	return c
}

func (p *plan) check() (err error) {
	if p.route != "direct" && p.route != "hub" {
		return usagef("--route %q; want direct or hub", p.route)
	}
	for _, issuer := range p.issuers {
		if err := checkIssuer("--issuer", issuer); err != nil {
			return err
		}
	}
	if err := checkAccount("--shared-account", p.shared); err != nil {
		return err
	}
	if p.route == "hub" {
		if err := checkAccount("--cluster-account", p.cluster); err != nil {
			return err
		}
		if err := checkRoleName("--hub", p.hub); err != nil {
			return err
		}
	}
	if err := p.checkRole(); err != nil {
		return err
	}
	var inBucket string
	if p.bucket, inBucket, err = checkBucketName("--bucket", p.bucket); err != nil {
		return err
	}
	if p.partition.name, err = p.partition.of(p.issuers...); err != nil {
		return err
	}
	if inBucket != "" && inBucket != p.partition.name {
		return usagef("--bucket is in partition %s, the roles are in %s; say with --partition where the accounts are", inBucket, p.partition.name)
	}
	p.namespace, p.accountName, err = splitServiceAccount(p.serviceAccount)
	return err
}

// checkRole reads the role's name and settings.
func (p *plan) checkRole() (err error) {
	if p.asked, err = parseRole(p.role); err != nil {
		return err
	}
	if p.role = p.asked.role.ARN; p.asked.own {
		p.role = "own" // a name like any other, here
	}
	if err := checkRoleName("--role", p.role); err != nil {
		return err
	}
	switch r := p.asked.role; {
	case p.route == "direct" && (r.ExternalID != "" || r.SourceIdentity != "" || r.Tags != nil):
		return usagef("--role %s: external-id, source-identity and tags belong to a role that a role assumes (--route hub); on the direct route a token is exchanged for it", p.role)
	case p.route == "hub" && r.Duration > time.Hour:
		return usagef("--role %s: duration=%s; STS allows a chained role one hour at most (--route direct has up to 12)", p.role, r.Duration)
	}
	return nil
}
