// Package httpclient adjusts the SDK's HTTP client for downloads: HTTP/1.1, many
// connections, and all addresses of a host name.
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

// ForManyConnections returns a copy of the SDK's own HTTP client for many requests at a
// time to one host. It keeps up to idle connections open for later requests. Any other
// client is the caller's choice and is returned as it is.
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
		// S3 uses HTTP/1.1. With HTTP/2, which other servers may offer, all ranges would
		// share one connection.
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

// dialsItself reports whether dial is the SDK's own function. Any other function may
// reach hosts that no resolver knows.
func dialsItself(dial dialFunc) bool {
	code := func(f dialFunc) uintptr { return reflect.ValueOf(f).Pointer() }
	plain := awshttp.NewBuildableClient()
	adjusted := plain.WithDialerOptions()
	return dial != nil && (code(dial) == code(plain.GetTransport().DialContext) || code(dial) == code(adjusted.GetTransport().DialContext))
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// spread dials the addresses of a name in turn. S3's names have several addresses, of
// different servers, but a net.Dialer uses the first that responds.
type spread struct {
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	dial   dialFunc
	turn   atomic.Uint32
}

// spreadPatience is how long one address is tried before net.Dialer tries all of them.
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
	// The resolver has sorted the addresses. Those of the other family (IPv4, IPv6) may not
	// be reachable.
	var same []netip.Addr
	for _, a := range found {
		if a.Unmap().Is4() == found[0].Unmap().Is4() {
			same = append(same, a)
		}
	}
	return net.JoinHostPort(same[int(s.turn.Add(1))%len(same)].Unmap().String(), port)
}
