package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/crossrole/crossrole/e2e/daemon"
)

// Node is a hollow kubelet.
type Node struct {
	Name string

	dir     string
	proxy   *tokenProxy
	runtime *containerRuntime // nil: containers are simulated
	server  *daemon.Daemon
}

// launch starts kubelet and waits until the node is ready. If it fails, it stops what the
// node consists of.
func launch(ctx context.Context, c *Cluster, n *Node, rotation Rotation, flags ...string) (*Node, error) {
	err := n.start(ctx, c, rotation, flags...)
	if err != nil {
		if n.server != nil {
			err = fmt.Errorf("%w\n%s", err, n.server.Tail(40))
		}
		return nil, errors.Join(err, n.stop())
	}
	return n, nil
}

func (n *Node) start(ctx context.Context, c *Cluster, rotation Rotation, flags ...string) (err error) {
	// Kubelet's Unix sockets are in this directory, and their paths may have 107 bytes.
	n.dir = filepath.Join(c.dir, n.Name)
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		return fmt.Errorf("kubernetes: %w", err)
	}
	if n.proxy, err = startTokenProxy(c, c.tokens[n.Name], rotation); err != nil {
		return err
	}
	kubeconfig := filepath.Join(n.dir, "kubeconfig")
	if err := writeKubeconfig(kubeconfig, n.proxy.url, "", ""); err != nil {
		return err
	}
	addrs, err := daemon.Loopback(1)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(addrs[0])
	if err != nil {
		return fmt.Errorf("kubernetes: %w", err)
	}
	flags = append([]string{"-name=" + n.Name, "-kubeconfig=" + kubeconfig, "-dir=" + n.dir, "-port=" + port}, flags...)
	n.server, err = daemon.Start(c.dir, "kubelet-"+c.Name+"-"+n.Name, c.servers.Node, append(environ(n.dir), "GOMAXPROCS=2"), flags...)
	if err != nil {
		return err
	}
	return n.server.Until(ctx, func(ctx context.Context) error { return n.ready(ctx, c.API) })
}

// writeKubeconfig writes the settings of a client. The certificate is a file; "": the
// server has none.
func writeKubeconfig(file, server, certificate, token string) error {
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: u, user: {token: %q}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
`, server, certificate, token)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("kubernetes: %w", err)
	}
	return nil
}

// ready returns nil if the node reports that it is ready.
func (n *Node) ready(ctx context.Context, api *API) error {
	var is struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := api.Get(ctx, "/api/v1/nodes/"+n.Name, &is); err != nil {
		return err
	}
	for _, c := range is.Status.Conditions {
		if c.Type == "Ready" {
			if c.Status == "True" {
				return nil
			}
			return fmt.Errorf("kubernetes: %s is not ready: %s", n.Name, c.Message)
		}
	}
	return fmt.Errorf("kubernetes: %s has no condition Ready", n.Name)
}

func (n *Node) stop() error {
	if n.server != nil {
		n.server.Stop()
	}
	if n.runtime != nil {
		n.runtime.stop()
	}
	err := n.unmount()
	if n.proxy != nil {
		if closed := n.proxy.close(); !errors.Is(closed, http.ErrServerClosed) {
			err = errors.Join(err, closed)
		}
	}
	if err != nil {
		return fmt.Errorf("kubernetes: %w", err)
	}
	return nil
}

// unmount removes what a kubelet with a real runtime leaves mounted in its directory, and
// the directory's mount at its own place. Otherwise the directory could not be removed.
func (n *Node) unmount() error {
	if n.dir == "" {
		return nil
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	lines := slices.Collect(strings.Lines(string(mounts)))
	for _, line := range slices.Backward(lines) { // the latest first
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point := fields[4]
		if point != n.dir && !strings.HasPrefix(point, n.dir+"/") {
			continue
		}
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	return nil
}

// Volume returns the directory in which kubelet keeps a pod's volume.
func (n *Node) Volume(pod Pod, volume string) (string, error) {
	found, err := filepath.Glob(filepath.Join(n.dir, "pods", pod.Metadata.UID, "volumes", "*", volume))
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("kubernetes: kubelet has %d volumes %s of pod %s", len(found), volume, pod.Metadata.Name)
	}
	return found[0], nil
}
