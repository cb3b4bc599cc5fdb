package main

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crossrole/crossrole/cmd/crossrole/internal/rolesetting"
	"github.com/crossrole/crossrole/trust"
)

// plan is the command setup with its flags.
type plan struct {
	route                  string
	issuers                []string
	cluster, shared        string // accounts
	hub, role              string // names
	serviceAccount         string
	bucket, prefix         string
	namespace, accountName string
	partition              partitionFlag

	asked rolesetting.Setting // of role
}

func newSetup() *cobra.Command {
	var p plan
	c := &cobra.Command{
		Use:   "setup --route direct|hub --issuer URL... --shared-account ID --bucket BUCKET --service-account NAMESPACE/NAME",
		Short: "Print everything you must apply for a route, in order",
		Long: `setup prints the AWS CLI commands for each account with their policies, then the
service account with its annotation, and a pod to test it with. It changes nothing.
Run the commands of an account with that account's credentials.

  --route direct  the shared account registers the cluster's issuer
  --route hub     the cluster's account registers the issuer; the shared account
                  trusts one role. For blue/green give --issuer twice: only the
                  hub's account changes.

--role takes a role's name with the settings of crossrole help roles. The trust
policy then requires the external ID, and allows tags and a source identity.`,
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
	f.StringArrayVar(&p.issuers, "issuer", nil, "`URL` of the cluster's issuer; repeat it for further clusters")
	f.StringVar(&p.cluster, "cluster-account", "", "`ID` of the cluster's account (hub)")
	f.StringVar(&p.shared, "shared-account", "", "`ID` of the bucket's account")
	f.StringVar(&p.hub, "hub", "crossrole-hub", "`NAME` of the hub role")
	f.StringVar(&p.role, "role", "S3_Pics", "`NAME[,setting]...` of the shared account's role")
	f.StringVar(&p.serviceAccount, "service-account", "", "`NAMESPACE/NAME`")
	f.StringVar(&p.bucket, "bucket", "", "`BUCKET` to read")
	f.StringVar(&p.prefix, "prefix", "", "`PREFIX` of the keys; empty: all")
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
		return usagef("--bucket is in partition %s, the roles are in %s; use --partition to choose the partition of the accounts", inBucket, p.partition.name)
	}
	p.namespace, p.accountName, err = splitServiceAccount(p.serviceAccount)
	return err
}

// checkRole parses the role's name and settings.
func (p *plan) checkRole() (err error) {
	if p.asked, err = rolesetting.Parse(p.role); err != nil {
		return usageError{err}
	}
	if p.role = p.asked.Role.ARN; p.asked.Own {
		p.role = "own" // a name like any other, here
	}
	if err := checkRoleName("--role", p.role); err != nil {
		return err
	}
	switch r := p.asked.Role; {
	case p.route == "direct" && (r.ExternalID != "" || r.SourceIdentity != "" || r.Tags != nil):
		return usagef("--role %s: external-id, source-identity and tags are settings of a role that another role assumes (--route hub); on the direct route a token is exchanged for the role", p.role)
	case p.route == "hub" && r.Duration > time.Hour:
		return usagef("--role %s: duration=%s; STS allows a chained role one hour at most (--route direct allows up to 12)", p.role, r.Duration)
	}
	return nil
}

// policies are the policies of the roles; nil where a route has none.
type policies struct{ hubTrust, hubMay, roleTrust, roleMay *trust.Policy }

// policies returns the policies, or why IAM would reject one.
func (p *plan) policies(hub, target string) (policies, error) {
	subject := []string{"system:serviceaccount:" + p.namespace + ":" + p.accountName}
	options := func(o *trust.PolicyOptions) {
		o.Partition = p.partition.name
		o.ExternalID = p.asked.Role.ExternalID
		o.TagSession, o.SetSourceIdentity = p.asked.Role.Tags != nil, p.asked.Role.SourceIdentity != ""
	}
	may := trust.ReadBucketPolicy(p.bucket, p.prefix, options)
	all := policies{roleTrust: trust.WebIdentityPolicy(p.shared, p.issuers, subject, options), roleMay: may}
	checks := []func() error{may.ValidateIdentity}
	if p.route == "hub" {
		all.hubTrust, all.hubMay = trust.WebIdentityPolicy(p.cluster, p.issuers, subject, options), trust.AssumePolicy([]string{target}, options)
		all.roleTrust = trust.RolePolicy(hub, options)
		checks = append(checks, all.hubTrust.ValidateTrust, all.hubMay.ValidateIdentity)
	}
	for _, check := range append(checks, all.roleTrust.ValidateTrust) {
		if err := check(); err != nil {
			return all, usagef("IAM would reject the resulting policy: %w", err)
		}
	}
	return all, nil
}

// write prints the steps. Policies are in here-documents, so the output can be pasted
// into a shell.
func (p *plan) write(out io.Writer) error {
	target := "arn:" + p.partition.name + ":iam::" + p.shared + ":role/" + p.role
	hub := "arn:" + p.partition.name + ":iam::" + p.cluster + ":role/" + p.hub
	grants, err := p.policies(hub, target)
	if err != nil {
		return err
	}
	var b strings.Builder
	step := 0
	section := func(format string, args ...any) {
		step++
		fmt.Fprintf(&b, "# %d. %s\n", step, fmt.Sprintf(format, args...))
	}
	providers := func(account string) {
		section("In account %s: register the issuer%s of the cluster%s", account, plural(p.issuers), plural(p.issuers))
		for _, issuer := range p.issuers {
			fmt.Fprintf(&b, "aws iam create-open-id-connect-provider %s --client-id-list sts.amazonaws.com\n", shellFlag("--url", issuer))
		}
		b.WriteString("\n")
	}
	role := func(account, name string, trusts, may *trust.Policy, lasts time.Duration, what string) {
		section("In account %s: %s", account, what)
		longer := ""
		if lasts > time.Hour { // the default of every role
			longer = fmt.Sprintf(" --max-session-duration %d", int64(lasts/time.Second))
		}
		file := func(suffix string) string { return shellQuote(name + suffix) }
		fmt.Fprintf(&b, "cat > %s <<'END'\n%s\nEND\naws iam create-role %s%s --assume-role-policy-document %s\n",
			file("-trust.json"), trusts, shellFlag("--role-name", name), longer, shellQuote("file://"+name+"-trust.json"))
		fmt.Fprintf(&b, "cat > %s <<'END'\n%s\nEND\naws iam put-role-policy %s --policy-name crossrole --policy-document %s\n\n",
			file("-policy.json"), may, shellFlag("--role-name", name), shellQuote("file://"+name+"-policy.json"))
	}
	asked := p.asked
	annotated, doctor := hub, []string{"doctor"}
	if p.route == "direct" {
		annotated = target
		providers(p.shared)
		role(p.shared, p.role, grants.roleTrust, grants.roleMay, asked.Role.Duration, "the role that tokens are exchanged for, which may read the bucket")
		asked.Own, asked.Role.ARN = true, ""
	} else {
		providers(p.cluster)
		role(p.cluster, p.hub, grants.hubTrust, grants.hubMay, 0, "the hub role, which tokens are exchanged for")
		role(p.shared, p.role, grants.roleTrust, grants.roleMay, 0, "the role that the hub assumes, which may read the bucket")
		asked.Own, asked.Role.ARN = false, target
	}
	if asked.String() != "own" {
		doctor = append(doctor, "--role", asked.String())
	}
	doctor = append(doctor, "--bucket", p.bucket)
	section("In the cluster%s: the service account, kubectl apply -f -", plural(p.issuers))
	fmt.Fprintf(&b, `apiVersion: v1
kind: ServiceAccount
metadata:
  name: %s
  namespace: %s
  annotations:
    eks.amazonaws.com/role-arn: %s
---
`, yamlString(p.accountName), yamlString(p.namespace), yamlString(annotated))
	fmt.Fprintf(&b, `apiVersion: v1
kind: Pod
metadata:
  name: crossrole-doctor
  namespace: %s
spec:
  serviceAccountName: %s
  restartPolicy: Never
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    fsGroup: 65532
  containers:
  - name: doctor
    image: IMAGE # with the crossrole command
    args: [%s]
`, yamlString(p.namespace), yamlString(p.accountName), yamlList(doctor))
	fmt.Fprintf(&b, "\n# Then: kubectl logs -n %s crossrole-doctor\n", shellQuote(p.namespace))
	_, err = io.WriteString(out, b.String())
	return err
}

func plural(list []string) string {
	if len(list) > 1 {
		return "s"
	}
	return ""
}

// yamlList returns a command line as the items of a YAML list.
func yamlList(args []string) string {
	list := slices.Clone(args)
	for i, a := range list {
		list[i] = yamlQuoted(a)
	}
	return strings.Join(list, ", ")
}

// partitionFlag is the AWS partition of the printed ARNs.
type partitionFlag struct{ name string }

func (p *partitionFlag) add(c *cobra.Command) {
	c.Flags().StringVar(&p.name, "partition", "", "`NAME` of the partition: aws, aws-cn, aws-us-gov, aws-eusc, … (default: that of the issuer's host or, if AWS does not run it, of AWS_REGION)")
}

var partitionPattern = regexp.MustCompile(`^aws(-[a-z]+)*$`)

// of returns the partition that the flag, the issuers or the region show.
func (p *partitionFlag) of(issuers ...string) (string, error) {
	if p.name != "" {
		if !partitionPattern.MatchString(p.name) {
			return "", usagef("--partition %q; want aws, aws-cn, aws-us-gov, aws-eusc or another partition of AWS", p.name)
		}
		return p.name, nil
	}
	found, by := "", ""
	for _, issuer := range issuers {
		u, err := url.Parse(issuer)
		if err != nil {
			continue // checkIssuer reports it
		}
		of := partitionOfHost(u.Hostname())
		if of != "" && found != "" && of != found {
			return "", usagef("--issuer %q is in partition %s and --issuer %q in %s; roles trust issuers of any partition, so use --partition to choose the partition of the accounts", by, found, issuer, of)
		}
		if of != "" {
			found, by = of, issuer
		}
	}
	region := cmp.Or(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
	return cmp.Or(found, partitionOfRegion(region), "aws"), nil
}

// regionPartitions are the partitions by the prefix of their regions, longer prefixes
// first. The prefixes, and the domains below, are from the SDK's partitions.json.
var regionPartitions = []struct{ prefix, partition string }{
	{"us-isob-", "aws-iso-b"}, {"us-isof-", "aws-iso-f"}, {"us-iso-", "aws-iso"}, {"us-gov-", "aws-us-gov"},
	{"eu-isoe-", "aws-iso-e"}, {"eusc-", "aws-eusc"}, {"cn-", "aws-cn"},
	{"us-", "aws"}, {"eu-", "aws"}, {"ap-", "aws"}, {"sa-", "aws"}, {"ca-", "aws"}, {"me-", "aws"}, {"af-", "aws"}, {"il-", "aws"}, {"mx-", "aws"},
}

var domainPartitions = []struct{ suffix, partition string }{
	{".amazonaws.com.cn", "aws-cn"}, {".api.amazonwebservices.com.cn", "aws-cn"},
	{".amazonaws.eu", "aws-eusc"}, {".api.amazonwebservices.eu", "aws-eusc"},
	{".c2s.ic.gov", "aws-iso"}, {".api.aws.ic.gov", "aws-iso"},
	{".sc2s.sgov.gov", "aws-iso-b"}, {".api.aws.scloud", "aws-iso-b"},
	{".cloud.adc-e.uk", "aws-iso-e"}, {".api.cloud-aws.adc-e.uk", "aws-iso-e"},
	{".csp.hci.ic.gov", "aws-iso-f"}, {".api.aws.hci.ic.gov", "aws-iso-f"},
	{".amazonaws.com", "aws"}, {".api.aws", "aws"}, // and aws-us-gov
}

var regionPattern = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)

// partitionOfRegion returns "" for an unknown region.
func partitionOfRegion(region string) string {
	if regionPattern.MatchString(region) {
		for _, r := range regionPartitions {
			if strings.HasPrefix(region, r.prefix) {
				return r.partition
			}
		}
	}
	return ""
}

// partitionOfHost returns the partition of one of AWS's hosts, such as
// oidc.eks.us-gov-west-1.amazonaws.com, and "" for any other host. GovCloud shares the
// domain of the commercial regions, so there the region decides.
func partitionOfHost(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, d := range domainPartitions {
		rest, ok := strings.CutSuffix(host, d.suffix)
		if !ok {
			continue
		}
		if d.partition != "aws" {
			return d.partition
		}
		labels := strings.Split(rest, ".")
		for i := len(labels) - 1; i >= 0; i-- { // the labels before the region may be a bucket's name
			label := strings.TrimPrefix(labels[i], "s3-") // S3's older host names
			if p := partitionOfRegion(label); p != "" {
				return p
			}
		}
		return d.partition
	}
	return ""
}
