package credentials

import (
	"cmp"
	"fmt"
	"slices"
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

// regions are those that exist, by the same file. A new one works all the same:
// the list only serves to recognize a typo.
var regions = []string{
	"us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "ca-west-1", "mx-central-1", "sa-east-1", "sa-west-1",
	"eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3",
	"af-south-1", "il-central-1", "me-central-1", "me-south-1", "me-west-1",
	"ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2",
	"ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7",
	"cn-north-1", "cn-northwest-1", "us-gov-east-1", "us-gov-west-1", "eusc-de-east-1",
	"us-iso-east-1", "us-iso-west-1", "us-isob-east-1", "us-isob-west-1", "eu-isoe-west-1", "us-isof-east-1", "us-isof-south-1",
}

// closestRegion is the region whose name differs from name by the fewest
// characters.
func closestRegion(name string) string {
	if len(name) > 64 { // no typo
		return regions[0]
	}
	return slices.MinFunc(regions, func(a, b string) int { return cmp.Compare(distance(name, a), distance(name, b)) })
}

// distance is how many characters must be inserted, deleted or replaced to make b
// of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		previous := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := previous
			if a[i] != b[j] {
				replaced++
			}
			previous = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
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
