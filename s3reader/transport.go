package s3reader

import (
	"net"
	"net/http"
	"reflect"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// idleConnections are kept open for the next request. The SDK keeps 10, so that
// most of those that fetch many objects at a time would be opened for one
// request each.
const idleConnections = 2 * maxConnections

// manyConnections is the SDK's own HTTP client, made for many requests at a time
// to one host. Any other client is the user's, and is left alone.
func manyConnections(c aws.HTTPClient) aws.HTTPClient {
	sdk, ok := c.(*awshttp.BuildableClient)
	if !ok {
		return c
	}
	resolver := sdk.GetDialer().Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	return sdk.WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = max(t.MaxIdleConnsPerHost, idleConnections)
		if t.MaxIdleConns != 0 { // 0: no limit
			t.MaxIdleConns = max(t.MaxIdleConns, idleConnections)
		}
		// S3 speaks HTTP/1.1. What speaks HTTP/2 as well would put all ranges on
		// one connection.
		t.ForceAttemptHTTP2 = false
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
		t.TLSNextProto = nil
		if t.TLSClientConfig != nil { // into which net/http has already put it
			t.TLSClientConfig.NextProtos = slices.DeleteFunc(t.TLSClientConfig.NextProtos, func(p string) bool { return p == "h2" })
		}
		if dialsItself(t.DialContext) {
			t.DialContext = (&spread{lookup: resolver.LookupNetIP, dial: t.DialContext}).dialContext
		}
	})
}

// dialsItself reports whether dial is one of the SDK's own. Another one may know
// hosts that no resolver knows.
func dialsItself(dial dialFunc) bool {
	code := func(f dialFunc) uintptr { return reflect.ValueOf(f).Pointer() }
	plain := awshttp.NewBuildableClient()
	adjusted := plain.WithDialerOptions()
	return dial != nil && (code(dial) == code(plain.GetTransport().DialContext) || code(dial) == code(adjusted.GetTransport().DialContext))
}
