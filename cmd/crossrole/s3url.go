package main

import (
	"fmt"
	"strings"
)

// s3URL is what an s3:// URL names: a bucket, by its name, an access point's
// alias or ARN, and a key or a prefix of keys.
type s3URL struct{ bucket, key string }

// parseS3URL takes the key as it is: nothing in it is encoded.
//
//	s3://pics/cats/indoor.jpg
//	s3://arn:aws:s3:::pics/cats/indoor.jpg
//	s3://arn:aws:s3:eu-west-1:444455556666:accesspoint/pics/cats/indoor.jpg
func parseS3URL(s string) (s3URL, error) {
	rest, ok := strings.CutPrefix(s, "s3://")
	if !ok {
		return s3URL{}, usagef("%q; want s3://BUCKET/KEY", s)
	}
	slashes := 1
	if strings.HasPrefix(rest, "arn:") && strings.Contains(rest, ":accesspoint/") {
		slashes = 2
	}
	var u s3URL
	parts := strings.SplitN(rest, "/", slashes+1)
	u.bucket = strings.Join(parts[:min(len(parts), slashes)], "/")
	if len(parts) > slashes {
		u.key = parts[slashes]
	}
	u.bucket, _ = bucketOfARN(u.bucket)
	if u.bucket == "" {
		return s3URL{}, usagef("%q names no bucket; want s3://BUCKET/KEY", s)
	}
	return u, nil
}

// bucketOfARN returns the name in a bucket's ARN and its partition; any other
// string as it is.
func bucketOfARN(s string) (name, partition string) {
	rest, ok := strings.CutPrefix(s, "arn:")
	partition, name, found := strings.Cut(rest, ":s3:::")
	if !ok || !found || !partitionPattern.MatchString(partition) {
		return s, ""
	}
	return name, partition
}

func (u s3URL) String() string { return shown(fmt.Sprintf("s3://%s/%s", u.bucket, u.key)) }
