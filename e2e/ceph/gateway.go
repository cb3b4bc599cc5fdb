package ceph

import "context"

// StopGateway kills radosgw, as a crash would. What is stored stays.
func (c *Cluster) StopGateway() { c.daemons[len(c.daemons)-1].Stop() }

// StartGateway starts radosgw again, at the same address, after StopGateway, and
// waits until it answers.
func (c *Cluster) StartGateway(ctx context.Context) error {
	c.daemons = c.daemons[:len(c.daemons)-1]
	rgw, err := c.daemon("radosgw", "-f", "-n", gateway)
	if err != nil {
		return err
	}
	return rgw.Until(ctx, func(ctx context.Context) error { return answers(ctx, c.URL) })
}
