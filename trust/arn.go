package trust

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// arn is an Amazon Resource Name, arn:partition:service:region:account:resource.
type arn struct{ partition, service, region, account, resource string }

// splitARN takes an ARN apart; ok is false unless all six parts are there.
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

// isPartition reports whether s has the shape of a partition's name: aws,
// aws-cn, aws-us-gov, aws-eusc, aws-iso, aws-iso-b, ….
func isPartition(s string) bool {
	return s == "aws" || strings.HasPrefix(s, "aws-") && len(s) > len("aws-") &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-") == ""
}

// PartitionOf returns the partition ("aws", "aws-cn", "aws-us-gov", "aws-eusc",
// "aws-iso", …) that an ARN, a region, a host name of AWS or a URL at one
// belongs to, and "" if name says nothing about it: an issuer may have any host,
// and a region may be newer than this package.
//
// The rules are those of AWS's partitions file, which the SDKs carry.
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
		// The last region counts: what is further left may be anyone's, such as
		// a bucket's name.
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

// domains are the DNS suffixes of AWS's endpoints. Those of aws serve the
// regions of aws-us-gov as well.
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

// regionPartition returns the partition of a region such as us-gov-west-1, or of
// a partition's global pseudo region such as aws-cn-global; "" for anything else.
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

// partitions compares the partitions that the arguments of a function name.
type partitions struct {
	partition, from string // the first that was named
	differ          error
}

// add notes that from names a partition; an empty one says nothing.
func (p *partitions) add(partition, from string) {
	switch {
	case partition == "" || partition == p.partition:
	case p.partition == "":
		p.partition, p.from = partition, from
	case p.differ == nil:
		p.differ = fmt.Errorf("%s is of partition %s, but %s is of %s; policies do not cross partitions: name things of one partition", p.from, p.partition, from, partition)
	}
}

// orDefault returns the partition that was named, or else aws.
func (p *partitions) orDefault() string {
	if p.partition == "" {
		return "aws"
	}
	return p.partition
}
