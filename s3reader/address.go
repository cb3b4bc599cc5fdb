package s3reader

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// spread dials the addresses of a name in turn. S3 answers with several, each of
// which leads to another server, while a net.Dialer takes the first that answers.
type spread struct {
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	dial   dialFunc
	turn   atomic.Uint32
}

// spreadPatience is how long one address may take before they are tried as a
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

// choose returns the address whose turn it is; empty if there is no choice.
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
	// The resolver puts first what can be reached best from here. The other
	// family may not be reachable at all.
	var same []netip.Addr
	for _, a := range found {
		if a.Unmap().Is4() == found[0].Unmap().Is4() {
			same = append(same, a)
		}
	}
	return net.JoinHostPort(same[int(s.turn.Add(1))%len(same)].Unmap().String(), port)
}
