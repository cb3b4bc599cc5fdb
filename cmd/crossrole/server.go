package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
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
				server.Close() // whoever is still there had his time
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
