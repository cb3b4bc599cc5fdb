// Package credserver serves the sessions of roles over HTTP, as a container credential
// endpoint that every AWS SDK can use. The commands serve and exec run it.
//
// # How it works
//
// A [Role] has a name, an authorization token and the chain that gets its sessions. A
// [Server] serves its roles on one or two listeners:
//
//	endpoint (endpoint.go)  GET /v1/NAME: checks peer, host, path and token, then
//	                        returns the session of the role (role.go)
//	admin (admin.go)        probes, status and metrics; no credentials
//	renewer (renew.go)      replaces sessions on POST /renew and on a signal
//
// Run also keeps each role's session fresh, so that a request finds one that is valid
// for long enough (role.go). Tokens are random; those of serve are files, one per role,
// in a directory that the pod's containers share (tokendir.go).
//
// Locks: Role.mu guards the role's present chain, which a renewal replaces. renewer.mu
// guards the times of the last renewals, connLimiter.mu the connections, refusalLog.mu
// the log's pace. None is held while another one is taken, or during a request to STS.
package credserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/credentials/metrics"
)

// Server serves the sessions of roles.
type Server struct {
	Roles     []*Role
	Host      string       // that the endpoint's listener was configured with; clients may send it as Host; empty: none
	BeyondPod bool         // serve clients outside of the pod, too
	Logger    *slog.Logger // receives renewals and errors of the HTTP server

	RefusalLog *slog.Logger // receives refused requests; nil: they are not logged

	// What follows is needed with an admin listener or Signals.

	Metrics *metrics.Collector        // observes the chains
	Open    func() (OpenChain, error) // begins a renewal
	Signals <-chan os.Signal          // each renews all sessions; nil: none
}

// OpenChain makes a new chain for the role of that name. Chains that one OpenChain makes
// may share sessions with each other, but not with earlier ones.
type OpenChain func(role string) (*credentials.Chain, error)

// Run serves credentials on endpoint and, unless admin is nil, the pages for operators
// on admin, until ctx ends. It closes both listeners, and returns when all requests and
// renewals have ended.
func (s *Server) Run(ctx context.Context, endpoint, admin net.Listener) error {
	counter, renewer := newRequestCounter(s.Roles), s.newRenewer()
	sites := []site{{endpoint, s.newEndpoint(counter)}}
	if admin != nil {
		sites = append(sites, site{admin, s.newAdmin(counter, renewer)})
	}
	ctx, cancel := context.WithCancel(ctx)
	var background sync.WaitGroup
	for _, r := range s.Roles {
		s.watch(r.chain())
		background.Go(func() { r.keepFresh(ctx) })
	}
	background.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-s.Signals: // never, if nil
				renewer.renew(ctx, "")
			}
		}
	})
	err := serveSites(ctx, s.Logger, sites...)
	cancel()
	background.Wait()
	return err
}

// Endpoint returns the handler that serves credentials, for tests of single requests.
func (s *Server) Endpoint() http.Handler { return s.newEndpoint(newRequestCounter(s.Roles)) }

// watch adds a chain to the metrics.
func (s *Server) watch(c *credentials.Chain) {
	if s.Metrics != nil {
		s.Metrics.Watch(c)
	}
}

// maxConnections is far more than a pod's programs need: an SDK sends a request every 15
// minutes or so.
const maxConnections = 256

// shutdownGrace is how long a request in flight may take when the server stops.
const shutdownGrace = 5 * time.Second

// newHTTPServer bounds what a client may cost: time, memory and connections.
func newHTTPServer(h http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      maxWait + 5*time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10, // a token has 64 bytes, and net/http adds 4 KiB
		ConnState:         newConnLimiter(maxConnections).watch,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

// site is a handler and where it listens.
type site struct {
	listener net.Listener
	handler  http.Handler
}

// serveSites serves until ctx ends, then lets requests in flight finish.
func serveSites(ctx context.Context, logger *slog.Logger, sites ...site) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	failures := make([]error, len(sites))
	for i, s := range sites {
		server := newHTTPServer(s.handler, logger)
		running.Go(func() {
			defer cancel() // if one listener fails, stop the other
			if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				failures[i] = fmt.Errorf("listener %s: %w", s.listener.Addr(), err)
			}
		})
		running.Go(func() {
			<-ctx.Done()
			brief, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
			defer cancel()
			if server.Shutdown(brief) != nil {
				server.Close() // drops connections that outlived the grace period
			}
		})
	}
	running.Wait()
	return errors.Join(failures...)
}

// connLimiter bounds the connections of a server. When there is one too many, it closes
// the one that has waited longest for a request, so that idle connections lock no client
// out.
type connLimiter struct {
	limit int

	mu      sync.Mutex
	open    int
	waiting []net.Conn        // for a request or the rest of its headers; the oldest first
	closed  map[net.Conn]bool // by us, and not yet noticed by the server
}

func newConnLimiter(limit int) *connLimiter {
	return &connLimiter{limit: limit, closed: map[net.Conn]bool{}}
}

// watch is the server's ConnState. A connection becomes active when the headers
// of a request are complete.
func (c *connLimiter) watch(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = slices.DeleteFunc(c.waiting, func(w net.Conn) bool { return w == conn })
	switch state {
	case http.StateNew:
		c.open++
		c.waiting = append(c.waiting, conn)
	case http.StateIdle:
		if !c.closed[conn] {
			c.waiting = append(c.waiting, conn)
		}
	case http.StateClosed, http.StateHijacked:
		if !c.closed[conn] {
			c.open--
		}
		delete(c.closed, conn)
	}
	if c.open > c.limit && len(c.waiting) > 0 {
		oldest := c.waiting[0]
		c.waiting = c.waiting[1:]
		c.closed[oldest] = true
		c.open--
		oldest.Close() // the server's read fails, and it reports StateClosed
	}
}
