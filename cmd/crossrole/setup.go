package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/spf13/cobra"

	"github.com/crossrole/crossrole/cmd/crossrole/internal/plan"
	"github.com/crossrole/crossrole/cmd/crossrole/internal/rolesetting"
	"github.com/crossrole/crossrole/internal/lazyregexp"
	"github.com/crossrole/crossrole/trust"
)

// The setup command: it turns flags into a plan and prints the plan.

// setup is the command with its flags.
type setup struct {
	request        plan.Request
	role           string // with settings
	externalID     string
	serviceAccount string
	sessionPolicy  string // a file
	inject         string
	partition      partitionFlag
	format, out    string

	given func(flag string) bool
}

func newSetup() *cobra.Command {
	var s setup
	c := &cobra.Command{
		Use:   "setup --route hub|direct|pod-identity --shared-account ID --bucket BUCKET --service-account NAMESPACE/NAME",
		Short: "Print everything you must apply for a route",
		Long: `setup prints what a route needs in each account and in the cluster: OIDC
providers, roles with their policies, a service account, and a pod to test it
with. It changes nothing.

  --route hub           the cluster's account registers the issuer; the shared
                        account trusts one role. For blue/green give --issuer
                        twice: only the hub's account changes.
  --route direct        the shared account registers the cluster's issuer
  --route pod-identity  an EKS Pod Identity association with a target role

  --cluster eks         EKS injects the role and the token into pods
  --cluster other       the pod spec has the token and the variables in full; or,
                        with --inject policy, an admission policy injects them
                        (Kubernetes 1.36 or later)

  --format shell        a POSIX shell script, for the aws CLI and jq. Run it with
                        the credentials of each account. It may be run again, and
                        leaves statements alone that it did not write. It stops
                        if it would remove a condition. With the argument
                        kubernetes it prints the objects for kubectl.
  --format terraform    configuration for Terraform or OpenTofu
  --format json         the plan as data

Standard output is one script, configuration or JSON document; notes are on
standard error. With --out, setup writes files named after account and purpose
instead, and kubernetes.yaml. It replaces only files that it wrote, and leaves an
existing providers.tf as it is.

--role takes a role's name with the settings of crossrole help roles. The trust
policy then requires the external ID, and allows tags and a source identity.`,
		Example: `  crossrole setup --route hub --issuer https://oidc.eks.us-east-1.amazonaws.com/id/BLUE \
    --cluster-account 111122223333 --shared-account 444455556666 \
    --bucket pics --service-account default/s3-shared-content`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s.given = c.Flags().Changed
			if err := s.check(); err != nil {
				return err
			}
			return s.print(c)
		},
	}
	f, r := c.Flags(), &s.request
	f.StringVar(&r.Route, "route", "hub", "hub, direct or pod-identity")
	f.StringVar(&r.Cluster, "cluster", "eks", "eks or other")
	f.StringArrayVar(&r.Issuers, "issuer", nil, "`URL` of the cluster's issuer; repeat it for further clusters (hub, direct)")
	f.StringVar(&r.ClusterAccount, "cluster-account", "", "`ID` of the cluster's account (hub, pod-identity)")
	f.StringVar(&r.SharedAccount, "shared-account", "", "`ID` of the bucket's account")
	f.StringVar(&r.Hub, "hub", "crossrole-hub", "`NAME` of the role in the cluster's account (hub, pod-identity)")
	f.StringVar(&r.HubPattern, "hub-pattern", "", "`ARN` with wildcards in the role's name, such as arn:aws:iam::111122223333:role/hub-*: the shared account trusts every role that matches; needs --hub (hub)")
	f.StringVar(&s.role, "role", "S3_Pics", "`NAME[,setting]...` of the shared account's role")
	f.StringVar(&s.externalID, "external-id", "", "`ID` that the shared account's role requires (hub; pod-identity: the one that EKS chooses)")
	f.StringVar(&s.serviceAccount, "service-account", "", "`NAMESPACE/NAME`")
	f.StringArrayVar(&r.Buckets, "bucket", nil, "`BUCKET` to read; repeat it for further buckets")
	f.StringVar(&r.Prefix, "prefix", "", "`PREFIX` of the keys; empty: all")
	f.StringArrayVar(&r.KMSKeys, "kms-key", nil, "`ARN` of a KMS key that encrypts the objects; repeat it for further keys")
	f.StringVar(&r.ClusterName, "cluster-name", "", "`NAME` of the EKS cluster (pod-identity)")
	f.StringVar(&s.sessionPolicy, "session-policy", "", "`FILE` with a policy that restricts the association's sessions; it disables their tags (pod-identity)")
	f.StringVar(&s.inject, "inject", "", "policy: print an admission policy that injects the token (--cluster other)")
	f.StringVar(&s.format, "format", "shell", "shell, terraform or json")
	f.StringVar(&s.out, "out", "", "`DIR` to write files to")
	s.partition.add(c)
	require(c, "shared-account", "bucket", "service-account")
	return c
}

// check validates the flags and completes the request.
func (s *setup) check() error {
	for _, check := range []func() error{s.checkCombination, s.checkNames, s.checkRole, s.checkBuckets, s.checkHubPattern, s.checkSessionPolicy} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkCombination refuses flags that have no meaning together.
func (s *setup) checkCombination() error {
	r := &s.request
	switch {
	case !slices.Contains([]string{"direct", "hub", "pod-identity"}, r.Route):
		return usagef("--route %q; want direct or hub, or pod-identity", r.Route)
	case r.Cluster != "eks" && r.Cluster != "other":
		return usagef("--cluster %q; want eks or other", r.Cluster)
	case !slices.Contains(plan.Formats, s.format):
		return usagef("--format %q; want %s", s.format, strings.Join(plan.Formats, ", "))
	case s.given("out") && s.out == "":
		return usagef(`--out ""; want a directory`)
	case s.given("inject") && s.inject != "policy":
		return usagef("--inject %q; want policy", s.inject)
	}
	for _, c := range []struct {
		flag  string // and its value, if another would be right
		wrong bool
		with  string
		why   string
	}{
		{"external-id", r.Route == "direct", "--route direct", "a token is exchanged for the role, and STS takes no external ID for that"},
		{"hub-pattern", r.Route == "direct", "--route direct", "this route has no hub"},
		{"hub-pattern", r.Route == "pod-identity", "--route pod-identity", "an association names one role"},
		{"session-policy", r.Route != "pod-identity", "--route " + r.Route, "only an EKS Pod Identity association has a session policy"},
		{"cluster-name", r.Route != "pod-identity", "--route " + r.Route, "only an EKS Pod Identity association names the cluster; the other routes name its --issuer"},
		{"cluster-account", r.Route == "direct", "--route direct", "this route needs nothing in the cluster's account"},
		{"hub", r.Route == "direct", "--route direct", "this route has no hub"},
		{"issuer", r.Route == "pod-identity", "--route pod-identity", "an association names the cluster, by --cluster-name"},
		{"inject", r.Cluster == "eks", "--cluster eks", "EKS injects the token itself"},
		{"cluster other", r.Route == "pod-identity" && r.Cluster == "other", "--route pod-identity", "EKS Pod Identity exists only in EKS"},
	} {
		flag, _, _ := strings.Cut(c.flag, " ")
		if c.wrong && s.given(flag) {
			return usagef("--%s cannot be used with %s: %s", c.flag, c.with, c.why)
		}
	}
	r.Inject = s.inject == "policy"
	if r.Route == "pod-identity" && r.ClusterName == "" {
		return usagef("--route pod-identity needs --cluster-name, the name of the EKS cluster")
	}
	if r.Route != "pod-identity" && len(r.Issuers) == 0 {
		return usagef("required flag: --route %s needs --issuer; to print it: kubectl get --raw /.well-known/openid-configuration", r.Route)
	}
	return nil
}

// https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html
var clusterName = lazyregexp.New(`^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$`)

func (s *setup) checkNames() (err error) {
	r := &s.request
	for i, issuer := range r.Issuers {
		if err := checkIssuer("--issuer", issuer); err != nil {
			return err
		}
		if slices.Contains(r.Issuers[:i], issuer) {
			return usagef("--issuer %s is given twice", issuer)
		}
	}
	if err := checkAccount("--shared-account", r.SharedAccount); err != nil {
		return err
	}
	if r.Route != "direct" {
		if err := checkAccount("--cluster-account", r.ClusterAccount); err != nil {
			return err
		}
		if err := checkRoleName("--hub", r.Hub); err != nil {
			return err
		}
	}
	if r.ClusterName != "" && !clusterName().MatchString(r.ClusterName) {
		return usagef("--cluster-name %q; want the name of an EKS cluster: 1–100 of letters, digits, - and _", r.ClusterName)
	}
	if r.Partition, err = s.partition.of(r.Issuers...); err != nil {
		return err
	}
	if err := s.checkRegion(); err != nil {
		return err
	}
	r.Namespace, r.ServiceAccount, err = splitServiceAccount(s.serviceAccount)
	return err
}

// checkRegion takes the pod's region from the environment. A region of another partition
// is that of other work, and not the pod's.
func (s *setup) checkRegion() error {
	r := &s.request
	if r.Cluster != "other" {
		return nil
	}
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		switch region := os.Getenv(name); {
		case region == "":
			continue
		case !regionPattern().MatchString(region):
			return usagef("%s is %q, and --cluster other writes it into the pod; set it to a region, like us-east-1, or unset it", name, region)
		case slices.Contains([]string{"", r.Partition}, partitionOfRegion(region)):
			r.Region = region
		}
		return nil
	}
	return nil
}

// checkRole parses the role's name and settings.
func (s *setup) checkRole() (err error) {
	r := &s.request
	if r.Role, err = rolesetting.Parse(s.role); err != nil {
		return usageError{err}
	}
	if r.RoleName = r.Role.Role.ARN; r.Role.Own {
		r.RoleName = "own" // a name like any other, here
	}
	if err := checkRoleName("--role", r.RoleName); err != nil {
		return err
	}
	role := &r.Role.Role
	if s.given("external-id") {
		if role.ExternalID != "" && role.ExternalID != s.externalID {
			return usagef("--external-id and the external-id of --role %s differ; give one of them", r.RoleName)
		}
		// The policy's validation reports other values.
		if role.ExternalID = s.externalID; s.externalID == "" {
			return usagef("--external-id is empty; want 2–1224 characters: letters, digits and +=,.@:/_-")
		}
	}
	if r.Route == "pod-identity" && role.ExternalID != "" {
		id := strings.Join([]string{r.ClusterAccount, r.ClusterName, r.Namespace, r.ServiceAccount}, "/")
		region, rest, _ := strings.Cut(role.ExternalID, "/")
		if rest != id || !regionPattern().MatchString(region) || !slices.Contains([]string{"", r.Partition}, partitionOfRegion(region)) {
			return usagef("--external-id does not go with --route pod-identity: EKS chooses the external ID, here REGION/%s with the cluster's region; give that, or none", id)
		}
	}
	switch {
	case r.Route != "direct" && r.ClusterAccount == r.SharedAccount && strings.EqualFold(r.Hub, r.RoleName):
		return usagef("--hub %s and --role %s are the same role of account %s (IAM ignores the case of names); choose another name for one of them", r.Hub, r.RoleName, r.SharedAccount)
	case r.Route == "direct" && (role.ExternalID != "" || role.SourceIdentity != "" || role.Tags != nil):
		return usagef("--role %s: external-id, source-identity and tags are settings of a role that another role assumes (--route hub); on the direct route a token is exchanged for the role", r.RoleName)
	case r.Route == "hub" && role.Duration > time.Hour:
		return usagef("--role %s: duration=%s; STS allows a chained role one hour at most (--route direct allows up to 12)", r.RoleName, role.Duration)
	case r.Route == "pod-identity" && (role.SourceIdentity != "" || role.Tags != nil || role.SessionName != "" || role.Duration != 0):
		return usagef("--role %s: session-name, duration, source-identity and tags have no meaning with --route pod-identity: EKS assumes the role and chooses them", r.RoleName)
	}
	return nil
}

var kmsKey = lazyregexp.New(`^arn:aws(-[a-z]+)*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$`)

func (s *setup) checkBuckets() error {
	r := &s.request
	for i, bucket := range r.Buckets {
		name, partition, err := checkBucketName("--bucket", bucket)
		if err != nil {
			return err
		}
		if partition != "" && partition != r.Partition {
			return usagef("--bucket is in partition %s, the roles are in %s; use --partition to choose the partition of the accounts", partition, r.Partition)
		}
		if slices.Contains(r.Buckets[:i], name) {
			return usagef("--bucket %s is given twice", name)
		}
		r.Buckets[i] = name
	}
	for i, key := range r.KMSKeys {
		if slices.Contains(r.KMSKeys[:i], key) {
			return usagef("--kms-key %s is given twice", key)
		}
		if !kmsKey().MatchString(key) {
			return usagef("--kms-key %q; want the ARN of a key, like arn:aws:kms:us-east-1:444455556666:key/ID (not of an alias)", key)
		}
	}
	return nil
}

// checkHubPattern checks that the pattern requires a beginning of the name, and that the
// hub role of this set-up matches it.
func (s *setup) checkHubPattern() error {
	r := &s.request
	if !s.given("hub-pattern") {
		return nil
	}
	a, err := arn.Parse(r.HubPattern)
	name, isRole := strings.CutPrefix(a.Resource, "role/")
	switch {
	case err != nil || !isRole:
		return usagef("--hub-pattern %q; want the ARN of a role with wildcards in its name, like arn:aws:iam::111122223333:role/hub-*", r.HubPattern)
	case a.AccountID != r.ClusterAccount:
		return usagef("--hub-pattern %q is not of --cluster-account %s, where the hub role is", r.HubPattern, r.ClusterAccount)
	}
	policy := trust.RolePolicy(r.HubPattern, func(o *trust.PolicyOptions) { o.HubPattern = true })
	if err := policy.ValidateTrust(); err != nil {
		return usagef("--hub-pattern: %w", err)
	}
	if strings.IndexAny(name[strings.LastIndex(name, "/")+1:], "*?") == 0 {
		return usagef("--hub-pattern %q; want the beginning of the role's name before the first wildcard, like hub-*", r.HubPattern)
	}
	if !s.given("hub") {
		return usagef("--hub-pattern needs --hub, the name of this cluster's role; with one name for all clusters, they would share one role")
	}
	account := "arn:" + a.Partition + ":iam::" + a.AccountID + ":"
	if !policy.Explain(trust.Request{
		Action:    "sts:AssumeRole",
		Principal: trust.Principals{"AWS": {account + "root"}},
		Context:   map[string][]string{"aws:PrincipalArn": {account + "role/" + r.Hub}},
	}).Allowed {
		return usagef("--hub-pattern %q does not match --hub %s: the role would not be trusted", r.HubPattern, r.Hub)
	}
	return nil
}

func (s *setup) checkSessionPolicy() error {
	if !s.given("session-policy") {
		return nil
	}
	text, err := os.ReadFile(s.sessionPolicy)
	if err != nil {
		return usagef("--session-policy: %w", err)
	}
	policy, err := trust.ParsePolicy(text)
	if err == nil {
		err = policy.ValidateIdentity()
	}
	if err != nil {
		return usagef("--session-policy %s: %w", s.sessionPolicy, err)
	}
	if size := policy.Size(); size > trust.MaxSessionPolicySize {
		return usagef("--session-policy %s has %d characters; STS allows %d; remove statements, or restrict the role's own policy", s.sessionPolicy, size, trust.MaxSessionPolicySize)
	}
	s.request.SessionPolicy = policy
	return nil
}

// print prints the plan, or writes it to --out.
func (s *setup) print(c *cobra.Command) error {
	p, err := plan.New(s.request)
	if err != nil {
		return usagef("IAM would reject the resulting policy: %w", err)
	}
	for _, note := range p.Notes {
		fmt.Fprintf(c.ErrOrStderr(), "crossrole: %s\n", printable(note))
	}
	if s.out == "" {
		if s.format == "terraform" {
			missing := "crossrole: --out DIR also writes the objects for the cluster"
			if s.request.Inject {
				missing += "; the admission policy is only written with --out"
			}
			fmt.Fprintln(c.ErrOrStderr(), missing)
		}
		return p.Write(c.OutOrStdout(), s.format)
	}
	files, err := p.Files(s.format)
	if err != nil {
		return err
	}
	return writeFiles(c.ErrOrStderr(), s.out, files)
}

// writeFiles writes the files of a plan to a directory, or none if one would replace a
// file that setup did not write. An existing providers.tf stays: the user completes it.
func writeFiles(notes io.Writer, dir string, files []plan.File) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	note := func(format string, name string) {
		fmt.Fprintf(notes, "crossrole: "+format+"\n", quote(filepath.Join(dir, name)))
	}
	var targets []plan.File
	for _, f := range files {
		name := filepath.Join(dir, f.Name)
		text, err := os.ReadFile(name)
		switch {
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return err
		case err == nil && f.Name == "providers.tf":
			note("%s exists and stays as it is; it must have a provider for each account, as in the output without --out", f.Name)
			continue
		case err == nil && !plan.Ours(f.Name, text):
			return fmt.Errorf("%s exists and crossrole setup did not write it; move it, or choose another directory with --out", quote(name))
		}
		targets = append(targets, f)
	}
	for _, f := range targets {
		mode := os.FileMode(0o644)
		if f.Executable {
			mode = 0o755
		}
		if err := writeFile(filepath.Join(dir, f.Name), []byte(f.Text), mode); err != nil {
			return err
		}
		note("wrote %s", f.Name)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if slices.ContainsFunc(files, func(f plan.File) bool { return f.Name == e.Name() }) || !e.Type().IsRegular() {
			continue
		}
		if text, err := os.ReadFile(filepath.Join(dir, e.Name())); err == nil && plan.Ours(e.Name(), text) {
			note("%s is from an earlier run and not part of this set-up; remove it if nothing needs it", e.Name())
		}
	}
	return nil
}

// writeFile writes a file, or leaves what was there.
func writeFile(name string, text []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".crossrole-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// partitionFlag is the AWS partition of the printed ARNs.
type partitionFlag struct{ name string }

func (p *partitionFlag) add(c *cobra.Command) {
	c.Flags().StringVar(&p.name, "partition", "", "`NAME` of the partition: aws, aws-cn, aws-us-gov, aws-eusc, … (default: that of the issuer's host or, if AWS does not run it, of AWS_REGION)")
}

var partitionPattern = lazyregexp.New(`^aws(-[a-z]+)*$`)

// of returns the partition that the flag, the issuers or the region show.
func (p *partitionFlag) of(issuers ...string) (string, error) {
	if p.name != "" {
		if !partitionPattern().MatchString(p.name) {
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

var regionPattern = lazyregexp.New(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)

// partitionOfRegion returns "" for an unknown region.
func partitionOfRegion(region string) string {
	if regionPattern().MatchString(region) {
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
