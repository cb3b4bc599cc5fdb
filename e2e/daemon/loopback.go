package daemon

import (
	"fmt"
	"net"
)

// Loopback returns n addresses 127.0.0.1:port on which nothing listens. If another
// process takes one before the intended server does, the server fails to start and
// reports it.
func Loopback(n int) ([]string, error) {
	addrs := make([]string, n)
	for i := range addrs {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("daemon: no free port on 127.0.0.1: %w", err)
		}
		// Held until all are found, so that no two are the same.
		defer l.Close()
		addrs[i] = l.Addr().String()
	}
	return addrs, nil
}
