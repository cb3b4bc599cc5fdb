package credentials

import (
	"fmt"
	"regexp"
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
var (
	accountPattern  = regexp.MustCompile(`^[0-9]{12}$`)
	roleNamePattern = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
	rolePathPattern = regexp.MustCompile(`^/([!-~]+/)?$`)
)

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
	case !accountPattern.MatchString(a.AccountID):
		return roleARN{}, fmt.Errorf("%q has account %q; want 12 digits", s, a.AccountID)
	case strings.Contains(rest, "arn:"):
		return roleARN{}, fmt.Errorf("%q has an ARN inside the ARN; want %s", s, roleShape)
	case kind != "role":
		return roleARN{}, fmt.Errorf("%q names a %s; want a role, %s", s, kind, roleShape)
	}
	slash := strings.LastIndexByte("/"+rest, '/')
	path, name := ("/" + rest)[:slash+1], rest[slash:]
	if !roleNamePattern.MatchString(name) {
		return roleARN{}, fmt.Errorf("%q has role name %q; want 1–64 of letters, digits and +=,.@_-", s, name)
	}
	if !rolePathPattern.MatchString(path) || strings.Contains(path, "//") {
		return roleARN{}, fmt.Errorf("%q has path %q; want segments between slashes without spaces", s, path)
	}
	return roleARN{partition: a.Partition, account: a.AccountID, name: name}, nil
}

// regionPartitions maps the prefix of a region's name to its partition, after
// AWS's partitions file as the SDK's endpoint rules carry it.
var regionPartitions = []struct {
	pattern   *regexp.Regexp
	partition string
}{
	{regexp.MustCompile(`^cn-\w+-\d+$`), "aws-cn"},
	{regexp.MustCompile(`^us-gov-\w+-\d+$`), "aws-us-gov"},
	{regexp.MustCompile(`^us-iso-\w+-\d+$`), "aws-iso"},
	{regexp.MustCompile(`^us-isob-\w+-\d+$`), "aws-iso-b"},
	{regexp.MustCompile(`^eu-isoe-\w+-\d+$`), "aws-iso-e"},
	{regexp.MustCompile(`^us-isof-\w+-\d+$`), "aws-iso-f"},
	{regexp.MustCompile(`^eusc-(de)-\w+-\d+$`), "aws-eusc"},
	{regexp.MustCompile(`^(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+$`), "aws"},
}

// partitionOf is the partition of a region; empty if unknown.
func partitionOf(region string) string {
	for _, p := range regionPartitions {
		if p.pattern.MatchString(region) {
			return p.partition
		}
	}
	return ""
}
