package trust

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// arn is an Amazon Resource Name, arn:partition:service:region:account:resource.
type arn struct{ partition, service, region, account, resource string }

// splitARN splits an ARN into its six parts; ok is false if one is missing.
func splitARN(s string) (a arn, ok bool) {
	parts := strings.SplitN(s, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" {
		return arn{}, false
	}
	return arn{parts[1], parts[2], parts[3], parts[4], parts[5]}, true
}

func iamARN(partition, account, resource string) string {
	if partition == "" {
		partition = "aws"
	}
	return "arn:" + partition + ":iam::" + account + ":" + resource
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

func hasWildcard(s string) bool { return strings.ContainsAny(s, "*?") }

// isPartition reports whether s looks like the name of a partition: aws,
// aws-cn, aws-us-gov, aws-eusc, aws-iso, aws-iso-b, ….
func isPartition(s string) bool {
	return s == "aws" || strings.HasPrefix(s, "aws-") && len(s) > len("aws-") &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-") == ""
}

// PartitionOf returns the partition ("aws", "aws-cn", "aws-us-gov", "aws-eusc",
// "aws-iso", …) of an ARN, a region, an AWS host name or a URL with such a host. It
// returns "" if name does not reveal the partition: an issuer can be on any host, and
// a region can be newer than this package.
//
// The rules come from the partitions file that AWS ships with its SDKs.
func PartitionOf(name string) string {
	if a, ok := splitARN(name); ok {
		if isPartition(a.partition) {
			return a.partition
		}
		return ""
	}
	if partition := regionPartition(name); partition != "" {
		return partition
	}
	host := strings.ToLower(issuerPath(name))
	host, _, _ = strings.Cut(host, "/")
	if u, err := url.Parse("https://" + host); err == nil {
		host = strings.TrimSuffix(u.Hostname(), ".")
	}
	for _, domain := range domains {
		rest, ok := strings.CutSuffix("."+host, "."+domain.suffix)
		if !ok {
			continue
		}
		// The last region counts: labels further left can be chosen by users, as
		// the name of a bucket is.
		for _, label := range slices.Backward(strings.Split(rest, ".")) {
			partition := regionPartition(strings.TrimPrefix(label, "s3-"))
			if partition == "aws-us-gov" && domain.gov {
				return partition
			}
			if partition != "" {
				break
			}
		}
		return domain.partition
	}
	return ""
}

// domains lists the DNS suffixes of AWS's endpoints. The suffixes of aws are also
// used by the regions of aws-us-gov.
var domains = []struct {
	suffix, partition string
	gov               bool
}{
	{"amazonaws.com", "aws", true},
	{"api.aws", "aws", true},
	{"amazonaws.com.cn", "aws-cn", false},
	{"amazonwebservices.com.cn", "aws-cn", false},
	{"amazonaws.eu", "aws-eusc", false},
	{"amazonwebservices.eu", "aws-eusc", false},
	{"c2s.ic.gov", "aws-iso", false},
	{"api.aws.ic.gov", "aws-iso", false},
	{"sc2s.sgov.gov", "aws-iso-b", false},
	{"api.aws.scloud", "aws-iso-b", false},
	{"cloud.adc-e.uk", "aws-iso-e", false},
	{"api.cloud-aws.adc-e.uk", "aws-iso-e", false},
	{"csp.hci.ic.gov", "aws-iso-f", false},
	{"api.aws.hci.ic.gov", "aws-iso-f", false},
}

// regionPartition returns the partition of a region such as us-gov-west-1 or of a
// partition's global pseudo region such as aws-cn-global, and "" for anything else.
func regionPartition(region string) string {
	if partition, ok := strings.CutSuffix(region, "-global"); ok && isPartition(partition) {
		return partition
	}
	parts := strings.Split(region, "-")
	n := len(parts)
	if n < 3 || parts[n-1] == "" || strings.Trim(parts[n-1], "0123456789") != "" ||
		strings.Trim(strings.Join(parts[:n-1], ""), "abcdefghijklmnopqrstuvwxyz") != "" {
		return ""
	}
	return regionPrefixes[strings.Join(parts[:n-2], "-")]
}

var regionPrefixes = map[string]string{
	"us": "aws", "eu": "aws", "ap": "aws", "sa": "aws", "ca": "aws", "me": "aws", "af": "aws", "il": "aws", "mx": "aws",
	"cn": "aws-cn", "us-gov": "aws-us-gov", "eusc-de": "aws-eusc",
	"us-iso": "aws-iso", "us-isob": "aws-iso-b", "eu-isoe": "aws-iso-e", "us-isof": "aws-iso-f",
}

// partitions compares the partitions of a function's arguments.
type partitions struct {
	partition, from string // of the first argument that has a partition
	differ          error
}

// add records that the argument from belongs to partition; it ignores an empty one.
func (p *partitions) add(partition, from string) {
	switch {
	case partition == "" || partition == p.partition:
	case p.partition == "":
		p.partition, p.from = partition, from
	case p.differ == nil:
		p.differ = fmt.Errorf("%s is of partition %s, but %s is of %s; policies do not cross partitions: name things of one partition", p.from, p.partition, from, partition)
	}
}

// orDefault returns the partition of the arguments, or aws if they have none.
func (p *partitions) orDefault() string {
	if p.partition == "" {
		return "aws"
	}
	return p.partition
}
