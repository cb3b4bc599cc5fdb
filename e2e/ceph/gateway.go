package ceph

import (
	"context"
	"strings"

	"github.com/crossrole/crossrole/e2e/daemon"
)

// StopGateway kills radosgw, like a crash. Stored data is kept.
func (c *Cluster) StopGateway() { c.daemons[len(c.daemons)-1].Stop() }

// StartGateway restarts radosgw after StopGateway, at the same address, and waits until
// it responds.
func (c *Cluster) StartGateway(ctx context.Context) error {
	c.daemons = c.daemons[:len(c.daemons)-1]
	rgw, err := c.daemon("radosgw", "-f", "-n", gateway)
	if err != nil {
		return err
	}
	return rgw.Until(ctx, func(ctx context.Context) error { return answers(ctx, c.URL) })
}

// Gateway is one more radosgw of a cluster, with the same data, accounts and sessions.
type Gateway struct {
	URL string // of S3, STS and IAM

	cluster *Cluster
	rgw     *daemon.Daemon
}

// AddGateway starts one more radosgw and waits until it responds.
func (c *Cluster) AddGateway(ctx context.Context) (*Gateway, error) {
	addrs, err := daemon.Loopback(1)
	if err != nil {
		return nil, err
	}
	g := &Gateway{URL: "http://" + addrs[0], cluster: c}
	return g, g.Start(ctx)
}

// Start starts the gateway, at the same address after a Stop, and waits until it responds.
func (g *Gateway) Start(ctx context.Context) error {
	address := strings.TrimPrefix(g.URL, "http://")
	rgw, err := daemon.Start(g.cluster.dir, "radosgw-"+strings.ReplaceAll(address, ":", "-"), "radosgw", g.cluster.environ(),
		g.cluster.args([]string{"-f", "-n", gateway, "--rgw_frontends=beast endpoint=" + address + " tcp_nodelay=1"})...)
	if err != nil {
		return err
	}
	g.rgw = rgw
	return rgw.Until(ctx, func(ctx context.Context) error { return answers(ctx, g.URL) })
}

// Stop kills the gateway, like a crash. It may be called again.
func (g *Gateway) Stop() {
	if g.rgw != nil {
		g.rgw.Stop()
	}
}
