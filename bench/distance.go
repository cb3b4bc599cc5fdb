package main

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// distance is a proxy that adds a delay. What a client sends arrives one round trip
// later, in order; its first bytes take one more, for the TCP handshake. Responses
// are not delayed: to a client that waits for each response this looks the same as
// half the delay each way.
type distance struct {
	listener  net.Listener
	server    string // host:port
	roundTrip time.Duration

	connections atomic.Int64
	running     sync.WaitGroup
}

// newDistance listens on the loopback interface.
func newDistance(server string, roundTrip time.Duration) (*distance, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &distance{listener: listener, server: server, roundTrip: roundTrip}
	d.running.Go(d.accept)
	return d, nil
}

// addr returns the address that clients connect to.
func (d *distance) addr() string { return d.listener.Addr().String() }

// close accepts no more connections and waits until the open ones are closed.
func (d *distance) close() error {
	err := d.listener.Close()
	d.running.Wait()
	return err
}

func (d *distance) accept() {
	for {
		client, err := d.listener.Accept()
		if err != nil { // closed
			return
		}
		d.connections.Add(1)
		d.running.Go(func() { d.connect(client) })
	}
}

// connect forwards one connection until either side closes it. Errors close it too,
// and both sides notice.
func (d *distance) connect(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", d.server)
	if err != nil {
		return
	}
	var answers sync.WaitGroup
	answers.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	packets := make(chan packet, 64)
	go d.receive(client, packets)
	for p := range packets {
		time.Sleep(time.Until(p.arrives))
		if _, err := server.Write(p.data); err != nil {
			_ = client.Close() // so that receive returns
		}
	}
	_ = server.Close()
	answers.Wait()
}

type packet struct {
	data    []byte
	arrives time.Time
}

// receive reads ahead, so that the delay of each packet starts when it is sent.
func (d *distance) receive(client net.Conn, packets chan<- packet) {
	defer close(packets)
	way := 2 * d.roundTrip
	for {
		buf := make([]byte, 32<<10)
		n, err := client.Read(buf)
		if n > 0 {
			packets <- packet{buf[:n], time.Now().Add(way)}
			way = d.roundTrip
		}
		if err != nil {
			return
		}
	}
}
