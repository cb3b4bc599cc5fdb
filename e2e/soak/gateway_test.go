package soak_test

import (
	"net"
	"net/http"
	"testing"
	"time"
)

// gateway is a server of the cloud that can be killed: its connections are cut off, and
// new ones refused, until it is started again on the same address.
type gateway struct {
	t       *testing.T
	handler http.Handler
	address string
	server  *http.Server
}

func newGateway(t *testing.T, handler http.Handler) *gateway {
	t.Helper()
	g := &gateway{t: t, handler: handler, address: "127.0.0.1:0"}
	g.start()
	t.Cleanup(g.kill)
	return g
}

func (g *gateway) url() string { return "http://" + g.address }

func (g *gateway) start() {
	g.t.Helper()
	listener, err := net.Listen("tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	g.address = listener.Addr().String()
	g.server = &http.Server{Handler: g.handler, ReadHeaderTimeout: time.Minute}
	server := g.server
	go func() { _ = server.Serve(listener) }() // returns when it is killed
}

func (g *gateway) kill() { _ = g.server.Close() } // its connections are cut off
