package main

import (
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
                  changes.`,
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
	f.StringVar(&p.role, "role", "S3_Pics", "`NAME` of the shared account's role")
	f.StringVar(&p.serviceAccount, "service-account", "", "`NAMESPACE/NAME`")
	f.StringVar(&p.bucket, "bucket", "", "`BUCKET` to read")
	f.StringVar(&p.prefix, "prefix", "", "`PREFIX` of its keys; all if not given")
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
	if err := checkRoleName("--role", p.role); err != nil {
		return err
	}
	p.namespace, p.accountName, err = splitServiceAccount(p.serviceAccount)
	return err
}
