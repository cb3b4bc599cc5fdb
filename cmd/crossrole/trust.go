package main

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/spf13/cobra"

	"github.com/crossrole/crossrole/cmd/crossrole/internal/plan"
	"github.com/crossrole/crossrole/cmd/crossrole/internal/rolesetting"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// The trust command prints the policies of a route.

func newTrust() *cobra.Command {
	c := &cobra.Command{
		Use:   "trust",
		Short: "Print the trust and permission policies of a route",
		Long: `trust prints IAM policies, ready for --policy-document and
--assume-role-policy-document of the AWS CLI.

  trust token    trust policy for service-account tokens: for the direct route's
                 role, or for the hub; several issuers for blue/green
  trust role     trust policy of a role that the hub assumes
  trust assume   permission policy of the hub
  trust read     permission policy of a role that reads a bucket`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newTrustToken(), newTrustRole(), newTrustAssume(), newTrustRead())
	return c
}

// subjects are the service accounts in the flags.
type subjects struct{ names []string }

func (s *subjects) add(c *cobra.Command) {
	c.Flags().StringArrayVar(&s.names, "service-account", nil, "`NAMESPACE/NAME` that may assume the role; * and ? are wildcards; repeat it for further ones")
}

func (s *subjects) list() ([]string, error) {
	var list []string
	for _, name := range s.names {
		if err := checkAccountPattern(name); err != nil {
			return nil, err
		}
		namespace, account, _ := strings.Cut(name, "/")
		list = append(list, "system:serviceaccount:"+namespace+":"+account)
	}
	return list, nil
}

// print prints an identity policy, or returns why IAM would reject it.
func print(c *cobra.Command, p *trust.Policy) error {
	if err := p.ValidateIdentity(); err != nil {
		return usagef("IAM would reject the resulting policy: %w", err)
	}
	_, err := fmt.Fprintln(c.OutOrStdout(), p)
	return err
}

// printTrust prints a trust policy, with a warning if few further clusters fit into it.
func printTrust(c *cobra.Command, p *trust.Policy) error {
	if err := p.ValidateTrust(); err != nil {
		return usagef("IAM would reject the resulting policy: %w", err)
	}
	warning, err := plan.SizeOfTrust("the trust policy", p)
	if err != nil {
		return usageError{err}
	}
	if warning != "" {
		fmt.Fprintf(c.ErrOrStderr(), "crossrole: %s\n", warning)
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), p)
	return err
}

func newTrustToken() *cobra.Command {
	var account, audience string
	var issuers []string
	var partition partitionFlag
	var who subjects
	c := &cobra.Command{
		Use:     "token --account ID --issuer URL... --service-account NAMESPACE/NAME...",
		Short:   "The trust policy of a role that tokens are exchanged for",
		Example: "  crossrole trust token --account 111122223333 --issuer https://oidc.eks.us-east-1.amazonaws.com/id/BLUE --issuer https://oidc.eks.us-east-1.amazonaws.com/id/GREEN --service-account default/app",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			list, err := who.list()
			if err != nil {
				return err
			}
			if err := checkAccount("--account", account); err != nil {
				return err
			}
			for _, url := range issuers {
				if err := checkIssuer("--issuer", url); err != nil {
					return err
				}
			}
			in, err := partition.of(issuers...)
			if err != nil {
				return err
			}
			p := trust.WebIdentityPolicy(account, issuers, list, func(o *trust.PolicyOptions) { o.Audience, o.Partition = audience, in })
			return printTrust(c, p)
		},
	}
	c.Flags().StringVar(&account, "account", "", "`ID` of the role's account, where the issuers are registered")
	c.Flags().StringArrayVar(&issuers, "issuer", nil, "`URL` of a cluster's issuer; repeat it for further clusters")
	c.Flags().StringVar(&audience, "audience", "", "`AUDIENCE` of the tokens (default sts.amazonaws.com)")
	partition.add(c)
	who.add(c)
	require(c, "account", "issuer", "service-account")
	return c
}

func newTrustRole() *cobra.Command {
	var hub, external string
	var tags, identity bool
	c := &cobra.Command{
		Use:   "role --hub ARN",
		Short: "The trust policy of a role that the hub assumes",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			hub, err := onlyARN("--hub", hub)
			if err != nil {
				return err
			}
			p := trust.RolePolicy(hub, func(o *trust.PolicyOptions) {
				o.ExternalID, o.TagSession, o.SetSourceIdentity = external, tags, identity
			})
			return printTrust(c, p)
		},
	}
	c.Flags().StringVar(&hub, "hub", "", "`ARN` of the hub role")
	c.Flags().StringVar(&external, "external-id", "", "`ID` that the caller must send")
	c.Flags().BoolVar(&tags, "tags", false, "allow session tags (needed after EKS Pod Identity)")
	c.Flags().BoolVar(&identity, "source-identity", false, "allow a source identity")
	require(c, "hub")
	return c
}

// onlyARN parses the ARN of a role, and refuses the settings of --role: they would
// become a part of the policy.
func onlyARN(flag, s string) (string, error) {
	r, err := rolesetting.Parse(s)
	if err != nil {
		return "", usagef("%s, read as a role: %w", flag, err)
	}
	if arn := (rolesetting.Setting{Role: credentials.Role{ARN: r.Role.ARN}}).String(); r.Own || r.String() != arn {
		return "", usagef("%s takes a role's ARN without settings; use this command's flags for what the policy requires", flag)
	}
	return r.Role.ARN, nil
}

func newTrustAssume() *cobra.Command {
	var targets []string
	var tags bool
	c := &cobra.Command{
		Use:   "assume --target ARN...",
		Short: "The permission policy of the hub",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			for i, target := range targets {
				arn, err := onlyARN("--target", target)
				if err != nil {
					return err
				}
				targets[i] = arn
			}
			p := trust.AssumePolicy(targets, func(o *trust.PolicyOptions) { o.TagSession = tags })
			return print(c, p)
		},
	}
	c.Flags().StringArrayVar(&targets, "target", nil, "`ARN` of a role that the hub may assume; repeat it for further roles")
	c.Flags().BoolVar(&tags, "tags", false, "allow session tags")
	require(c, "target")
	return c
}

func newTrustRead() *cobra.Command {
	var bucket, prefix string
	var keys []string
	var partition partitionFlag
	c := &cobra.Command{
		Use:   "read --bucket BUCKET [--prefix PREFIX] [--kms-key ARN]...",
		Short: "The permission policy of a role that reads a bucket",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			name, in, err := checkBucketName("--bucket", bucket)
			if err != nil {
				return err
			}
			for _, key := range keys { // IAM checks the rest of it
				if a, err := arn.Parse(key); err == nil && in == "" {
					in = a.Partition
				}
			}
			if in == "" || partition.name != "" {
				if in, err = partition.of(); err != nil {
					return err
				}
			}
			p := trust.ReadBucketPolicy(name, prefix, func(o *trust.PolicyOptions) { o.KMSKeyARNs, o.Partition = keys, in })
			return print(c, p)
		},
	}
	c.Flags().StringVar(&bucket, "bucket", "", "`BUCKET`")
	c.Flags().StringVar(&prefix, "prefix", "", "`PREFIX` of the keys; empty: all")
	c.Flags().StringArrayVar(&keys, "kms-key", nil, "`ARN` of a KMS key that encrypts the objects; repeat it for further keys")
	partition.add(c)
	require(c, "bucket")
	return c
}

func require(c *cobra.Command, flags ...string) {
	for _, name := range flags {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // there is no flag of that name
		}
	}
}
