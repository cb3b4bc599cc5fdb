package credentials

// AWS's rules for roles, ARNs, regions, names and durations. resolve.go applies them
// before any call.

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/crossrole/crossrole/internal/lazyregexp"
	"github.com/crossrole/crossrole/trust"
)

// Limits of AssumeRole and AssumeRoleWithWebIdentity:
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
const (
	minDuration     = 15 * time.Minute
	maxDuration     = 12 * time.Hour
	chainedDuration = time.Hour
	maxPolicy       = 2048
	maxPolicyARNs   = 10
	minExternalID   = 2
	maxExternalID   = 1224
	maxTags         = 50
	maxTagKey       = 128
	maxTagValue     = 256

	maxDurationRule = "a role's MaxSessionDuration is at most 12 hours"
	chainedRule     = "when a role assumes another role, STS grants at most 1 hour; use a direct chain (WebIdentity.Duration) for longer sessions"
)

var policyARN = lazyregexp.New(`^arn:aws[\w-]*:iam::(aws|[0-9]{12}):policy/[!-~]+$`)

// isTagText applies to keys and values.
func isTagText(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool {
		return !unicode.In(c, unicode.L, unicode.Z, unicode.N) && !strings.ContainsRune("_.:/=+-@", c)
	})
}

// nextRole returns a copy of role after checking every rule. place names it in problems,
// first reports whether it follows the source, previous is the previous hop's role.
func (r *resolver) nextRole(place string, role Role, first bool, source Source, previous string) Role {
	role = role.clone()
	role.ARN = strings.TrimSpace(role.ARN)
	r.checkRole(place, &role, first && !source.chained())
	if role.ARN != "" && role.ARN == previous {
		r.addf(place+".ARN", "%q is also the previous hop's role; a role does not assume itself: name the hub first and the target after it, or leave the second one out", role.ARN)
	}
	return role
}

// checkRole checks the rules of a role. unchained roles may ask for more than an hour.
func (r *resolver) checkRole(place string, role *Role, unchained bool) {
	field := func(name string) string { return place + "." + name }
	if role.ARN == "" {
		r.addf(field("ARN"), "empty; want %s", roleShape)
	} else {
		r.checkRoleARN(field("ARN"), role.ARN)
	}
	r.checkSessionName(field("SessionName"), role.SessionName)
	if n := len(role.ExternalID); n > 0 && (n < minExternalID || n > maxExternalID || !madeOf(role.ExternalID, sessionNameRunes+":/")) {
		// It is a secret: do not print it.
		r.addf(field("ExternalID"), "%d characters; want 2–1224 characters: letters, digits and +=,.@:/_-", utf8.RuneCountInString(role.ExternalID))
	}
	r.checkSourceIdentity(field("SourceIdentity"), role.SourceIdentity)
	r.checkPolicies(place, role.Policy, role.PolicyARNs)
	if unchained {
		r.checkDuration(field("Duration"), role.Duration, maxDuration, maxDurationRule)
	} else {
		r.checkDuration(field("Duration"), role.Duration, chainedDuration, chainedRule)
	}
	r.checkTags(place, role)
}

func (r *resolver) checkRoleARN(from, arn string) {
	a, err := parseRoleARN(arn)
	if err != nil {
		r.addf(from, "%v", err)
		return
	}
	r.partition(a.partition, from+" "+arn)
}

func (r *resolver) checkSessionName(from, name string) {
	if name == "" || isSessionName(name) {
		return
	}
	var odd []string
	for _, c := range name {
		if q := fmt.Sprintf("%q", c); !strings.ContainsRune(sessionNameRunes, c) && !slices.Contains(odd, q) {
			odd = append(odd, q)
		}
	}
	msg := fmt.Sprintf("%q has %d characters; want 2–64 of letters, digits and +=,.@_-", name, utf8.RuneCountInString(name))
	if len(odd) > 0 {
		msg += ", without " + strings.Join(odd, " ")
	}
	r.addf(from, "%s", msg)
}

func (r *resolver) checkSourceIdentity(from, id string) {
	if id == "" {
		return
	}
	if !isSessionName(id) {
		r.addf(from, "%q; want 2–64 of letters, digits and +=,.@_-", id)
	} else if strings.HasPrefix(strings.ToLower(id), "aws:") {
		r.addf(from, "%q; the prefix aws: is AWS's own", id)
	}
}

// checkDuration checks a duration; zero is the default.
func (r *resolver) checkDuration(from string, d, most time.Duration, why string) {
	switch {
	case d == 0:
	case d < minDuration:
		r.addf(from, "%v (%d s); STS grants at least 15 minutes (900 s)", d, int64(d/time.Second))
	case d > most:
		r.addf(from, "%v (%d s) is more than %v (%d s): %s", d, int64(d/time.Second), most, int64(most/time.Second), why)
	case d%time.Second != 0:
		r.addf(from, "%v; STS counts whole seconds", d)
	}
}

func (r *resolver) checkPolicies(owner, policy string, arns []string) {
	if policy != "" {
		if n := utf8.RuneCountInString(policy); n > maxPolicy {
			r.addf(owner+".Policy", "%d characters; a session policy has at most %d: shorten it or use PolicyARNs", n, maxPolicy)
		} else if _, err := trust.ParsePolicy([]byte(policy)); err != nil {
			r.addf(owner+".Policy", "%v", err)
		}
	}
	if len(arns) > maxPolicyARNs {
		r.addf(owner+".PolicyARNs", "%d ARNs; at most %d", len(arns), maxPolicyARNs)
	}
	for i, a := range arns {
		if !policyARN().MatchString(a) {
			r.addf(fmt.Sprintf("%s.PolicyARNs[%d]", owner, i), "%q is not a managed policy's ARN; want arn:<partition>:iam::<account or aws>:policy/<name>", a)
		}
	}
}

func (r *resolver) checkTags(place string, role *Role) {
	where := place + ".Tags"
	if len(role.Tags) > maxTags {
		r.addf(where, "%d tags; at most %d", len(role.Tags), maxTags)
	}
	folded := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(role.Tags)) {
		value := role.Tags[key]
		switch n := utf8.RuneCountInString(key); {
		case n < 1 || n > maxTagKey:
			r.addf(where, "key %q has %d characters; want 1–%d", key, n, maxTagKey)
		case !isTagText(key):
			r.addf(where, "key %q; want letters, digits, spaces and _.:/=+-@", key)
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			r.addf(where, "key %q; the prefix aws: is AWS's own", key)
		}
		if n := utf8.RuneCountInString(value); n > maxTagValue {
			r.addf(where, "value of %q has %d characters; at most %d", key, n, maxTagValue)
		} else if !isTagText(value) {
			r.addf(where, "value of %q; want letters, digits, spaces and _.:/=+-@", key)
		}
		if other, ok := folded[strings.ToLower(key)]; ok {
			r.addf(where, "keys %q and %q differ only in case; STS treats them as the same key", other, key)
		}
		folded[strings.ToLower(key)] = key
	}
	for _, key := range role.TransitiveTagKeys {
		if _, ok := role.Tags[key]; !ok {
			r.addf(place+".TransitiveTagKeys", "%q is not a key of Tags", key)
		}
	}
}

// roleARN holds the parts of an IAM role's ARN.
type roleARN struct {
	partition, account string
	name               string // without the path, as in STS's responses
}

// maxRoleName is IAM's limit:
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
const maxRoleName = 64

func isAccount(s string) bool { return len(s) == 12 && madeOf(s, digits) }

func isRoleName(s string) bool { return len(s) <= maxRoleName && madeOf(s, sessionNameRunes) }

const roleShape = "arn:<partition>:iam::<12-digit account>:role/<name>"

// parseRoleARN parses a role's ARN. The error says which part is wrong: STS would respond
// to a typo with a misleading AccessDenied.
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
	if strings.Contains(path, "//") || !printable(path) {
		return roleARN{}, fmt.Errorf("%q has path %q; want segments between slashes without spaces", s, path)
	}
	return roleARN{partition: a.Partition, account: a.AccountID, name: name}, nil
}

// regionPartitions maps the beginning of a region's name to its partition, as in the SDK's
// endpoint rules.
var regionPartitions = map[string]string{
	"cn": "aws-cn", "us-gov": "aws-us-gov",
	"us-iso": "aws-iso", "us-isob": "aws-iso-b", "eu-isoe": "aws-iso-e", "us-isof": "aws-iso-f", "eusc-de": "aws-eusc",
	"us": "aws", "eu": "aws", "ap": "aws", "sa": "aws", "ca": "aws", "me": "aws", "af": "aws", "il": "aws", "mx": "aws",
}

// regions are those that exist, by the same source. A new one works too: the list serves
// only to recognize a typo.
var regions = []string{
	"us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "ca-west-1", "mx-central-1", "sa-east-1", "sa-west-1",
	"eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3",
	"af-south-1", "il-central-1", "me-central-1", "me-south-1", "me-west-1",
	"ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2",
	"ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7",
	"cn-north-1", "cn-northwest-1", "us-gov-east-1", "us-gov-west-1", "eusc-de-east-1",
	"us-iso-east-1", "us-iso-west-1", "us-isob-east-1", "us-isob-west-1", "eu-isoe-west-1", "us-isof-east-1", "us-isof-south-1",
}

// closestRegion returns the region whose name differs from name by the fewest characters.
func closestRegion(name string) string {
	if len(name) > 64 { // no typo
		return regions[0]
	}
	return slices.MinFunc(regions, func(a, b string) int { return cmp.Compare(distance(name, a), distance(name, b)) })
}

// distance returns the Levenshtein distance of a and b.
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

// partitionOf returns the partition of a region; empty if unknown.
func partitionOf(region string) string {
	parts := strings.Split(region, "-")
	n := len(parts) - 2 // the last two are a direction and a number
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

// Sets of characters from which AWS builds its names.
const (
	digits    = "0123456789"
	wordRunes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" + digits + "_"

	// sessionNameRunes are those of role names, session names and source identities:
	// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
	sessionNameRunes = wordRunes + "+=,.@-"
)

// madeOf reports whether s is not empty and consists of these characters.
func madeOf(s, runes string) bool {
	return s != "" && strings.Trim(s, runes) == ""
}

// printable reports whether s consists of ASCII characters without spaces.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < '!' || c > '~' })
}
