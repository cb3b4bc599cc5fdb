package main

import (
	"cmp"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// partitionFlag is the AWS partition that ARNs are written for.
type partitionFlag struct{ name string }

func (p *partitionFlag) add(c *cobra.Command) {
	c.Flags().StringVar(&p.name, "partition", "", "`NAME` of the partition: aws, aws-cn, aws-us-gov, aws-eusc, … (default: that of the issuer's host or, if it is none of AWS's, of AWS_REGION)")
}

var partitionPattern = regexp.MustCompile(`^aws(-[a-z]+)*$`)

// of returns the partition of the issuers.
func (p *partitionFlag) of(issuers ...string) (string, error) {
	if p.name != "" {
		if !partitionPattern.MatchString(p.name) {
			return "", usagef("--partition %q; want aws, aws-cn, aws-us-gov, aws-eusc or another of AWS's", p.name)
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
			return "", usagef("--issuer %q is in partition %s and --issuer %q in %s; roles trust issuers of any partition, so say with --partition where the accounts are", by, found, issuer, of)
		}
		if of != "" {
			found, by = of, issuer
		}
	}
	region := cmp.Or(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
	return cmp.Or(found, partitionOfRegion(region), "aws"), nil
}

// regionPartitions are the partitions by what their regions' names begin with,
// the longer ones first. They and the domains below are those of the SDK's
// partitions.json.
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

// partitionOfRegion returns "" for what is no region that we know.
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

// partitionOfHost returns the partition of a host of AWS, such as
// oidc.eks.us-gov-west-1.amazonaws.com, and "" for any other: GovCloud has the
// domain of the commercial regions.
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
		for i := len(labels) - 1; i >= 0; i-- { // what stands in front may be a bucket's name
			label := strings.TrimPrefix(labels[i], "s3-") // the old form of S3's hosts
			if p := partitionOfRegion(label); p != "" {
				return p
			}
		}
		return d.partition
	}
	return ""
}
