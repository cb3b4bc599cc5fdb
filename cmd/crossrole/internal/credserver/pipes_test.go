package credserver_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
)

// pipes is a listener in memory, on which a server works inside a
// testing/synctest bubble, deadlines and all.
type pipes struct {
	address net.Addr
	conns   chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

func newPipes(port int) *pipes {
	return &pipes{
		address: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port},
		conns:   make(chan net.Conn), closed: make(chan struct{}),
	}
}

func (p *pipes) Addr() net.Addr { return p.address }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// dial connects from an address, as a peer there would.
func (p *pipes) dial(ctx context.Context, from net.IP) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- pipeEnd{server, p.address, &net.TCPAddr{IP: from, Port: 40000}}:
		return client, nil
	case <-p.closed:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: p.address, Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// client asks over the pipes, whatever the URL's host is.
func (p *pipes) client(t *testing.T) *http.Client {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return p.dial(ctx, net.IPv4(127, 0, 0, 1))
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// pipeEnd is the server's end of a pipe, with the addresses of a TCP connection.
type pipeEnd struct {
	net.Conn
	local, remote net.Addr
}

func (p pipeEnd) LocalAddr() net.Addr  { return p.local }
func (p pipeEnd) RemoteAddr() net.Addr { return p.remote }
