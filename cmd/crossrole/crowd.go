package main

import (
	"net"
	"net/http"
	"slices"
	"sync"
)

// crowd bounds the connections of a server. When there is one too many, that
// ends which has waited longest for a request: connections on which nothing is
// asked, however many, keep nobody out.
type crowd struct {
	limit int

	mu      sync.Mutex
	open    int
	waiting []net.Conn        // for a request or the rest of its headers; the oldest first
	ended   map[net.Conn]bool // by us, and not yet noticed by the server
}

func newCrowd(limit int) *crowd { return &crowd{limit: limit, ended: map[net.Conn]bool{}} }

// watch is the server's ConnState. A connection becomes active when the headers
// of a request are complete.
func (c *crowd) watch(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = slices.DeleteFunc(c.waiting, func(w net.Conn) bool { return w == conn })
	switch state {
	case http.StateNew:
		c.open++
		c.waiting = append(c.waiting, conn)
	case http.StateIdle:
		if !c.ended[conn] {
			c.waiting = append(c.waiting, conn)
		}
	case http.StateClosed, http.StateHijacked:
		if !c.ended[conn] {
			c.open--
		}
		delete(c.ended, conn)
	}
	if c.open > c.limit && len(c.waiting) > 0 {
		oldest := c.waiting[0]
		c.waiting = c.waiting[1:]
		c.ended[oldest] = true
		c.open--
		oldest.Close() // the server's reading fails, and it says StateClosed
	}
}
