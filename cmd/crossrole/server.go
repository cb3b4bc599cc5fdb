package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// maxConnections is far more than a pod's programs need: an SDK asks once in a
// quarter of an hour.
const maxConnections = 256

// farewell is how long a request under way may take when the server ends.
const farewell = 5 * time.Second

// newServer bounds what a peer may cost: time, memory and connections.
func newServer(h http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      patience + 5*time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10, // a token has 64 bytes, and net/http adds 4 KiB
		ConnState:         newCrowd(maxConnections).watch,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

// site is a handler and where it listens.
type site struct {
	listener net.Listener
	handler  http.Handler
}

// serveSites answers until ctx ends, then lets requests under way finish.
func serveSites(ctx context.Context, logger *slog.Logger, sites ...site) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	failures := make([]error, len(sites))
	for i, s := range sites {
		server := newServer(s.handler, logger)
		running.Go(func() {
			defer cancel() // one without the other is of no use
			if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				failures[i] = fmt.Errorf("listener %s: %w", s.listener.Addr(), err)
			}
		})
		running.Go(func() {
			<-ctx.Done()
			brief, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
			defer cancel()
			if server.Shutdown(brief) != nil {
				server.Close() // drops connections that outlived the grace period
			}
		})
	}
	running.Wait()
	return errors.Join(failures...)
}

// listen opens an address that a flag names.
func listen(ctx context.Context, flag, address string) (net.Listener, error) {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", flag, address, err)
	}
	return l, nil
}

// crowd bounds the connections of a server. When there is one too many, the one
// that has waited longest for a request is closed: idle connections, however many,
// lock no caller out.
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
