package credentials

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// roleARN is an IAM role's ARN, taken apart.
type roleARN struct {
	partition, account string
	name               string // without the path, as STS's replies spell it
}

// IAM's rules for role names and paths:
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html

const maxRoleName = 64

func isAccount(s string) bool { return len(s) == 12 && madeOf(s, digits) }

func isRoleName(s string) bool { return len(s) <= maxRoleName && madeOf(s, sessionNameRunes) }

func isRolePath(s string) bool {
	return strings.HasPrefix(s, "/") && strings.HasSuffix(s, "/") && !strings.Contains(s, "//") && printable(s)
}

const roleShape = "arn:<partition>:iam::<12-digit account>:role/<name>"

// parseRoleARN checks s against the shape of a role's ARN and says which part is
// off: STS would answer a typo with a misleading AccessDenied.
func parseRoleARN(s string) (roleARN, error) {
	a, err := arn.Parse(s)
	if err != nil {
		return roleARN{}, fmt.Errorf("%q is not an ARN; want %s", s, roleShape)
	}
	if a.Service == "sts" && strings.HasPrefix(a.Resource, "assumed-role/") {
		name := strings.Split(a.Resource, "/")[1]
		return roleARN{}, fmt.Errorf("%q is a session of a role; want the role itself, arn:%s:iam::%s:role/%s (with the role's path, if it has one)", s, a.Partition, a.AccountID, name)
	}
	kind, rest, _ := strings.Cut(a.Resource, "/")
	switch {
	case !strings.HasPrefix(a.Partition, "aws"):
		return roleARN{}, fmt.Errorf("%q has partition %q; want aws, aws-cn, aws-us-gov or another of AWS's", s, a.Partition)
	case a.Service != "iam":
		return roleARN{}, fmt.Errorf("%q has service %q; want %s", s, a.Service, roleShape)
	case a.Region != "":
		return roleARN{}, fmt.Errorf("%q has region %q; IAM's ARNs have none: want %s", s, a.Region, roleShape)
	case !isAccount(a.AccountID):
		return roleARN{}, fmt.Errorf("%q has account %q; want 12 digits", s, a.AccountID)
	case strings.Contains(rest, "arn:"):
		return roleARN{}, fmt.Errorf("%q has an ARN inside the ARN; want %s", s, roleShape)
	case kind != "role":
		return roleARN{}, fmt.Errorf("%q names a %s; want a role, %s", s, kind, roleShape)
	}
	slash := strings.LastIndexByte("/"+rest, '/')
	path, name := ("/" + rest)[:slash+1], rest[slash:]
	if !isRoleName(name) {
		return roleARN{}, fmt.Errorf("%q has role name %q; want 1–64 of letters, digits and +=,.@_-", s, name)
	}
	if !isRolePath(path) {
		return roleARN{}, fmt.Errorf("%q has path %q; want segments between slashes without spaces", s, path)
	}
	return roleARN{partition: a.Partition, account: a.AccountID, name: name}, nil
}

// regionPartitions maps the beginning of a region's name to its partition, after
// AWS's partitions file as the SDK's endpoint rules carry it.
var regionPartitions = map[string]string{
	"cn": "aws-cn", "us-gov": "aws-us-gov",
	"us-iso": "aws-iso", "us-isob": "aws-iso-b", "eu-isoe": "aws-iso-e", "us-isof": "aws-iso-f", "eusc-de": "aws-eusc",
	"us": "aws", "eu": "aws", "ap": "aws", "sa": "aws", "ca": "aws", "me": "aws", "af": "aws", "il": "aws", "mx": "aws",
}

// partitionOf is the partition of a region; empty if unknown.
func partitionOf(region string) string {
	parts := strings.Split(region, "-")
	n := len(parts) - 2 // of which a direction and a number are the last
	if n < 1 || !madeOf(parts[n], wordRunes) || !madeOf(parts[n+1], digits) {
		return ""
	}
	return regionPartitions[strings.Join(parts[:n], "-")]
}

// isRegion reports whether s may be the name of a region, known or not.
func isRegion(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	parts := strings.Split(s, "-")
	last := len(parts) - 1
	if last < 2 || len(parts[0]) < 2 || !madeOf(parts[last], digits) {
		return false
	}
	for _, part := range parts[:last] {
		if !madeOf(part, letters) {
			return false
		}
	}
	return true
}
