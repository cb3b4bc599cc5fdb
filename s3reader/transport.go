package s3reader

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/crossrole/crossrole/s3reader/internal/httpclient"
)

// idleConnections is how many connections are kept open for the next request. The SDK
// keeps 10: when many objects are fetched at a time, most connections would be opened
// for a single request.
const idleConnections = 2 * maxConnections

// connections holds the HTTP client that the S3 clients of all regions share, unless
// Options.S3 sets another. client.switching guards it.
type connections struct {
	client aws.HTTPClient // nil: none yet
	closed aws.HTTPClient // the same, following no redirect
}

func (c *connections) of(configured aws.HTTPClient) aws.HTTPClient {
	if c.client == nil {
		c.client = httpclient.ForManyConnections(configured, idleConnections)
	}
	return c.client
}

// withoutRedirects returns a client that follows no redirect: a request is signed for
// one host, and its session token must not be sent to another. net/http would repeat the
// request at any address that a response names.
//
// A client of the caller's own type may still follow one; its response is then not used.
func (c *connections) withoutRedirects(client, ours aws.HTTPClient) aws.HTTPClient {
	sdk, isSDK := client.(*awshttp.BuildableClient)
	before, _ := ours.(*awshttp.BuildableClient)
	if !isSDK {
		return notFollowing(client)
	}
	if sdk != before {
		return notFollowing(sdk.Freeze())
	}
	if c.closed == nil {
		c.closed = notFollowing(sdk.Freeze())
	}
	return c.closed
}

func notFollowing(client aws.HTTPClient) aws.HTTPClient {
	plain, ok := client.(*http.Client)
	if !ok {
		return sameHost{client}
	}
	if plain == nil {
		return client
	}
	own := *plain // the caller's client is not changed
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// sameHost is a client of the caller's own type. It refuses responses from a host other
// than the request's.
type sameHost struct{ aws.HTTPClient }

func (c sameHost) Do(r *http.Request) (*http.Response, error) {
	if r.Host == "" {
		// A client that only connects to another address keeps Host; one that follows a
		// redirect does not.
		r.Host = r.URL.Host
	}
	requested, host := *r.URL, r.Host
	resp, err := c.HTTPClient.Do(r)
	if err != nil || resp == nil || resp.Request == nil || resp.Request.URL == nil {
		return resp, err
	}
	if from := resp.Request; cmp.Or(from.Host, from.URL.Host) != host {
		if resp.Body != nil {
			_ = resp.Body.Close() // the response is not used
		}
		return nil, followedError(&requested, from.URL)
	}
	return resp, nil
}

// redirectError reports that the HTTP client followed a redirect, which it must not.
type redirectError struct{ from, to string }

func (e *redirectError) Error() string {
	return fmt.Sprintf("the HTTP client followed a redirect from %s to %s: the response is not used. "+
		"Configure the client not to follow redirects (CheckRedirect returns http.ErrUseLastResponse)", e.from, e.to)
}

// RetryableError prevents a retry, which would send the credentials there again.
func (*redirectError) RetryableError() bool { return false }

func followedError(from, to *url.URL) error {
	return &redirectError{origin(from), origin(to)}
}

// needsPath reports whether the endpoint's host can have no bucket name in front of it,
// so that the bucket has to go into the path. The SDK does that only for IP addresses.
// The names in a cluster's DNS
// (https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/) have
// no wildcards:
//
//   - "minio", "localhost" and its subdomains, "minio.storage" (completed by a pod's
//     search list),
//   - "minio.storage.svc", "minio-0.minio.storage.svc", and both with the cluster's
//     domain,
//   - "10-1-2-3.storage.pod" with such a domain,
//   - all names below "cluster.local".
func needsPath(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false // the SDK will return an error
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
