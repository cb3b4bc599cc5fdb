package credentials

import (
	"net/http"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// proxyOf is the host of the proxy that client would use for a request; empty
// if it uses none, or is of a kind that does not tell. The user information in
// a proxy's URL is left out: it is a password.
func proxyOf(client aws.HTTPClient, request *http.Request) string {
	var choose func(*http.Request) (*url.URL, error)
	switch c := client.(type) {
	case *awshttp.BuildableClient:
		choose = c.GetTransport().Proxy
	case *http.Client:
		if c.Transport == nil {
			choose = http.ProxyFromEnvironment
		} else if t, ok := c.Transport.(*http.Transport); ok {
			choose = t.Proxy
		}
	}
	if choose == nil {
		return ""
	}
	proxy, err := choose(request)
	if err != nil || proxy == nil {
		return ""
	}
	return proxy.Host
}
