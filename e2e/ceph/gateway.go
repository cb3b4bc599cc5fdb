package ceph

import "context"

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
