// Package httpclient adjusts the SDK's HTTP client for downloads: over HTTP/1.1,
// with many connections, to all addresses that the name of a host has.
package httpclient

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// ForManyConnections returns a copy of the SDK's own HTTP client that is made for
// many requests at a time to one host, and keeps up to idle connections to it open
// for later requests. Any other client is the user's, and is returned as it is.
func ForManyConnections(c aws.HTTPClient, idle int) aws.HTTPClient {
	sdk, ok := c.(*awshttp.BuildableClient)
	if !ok {
		return c
	}
	resolver := sdk.GetDialer().Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	return sdk.WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = max(t.MaxIdleConnsPerHost, idle)
		if t.MaxIdleConns != 0 { // 0: no limit
			t.MaxIdleConns = max(t.MaxIdleConns, idle)
		}
		// S3 speaks HTTP/1.1. A server that speaks HTTP/2 as well would put all
		// ranges on one connection.
		t.ForceAttemptHTTP2 = false
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
		t.TLSNextProto = nil
		if t.TLSClientConfig != nil { // net/http has already added it
			t.TLSClientConfig.NextProtos = slices.DeleteFunc(t.TLSClientConfig.NextProtos, func(p string) bool { return p == "h2" })
		}
		if dialsItself(t.DialContext) {
			t.DialContext = (&spread{lookup: resolver.LookupNetIP, dial: t.DialContext}).dialContext
		}
	})
}

// dialsItself reports whether dial is one of the SDK's own. Any other function may
// know hosts that no resolver knows.
func dialsItself(dial dialFunc) bool {
	code := func(f dialFunc) uintptr { return reflect.ValueOf(f).Pointer() }
	plain := awshttp.NewBuildableClient()
	adjusted := plain.WithDialerOptions()
	return dial != nil && (code(dial) == code(plain.GetTransport().DialContext) || code(dial) == code(adjusted.GetTransport().DialContext))
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// spread dials the addresses of a name in turn. The names of S3 have several, each
// of which leads to another server, while a net.Dialer takes the first that
// responds.
type spread struct {
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	dial   dialFunc
	turn   atomic.Uint32
}

// spreadPatience is how long one address may take, before all of them are tried as
// net.Dialer does.
const spreadPatience = 5 * time.Second

func (s *spread) dialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if one := s.choose(ctx, addr); one != "" {
		ctx, cancel := context.WithTimeout(ctx, spreadPatience)
		conn, err := s.dial(ctx, network, one)
		cancel()
		if err == nil {
			return conn, nil
		}
	}
	return s.dial(ctx, network, addr)
}

// choose returns the address whose turn it is; "" if there is no choice.
func (s *spread) choose(ctx context.Context, addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	found, err := s.lookup(ctx, "ip", host)
	if err != nil || len(found) < 2 {
		return ""
	}
	// The resolver sorts the addresses by how well they can be reached. Those of
	// the other family may not be reachable at all.
	var same []netip.Addr
	for _, a := range found {
		if a.Unmap().Is4() == found[0].Unmap().Is4() {
			same = append(same, a)
		}
	}
	return net.JoinHostPort(same[int(s.turn.Add(1))%len(same)].Unmap().String(), port)
}
