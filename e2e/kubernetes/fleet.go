package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/crossrole/crossrole/e2e/daemon"
)

// The names of the components, and of their users without "system:".
const (
	controllerManager = "kube-controller-manager"
	scheduler         = "kube-scheduler"
)

// controllers are those that a cluster of the tests needs.
var controllers = []string{
	"deployment", "disruption", "garbage-collector", "job", "legacy-serviceaccount-token-cleaner",
	"namespace", "node-lifecycle", "persistentvolume-binder", "persistentvolume-protection",
	"persistentvolumeclaim-protection", "pod-garbage-collector", "replicaset", "resourcequota",
	"root-ca-certificate-publisher", "serviceaccount", "serviceaccount-token", "taint-eviction",
	"ttl-after-finished",
}

// StartFleet starts a cluster with its files in dir, in which kube-controller-manager and
// kube-scheduler run, and n nodes that run containers as processes. A container has a
// network in which only its pod's containers, and the addresses of reach, can be reached.
// Each cluster of a test needs another number, from 1 to 9.
//
// StartFleet waits until the nodes are ready. If it fails, it stops all servers.
func StartFleet(ctx context.Context, s Servers, etcd *Etcd, name, dir string, number, n int, image Image, reach ...string) (*Cluster, error) {
	addrs, err := daemon.Loopback(1)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Name: name, servers: s, dir: dir, addr: addrs[0], etcd: etcd}
	return c.started(func() error {
		var names []string
		for i := range n {
			names = append(names, fmt.Sprintf("node-%d", i+1))
		}
		if err := c.start(ctx, names...); err != nil {
			return err
		}
		if err := c.startControllers(); err != nil {
			return err
		}
		nodes := make(chan error, n)
		c.Fleet = make([]*Node, n)
		for i, name := range names {
			subnet := net.IPv4(10, byte(80+number), byte(i+1), 0)
			// The node's own address; the rest of its network is for the pods. One after the
			// other: a changed mask removes addresses that it makes secondary ones.
			if err := addAddress(fmt.Sprintf("lo:%s%d", c.Name, i), subnet, net.CIDRMask(24, 32)); err != nil {
				return err
			}
			go func() { nodes <- c.startFleetNode(ctx, i, name, subnet, image, reach) }()
		}
		for range n {
			err = errors.Join(err, <-nodes)
		}
		return err
	})
}

func (c *Cluster) startFleetNode(ctx context.Context, i int, name string, subnet net.IP, image Image, reach []string) error {
	n := &Node{Name: name}
	dir := filepath.Join(c.dir, "containers-"+name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("kubernetes: %w", err)
	}
	var socket string
	var err error
	if n.runtime, socket, err = startRuntime(name, dir, image, subnet, reach); err != nil {
		return err
	}
	// Its tokens are replaced when kubelet decides.
	c.Fleet[i], err = launch(ctx, c, n, Natural, "-ip="+subnet.String(), "-runtime="+socket)
	return err
}

// startControllers starts kube-controller-manager and kube-scheduler.
func (c *Cluster) startControllers() error {
	certificate := filepath.Join(c.dir, "apiserver.crt")
	var enabled []string
	for _, name := range controllers {
		enabled = append(enabled, name+"-controller")
	}
	for _, component := range []struct {
		name, program string
		flags         []string
	}{
		{controllerManager, c.servers.ControllerManager, []string{
			"--controllers=" + strings.Join(enabled, ","), "--use-service-account-credentials",
			"--root-ca-file=" + certificate, "--service-account-private-key-file=" + filepath.Join(c.dir, "signing-0.pem"),
		}},
		{scheduler, c.servers.Scheduler, nil},
	} {
		kubeconfig := filepath.Join(c.dir, component.name+".kubeconfig")
		if err := writeKubeconfig(kubeconfig, c.url().String(), certificate, c.tokens[component.name]); err != nil {
			return err
		}
		flags := append(component.flags, "--kubeconfig="+kubeconfig, "--leader-elect=false", "--secure-port=0")
		d, err := daemon.Start(c.dir, component.name+"-"+c.Name, component.program, environ(c.dir), flags...)
		if err != nil {
			return err
		}
		c.controllers = append(c.controllers, d)
	}
	return nil
}

// Processes returns the containers that the nodes of a fleet have started.
func (c *Cluster) Processes() (all []Process) {
	for _, n := range c.Fleet {
		if n.runtime != nil {
			all = append(all, n.runtime.list()...)
		}
	}
	return all
}
