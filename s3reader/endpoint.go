package s3reader

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// needsPath reports whether no bucket name can stand in front of the endpoint's
// host, so that the bucket has to go into the path. The SDK itself decides this
// for IP addresses only.
func needsPath(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false // the SDK will refuse it, with the reason
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	labels := strings.Split(host, ".")
	return len(labels) == 1 ||
		labels[len(labels)-1] == "localhost" ||
		// minio.storage.svc, minio.storage.svc.cluster.local: cluster DNS has no
		// wildcards.
		slices.Index(labels, "svc") == 2
}
