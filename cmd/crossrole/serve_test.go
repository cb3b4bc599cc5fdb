package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/cmd/crossrole/internal/credserver"
	"github.com/crossrole/crossrole/cmd/crossrole/internal/rolesetting"
	"github.com/crossrole/crossrole/credentials"
)

// newServer returns the server that serve makes of these roles in the pod.
func newServer(t *testing.T, s *serveCmd, pod *fakePod, roles ...string) *credserver.Server {
	t.Helper()
	named, err := rolesetting.ParseAllNamed(roles)
	if err != nil {
		t.Fatal(err)
	}
	s.logger = slog.New(slog.DiscardHandler)
	source := credentials.WebIdentity{RoleARN: pod.pod.RoleARN(), TokenFile: pod.pod.TokenFile()}
	server, err := s.server(pod.cloud.Config(), source, named)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// quiet is a listener that no client connects to.
type quiet struct{ closed chan struct{} }

func (q quiet) Accept() (net.Conn, error) { <-q.closed; return nil, net.ErrClosed }
func (q quiet) Close() error              { close(q.closed); return nil }
func (q quiet) Addr() net.Addr            { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9911} }

// sessions counts the calls of an operation of STS that gave one.
func (p *fakePod) sessions(operation string) int {
	n := 0
	for _, c := range p.cloud.Calls() {
		if c.Operation == operation && c.Status == http.StatusOK {
			n++
		}
	}
	return n
}

// With --fallback-region, serve has sessions through hours of a regional outage that began
// before it started, and no client asks meanwhile. Then it is back in its own region.
func TestServeWithAFallbackRegion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := newQuietPod(t.TempDir())
		s := &serveCmd{tokenDir: t.TempDir(), pod: podFlags{fallbacks: []string{"us-west-2"}}}
		server := newServer(t, s, pod, "pics="+target)
		end := pod.cloud.Fault(awstest.Fault{Region: "us-east-1", Drop: true})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- server.Run(ctx, quiet{make(chan struct{})}, nil) }()
		from := func(length time.Duration) map[string]int {
			before := len(pod.cloud.Calls())
			time.Sleep(length)
			hosts := map[string]int{}
			for _, c := range pod.cloud.Calls()[before:] {
				if c.Status == http.StatusOK {
					hosts[c.Host]++
				}
			}
			return hosts
		}
		const own, fallback = "sts.us-east-1.amazonaws.com", "sts.us-west-2.amazonaws.com"
		if hosts := from(3 * time.Hour); hosts[fallback] < 6 || len(hosts) != 1 {
			t.Errorf("sessions during the outage: %v", hosts)
		}
		end()
		from(time.Hour)
		if hosts := from(3 * time.Hour); hosts[own] < 6 || len(hosts) != 1 {
			t.Errorf("sessions after the outage: %v", hosts)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// All roles are assumed from one session of the hub; only a renewal gets another one.
func TestRolesShareTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := newQuietPod(t.TempDir())
		server := newServer(t, &serveCmd{tokenDir: t.TempDir()}, pod, "pics="+target, "short="+target+",duration=30m")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- server.Run(ctx, quiet{make(chan struct{})}, nil) }()
		time.Sleep(10 * time.Hour)
		hub, assumed := pod.sessions("AssumeRoleWithWebIdentity"), pod.sessions("AssumeRole")
		if hub < 10 || hub > 15 || assumed < 60 {
			t.Errorf("%d sessions of the hub, %d of the target in ten hours, want one an hour or so of the hub", hub, assumed)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute) // a refresh in flight ends by itself
		hub = pod.sessions("AssumeRoleWithWebIdentity")
		open, err := server.Open()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"pics", "short"} {
			chain, err := open(name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := chain.Retrieve(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if n := pod.sessions("AssumeRoleWithWebIdentity") - hub; n != 1 {
			t.Errorf("a renewal of two roles took %d sessions of the hub, want a new one for both", n)
		}
	})
}
