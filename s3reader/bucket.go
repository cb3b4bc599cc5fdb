package s3reader

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// bucketRef names a bucket as the SDK expects it.
type bucketRef struct {
	name   string // bucket name, access-point alias or access-point ARN
	region string // of an access-point ARN; empty otherwise
}

func (b bucketRef) isARN() bool { return strings.HasPrefix(b.name, "arn:") }

// unsupportedNames are the reserved suffixes of resources that are named like a bucket
// and cannot be read like one.
var unsupportedNames = []struct{ suffix, what, fix string }{
	{"--ol-s3", "an alias of an S3 Object Lambda access point", behindIt},
	{"--op-s3", "an alias of an S3 on Outposts access point", behindIt},
	{"--x-s3", "an S3 Express directory bucket", otherThanExpress},
	{"--xa-s3", "an access point of an S3 Express directory bucket", otherThanExpress},
	{".mrap", "an alias of a Multi-Region Access Point", behindIt},
}

const (
	behindIt = "give the bucket behind it, or an access point of that bucket"

	// What the SDK does is measured by the tests of directory buckets, and described in
	// docs/other-stores.md.
	otherThanExpress = "the SDK does not renew the session of such a bucket when S3 refuses it. Read it with the SDK, s3.NewFromConfig(cfg), and repeat requests that fail with ExpiredToken, or copy the objects to a general purpose bucket"
)

// parseBucket accepts the ways in which users name a bucket. An error names what is not
// supported.
func parseBucket(s string) (bucketRef, error) {
	switch {
	case s == "":
		return bucketRef{}, errors.New("no bucket: give a bucket name, an access-point alias or an access-point ARN")
	case strings.Contains(s, "://"):
		return bucketRef{}, fmt.Errorf("%q is a URL: give the bucket's name alone here, and the key to Get or Open", s)
	case strings.HasPrefix(s, "arn:"):
		return parseARN(s)
	case strings.Contains(s, "/"):
		name, _, _ := strings.Cut(s, "/")
		return bucketRef{}, fmt.Errorf("%q has a slash, which no bucket name has: give %q here, and the key to Get or Open", s, name)
	}
	for _, u := range unsupportedNames {
		if strings.HasSuffix(s, u.suffix) {
			return bucketRef{}, fmt.Errorf("%q is %s, which is not supported: %s", s, u.what, u.fix)
		}
	}
	if err := checkName(s); err != nil {
		return bucketRef{}, err
	}
	return bucketRef{name: s}, nil
}

// checkName accepts every name that a bucket in S3 may have, also one from 2006, and
// Ceph's "tenant:bucket": see the S3 User Guide, "General purpose bucket naming rules"
// and "Legacy: general purpose bucket naming" (us-east-1 until March 2018).
func checkName(s string) error {
	bad := func(rule string) error {
		return fmt.Errorf("%q is not a bucket name: %s; check the name with \"aws s3 ls\"", s, rule)
	}
	const maxName = 255
	name := s
	if tenant, rest, ok := strings.Cut(s, ":"); ok {
		if name = rest; !isLabel(tenant, lowerLetters+upperLetters+digits, "_") {
			return bad("what precedes a colon is a tenant of Ceph, which has letters, digits and underscores")
		}
	}
	switch {
	case len(name) < 3 || len(name) > maxName:
		return bad(fmt.Sprintf("a name has 3 to 63 characters, or up to %d if it is old, this one has %d", maxName, len(name)))
	case !isLabel(name, lowerLetters+upperLetters+digits+"_", ".-"):
		return bad("a name has letters, digits, dots, hyphens and underscores, and no dot or hyphen at its ends")
	case strings.Contains(name, ".."):
		return bad("it has two dots in a row")
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return bad("a name must not look like an IP address")
	}
	return nil
}

func isPartition(s string) bool {
	return strings.HasPrefix(s, "aws") && madeOf(s, lowerLetters+"-")
}

// parseARN reads arn:partition:service:region:account:resource.
func parseARN(s string) (bucketRef, error) {
	refuse := func(what, fix string) (bucketRef, error) {
		return bucketRef{}, fmt.Errorf("%q %s: %s", s, what, fix)
	}
	part := strings.SplitN(s, ":", 6)
	if len(part) != 6 || !isPartition(part[1]) || part[5] == "" {
		return refuse("is not an ARN", `a bucket's is "arn:aws:s3:::name", an access point's "arn:aws:s3:region:account:accesspoint/name"`)
	}
	service, region, account, resource := part[2], part[3], part[4], part[5]
	switch service {
	case "s3":
	case "s3-outposts":
		return refuse("is an ARN of S3 on Outposts, which is not supported", "give a bucket of a region")
	case "s3-object-lambda":
		return refuse("is an ARN of an S3 Object Lambda access point, which is not supported", "give the access point or the bucket behind it")
	case "s3express":
		return refuse("is an ARN of an S3 Express directory bucket, which is not supported", otherThanExpress)
	default:
		return refuse(fmt.Sprintf("is an ARN of service %q, not of S3", service), "give a bucket name or an access-point ARN")
	}
	if kind, rest, ok := cutAny(resource, ":/"); ok && kind == "accesspoint" {
		return parseAccessPoint(s, region, account, rest)
	}
	if region != "" || account != "" {
		return refuse("is neither a bucket's nor an access point's ARN", `a bucket's has no region and no account: "arn:aws:s3:::name"`)
	}
	name, key, hasKey := strings.Cut(resource, "/")
	if hasKey {
		return refuse(fmt.Sprintf("is the ARN of an object (key %q)", key), fmt.Sprintf("give %q here, and the key to Get or Open", name))
	}
	if strings.HasPrefix(name, "arn:") {
		return refuse("is an ARN within an ARN", "give the inner one")
	}
	return parseBucket(name)
}

func parseAccessPoint(s, region, account, name string) (bucketRef, error) {
	refuse := func(what, fix string) (bucketRef, error) {
		return bucketRef{}, fmt.Errorf("%q %s: %s", s, what, fix)
	}
	// Only the first separator counts: a key may contain "/object/" too.
	if point, key, ok := cutAny(name, ":/"); ok {
		arn := strings.TrimSuffix(s, name) + point
		key = strings.TrimPrefix(strings.TrimPrefix(key, "object/"), "object:")
		return refuse(fmt.Sprintf("is the ARN of an object (key %q)", key), fmt.Sprintf("give %q here, and the key to Get or Open", arn))
	}
	switch {
	case region == "" && strings.HasSuffix(name, ".mrap"):
		return refuse("is the ARN of a Multi-Region Access Point, which is not supported", "give an access point of one region")
	case region == "":
		return refuse("names no region", `an access point's ARN is "arn:aws:s3:region:account:accesspoint/name"`)
	case !validRegion(region):
		return bucketRef{}, regionError(fmt.Sprintf("%q: its region", s), region)
	case !isAccount(account):
		return refuse(fmt.Sprintf("names no account (%q)", account), "give the 12 digits of the access point's owner")
	case len(name) < 3 || len(name) > 50 || !isLabel(name, lowerLetters+digits, "-"):
		return refuse(fmt.Sprintf("has no access-point name (%q)", name), "a name has 3 to 50 lowercase letters, digits and hyphens, and no hyphen at the ends")
	}
	return bucketRef{name: s, region: region}, nil
}

// cutAny cuts s around the first of the separators.
func cutAny(s, separators string) (before, after string, found bool) {
	if i := strings.IndexAny(s, separators); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// maxKey is the length of the longest key, in bytes (S3 User Guide, "Naming
// Amazon S3 objects").
const maxKey = 1024

func checkKey(key string) error {
	switch {
	case key == "":
		return &Error{Kind: BadKey, Err: fmt.Errorf("the key is empty: give the key of an object")}
	case len(key) > maxKey:
		return &Error{Kind: BadKey, Err: fmt.Errorf("the key has %d bytes, S3 allows %d", len(key), maxKey)}
	}
	return nil
}

func checkPrefix(prefix string) error {
	if len(prefix) > maxKey {
		return &Error{Kind: BadKey, Err: fmt.Errorf("the prefix has %d bytes, S3 allows %d for a key", len(prefix), maxKey)}
	}
	return nil
}

const (
	digits       = "0123456789"
	lowerLetters = "abcdefghijklmnopqrstuvwxyz"
	upperLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// madeOf reports whether s is not empty and has only those characters.
func madeOf(s, runes string) bool {
	return s != "" && strings.Trim(s, runes) == ""
}

// isLabel reports whether s has only the characters ends and, between the first and the
// last, also those of between.
func isLabel(s, ends, between string) bool {
	return s != "" && madeOf(s[:1], ends) && madeOf(s[len(s)-1:], ends) && madeOf(s, ends+between)
}

// isAccount reports whether s is 12 digits.
func isAccount(s string) bool { return len(s) == 12 && madeOf(s, digits) }
