// Package ceph starts a Ceph object gateway for a test: a monitor, an object store in
// memory, and radosgw, which implements S3, STS and IAM independently of our model of
// AWS.
//
// The daemons come from Debian's packages (see [Missing]). They run as children of the
// test, listen only on 127.0.0.1, and leave no processes behind after Stop.
package ceph

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/crossrole/crossrole/e2e/daemon"
)

// Install is the command that provides everything Start needs.
const Install = "apt-get install -y --no-install-recommends radosgw ceph-mon ceph-osd ceph-common"

// Missing returns the programs that Start needs but cannot find.
func Missing() []string {
	var missing []string
	for _, program := range []string{"ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	return missing
}

// Cluster is a running gateway.
type Cluster struct {
	URL string // of the gateway: S3, STS and IAM alike, path-style buckets

	dir     string
	daemons []*daemon.Daemon // in order of start
}

// Start starts a cluster with its files in dir and waits until the gateway responds. The
// context limits the start, not the lifetime of the cluster. If Start fails, it stops
// all daemons; the error contains the ends of the logs.
func Start(ctx context.Context, dir string) (*Cluster, error) {
	addrs, err := daemon.Loopback(2)
	if err != nil {
		return nil, err
	}
	c := &Cluster{URL: "http://" + addrs[1], dir: dir}
	if err := c.start(ctx, addrs[0], addrs[1]); err != nil {
		c.Stop()
		return nil, fmt.Errorf("%w\n%s", err, c.Logs())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, monAddr, rgwAddr string) error {
	if err := layOut(c.dir, uuid(), monAddr, rgwAddr); err != nil {
		return err
	}
	if err := c.run(ctx, "ceph-mon", "--mkfs", "-i", "a"); err != nil {
		return err
	}
	if _, err := c.daemon("ceph-mon", "-f", "-i", "a"); err != nil {
		return err
	}
	// The ceph command waits for the monitor itself.
	osdID := uuid()
	if err := c.run(ctx, "ceph", "--connect-timeout", "30", "osd", "new", osdID); err != nil {
		return err
	}
	if err := c.run(ctx, "ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", osdID); err != nil {
		return err
	}
	if _, err := c.daemon("ceph-osd", "-f", "-i", "0"); err != nil {
		return err
	}
	rgw, err := c.daemon("radosgw", "-f", "-n", gateway)
	if err != nil {
		return err
	}
	return rgw.Until(ctx, func(ctx context.Context) error { return answers(ctx, c.URL) })
}

// Stop kills the daemons, the gateway first. It keeps the files in dir.
func (c *Cluster) Stop() {
	for _, d := range slices.Backward(c.daemons) {
		d.Stop()
	}
}

// Logs returns the end of every daemon's log, to show why a start failed.
func (c *Cluster) Logs() string {
	var b strings.Builder
	for _, d := range c.daemons {
		b.WriteString(d.Tail(15))
	}
	return b.String()
}

// GatewayLog returns the end of the gateway's log, to show why a request failed.
func (c *Cluster) GatewayLog() string { return c.daemons[len(c.daemons)-1].Tail(40) }

func (c *Cluster) daemon(name string, args ...string) (*daemon.Daemon, error) {
	d, err := daemon.Start(c.dir, name, name, c.environ(), c.args(args)...)
	if err == nil {
		c.daemons = append(c.daemons, d)
	}
	return d, err
}

// run runs a program and waits for it. Its arguments may contain keys, so an error has
// only the program's name and output.
func (c *Cluster) run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, c.args(args)...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = c.dir, c.environ(), time.Second
	if _, err := cmd.Output(); err != nil {
		var said string
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			said = ": " + strings.TrimSpace(string(exit.Stderr))
		}
		return fmt.Errorf("ceph: %s: %w%s", name, err, said)
	}
	return nil
}

func (c *Cluster) args(args []string) []string {
	return append([]string{"-c", filepath.Join(c.dir, "ceph.conf")}, args...)
}

// environ returns an environment without the user's own Ceph settings (CEPH_ARGS,
// CEPH_CONF).
func (c *Cluster) environ() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "TMPDIR=" + c.dir, "LC_ALL=C"}
}

// answers returns nil once the gateway serves anonymous requests.
func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ceph: gateway answers %s", resp.Status)
	}
	return nil
}
