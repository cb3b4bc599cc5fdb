package httpclient

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

func TestAddressesTakeTurns(t *testing.T) {
	known := map[string][]string{
		"s3.test":   {"10.0.0.1", "10.0.0.2", "fd00::1", "10.0.0.3"},
		"six.test":  {"fd00::1", "fd00::2", "10.0.0.1"},
		"one.test":  {"10.0.0.9"},
		"none.test": nil,
	}
	for addr, want := range map[string][]string{
		"s3.test:443":      {"10.0.0.1:443", "10.0.0.1:443", "10.0.0.2:443", "10.0.0.2:443", "10.0.0.3:443", "10.0.0.3:443"},
		"six.test:443":     {"[fd00::1]:443", "[fd00::1]:443", "[fd00::1]:443", "[fd00::2]:443", "[fd00::2]:443", "[fd00::2]:443"},
		"one.test:443":     slices.Repeat([]string{"one.test:443"}, 6),
		"none.test:443":    slices.Repeat([]string{"none.test:443"}, 6),
		"unknown.test:443": slices.Repeat([]string{"unknown.test:443"}, 6),
		"127.0.0.1:9000":   slices.Repeat([]string{"127.0.0.1:9000"}, 6),
		"no port":          slices.Repeat([]string{"no port"}, 6),
	} {
		var dialled []string
		s := &spread{
			lookup: func(_ context.Context, _, host string) ([]netip.Addr, error) {
				found, ok := known[host]
				if !ok {
					return nil, errors.New("no such host")
				}
				var addrs []netip.Addr
				for _, a := range found {
					addrs = append(addrs, netip.MustParseAddr(a))
				}
				return addrs, nil
			},
			dial: func(_ context.Context, _, addr string) (net.Conn, error) {
				dialled = append(dialled, addr)
				return nil, nil
			},
		}
		for range 6 {
			if _, err := s.dialContext(t.Context(), "tcp", addr); err != nil {
				t.Error(err)
			}
		}
		if slices.Sort(dialled); !slices.Equal(dialled, want) {
			t.Errorf("%s: dialled %q", addr, dialled)
		}
	}
}

// An address that refuses, or does not answer, is no reason to fail. In a
// synctest bubble.
func TestDeadAddressIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dialled []string
		s := &spread{
			lookup: func(context.Context, string, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}, nil
			},
			dial: func(ctx context.Context, _, addr string) (net.Conn, error) {
				dialled = append(dialled, addr)
				switch addr {
				case "10.0.0.1:80":
					return nil, errors.New("refused")
				case "10.0.0.2:80":
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return nil, nil
			},
		}
		start := time.Now()
		for range 2 {
			if _, err := s.dialContext(t.Context(), "tcp", "s3.test:80"); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took != spreadPatience || len(dialled) != 4 {
			t.Errorf("%v, dialled %q", took, dialled)
		}
	})
}

// Only the SDK's own way to connect is changed.
func TestForeignDialersAreLeftAlone(t *testing.T) {
	sdk := awshttp.NewBuildableClient()
	custom := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("custom") }
	for name, c := range map[string]struct {
		client *awshttp.BuildableClient
		spread bool
	}{
		"default":       {sdk, true},
		"longer wait":   {sdk.WithDialerOptions(func(d *net.Dialer) { d.Timeout = time.Minute }), true},
		"larger buffer": {sdk.WithTransportOptions(func(tr *http.Transport) { tr.ReadBufferSize = 1 << 16 }), true},
		"custom":        {sdk.WithTransportOptions(func(tr *http.Transport) { tr.DialContext = custom }), false},
		"none":          {sdk.WithTransportOptions(func(tr *http.Transport) { tr.DialContext = nil }), false},
	} {
		before := c.client.GetTransport()
		if got := dialsItself(before.DialContext); got != c.spread {
			t.Errorf("%s: spread is %v", name, got)
		}
		after := ForManyConnections(c.client, 64).(*awshttp.BuildableClient).GetTransport()
		if after.MaxIdleConnsPerHost < 64 || after.ReadBufferSize != before.ReadBufferSize {
			t.Errorf("%s: got %+v", name, after)
		}
		if !c.spread && after.DialContext != nil {
			if _, err := after.DialContext(t.Context(), "tcp", "s3.test:1"); err == nil || err.Error() != "custom" {
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
	own := &http.Client{}
	if got := ForManyConnections(own, 64); got != own {
		t.Errorf("the user's client became %v", got)
	}
}
