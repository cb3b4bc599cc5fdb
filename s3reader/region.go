package s3reader

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// validRegion holds for a host label, for a region becomes part of a host name.
func validRegion(s string) bool {
	return len(s) <= 63 && isLabel(s, lowerLetters+upperLetters+digits, "-")
}

func regionError(name, region string) error {
	return fmt.Errorf("%s %q is not a region: give one such as \"eu-west-1\"", name, region)
}

// place is a region and the client that asks there.
type place struct {
	region string
	client *s3.Client
}

// bucketRegion is the region that a refusal says the bucket is in; empty if it
// does not say. Only the header is believed: an Endpoint element in the body
// could name any host.
func bucketRegion(err error) string {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || resp.Response == nil {
		return ""
	}
	switch resp.HTTPStatusCode() {
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect, http.StatusBadRequest, http.StatusForbidden:
	default:
		return ""
	}
	region := resp.Response.Header.Get("X-Amz-Bucket-Region")
	if !validRegion(region) {
		return ""
	}
	return region
}

// partition returns what the regions of a partition have in common: another
// partition has other domains, where this one's credentials must not be sent.
// https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html
func partition(region string) string {
	for _, prefix := range []string{"cn-", "us-gov-", "us-iso-", "us-isob-", "us-isof-", "eu-isoe-", "eusc-"} {
		if strings.HasPrefix(strings.ToLower(region), prefix) {
			return prefix
		}
	}
	return ""
}

// follow returns the place to repeat a request that failed at from, if the
// failure says that the bucket is elsewhere and the region was not laid down by
// the user.
func (r *Reader) follow(from *place, err error) (*place, bool) {
	region := bucketRegion(err)
	if region == "" || region == from.region || r.pinned || partition(region) != partition(from.region) {
		return nil, false
	}
	r.moving.Lock()
	defer r.moving.Unlock()
	if now := r.at.Load(); now.region == region {
		return now, true
	}
	next := &place{region: region, client: r.clientFor(region)}
	if next.client.Options().Region != region {
		return nil, false // Options.S3 has another opinion
	}
	r.at.Store(next)
	r.opts.Logger.Info("s3reader: the bucket is in another region than configured", "bucket", r.bucket.name, "configured", from.region, "region", region)
	return next, true
}
