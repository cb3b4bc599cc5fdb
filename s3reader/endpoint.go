package s3reader

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// needsPath reports whether no bucket name can stand in front of the endpoint's
// host, so that the bucket has to go into the path. The SDK itself decides this
// for IP addresses only. The names of a cluster's DNS
// (https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/) have
// no wildcards:
//
//   - "minio", "localhost" and what is below it, "minio.storage" (the search list
//     of a pod completes these),
//   - "minio.storage.svc", "minio-0.minio.storage.svc", and both with a domain of
//     the cluster after them,
//   - "10-1-2-3.storage.pod" with such a domain,
//   - all that is below "cluster.local".
func needsPath(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false // the SDK will refuse it, with the reason
	}
	host := strings.TrimRight(strings.ToLower(u.Hostname()), ".")
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	labels := strings.Split(host, ".")
	last := labels[len(labels)-1]
	return len(labels) <= 2 ||
		last == "localhost" ||
		madeOf(last, digits) || // an old spelling of an IPv4 address: 127.0.1
		slices.Index(labels, "svc") >= 2 ||
		slices.Index(labels, "pod") == 2 ||
		strings.HasSuffix(host, ".cluster.local")
}
