package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/crossrole/crossrole/e2e/daemon"
)

// Node is a hollow kubelet.
type Node struct {
	dir    string
	proxy  *tokenProxy
	server *daemon.Daemon
}

func startNode(ctx context.Context, c *Cluster, rotation Rotation) (*Node, error) {
	dir := filepath.Join(c.dir, "node")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("kubernetes: %w", err)
	}
	proxy, err := startTokenProxy(c, rotation)
	if err != nil {
		return nil, err
	}
	n := &Node{dir: dir, proxy: proxy}
	config := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q}}]
contexts: [{name: c, context: {cluster: c, user: ""}}]
current-context: c
`, proxy.url)
	if err := os.WriteFile(filepath.Join(dir, "kubeconfig"), []byte(config), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("kubernetes: %w", err), proxy.close())
	}
	addrs, err := daemon.Loopback(1)
	if err != nil {
		return nil, errors.Join(err, proxy.close())
	}
	_, port, err := net.SplitHostPort(addrs[0])
	if err != nil {
		return nil, errors.Join(err, proxy.close())
	}
	// Kubemark always keeps its volumes in /tmp.
	program, env, err := Container{
		Image: c.servers.Kubemark,
		Args: []string{"--morph=kubelet", "--name=" + node, "--kubeconfig=/tmp/kubeconfig",
			// The proxy reads and changes responses.
			"--kube-api-content-type=application/json",
			"--use-host-image-service=false", "--kubelet-port=" + port, "--kubelet-read-only-port=0"},
		Env:    append(environ("/tmp"), "GOMAXPROCS="+strconv.Itoa(2)),
		Mounts: []Mount{{Source: dir, Target: "/tmp"}},
	}.Process()
	if err != nil {
		return nil, errors.Join(err, proxy.close())
	}
	n.server, err = daemon.Start(c.dir, "kubemark-"+c.Name, program, env)
	if err != nil {
		return nil, errors.Join(err, proxy.close())
	}
	err = n.server.Until(ctx, func(ctx context.Context) error { return ready(ctx, c.API) })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, n.server.Tail(40)), n.stop())
	}
	return n, nil
}

// ready returns nil if the node reports that it is ready.
func ready(ctx context.Context, api *API) error {
	var n struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := api.Get(ctx, "/api/v1/nodes/"+node, &n); err != nil {
		return err
	}
	for _, c := range n.Status.Conditions {
		if c.Type == "Ready" {
			if c.Status == "True" {
				return nil
			}
			return fmt.Errorf("kubernetes: %s is not ready: %s", node, c.Message)
		}
	}
	return fmt.Errorf("kubernetes: %s has no condition Ready", node)
}

func (n *Node) stop() error {
	n.server.Stop()
	if err := n.proxy.close(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("kubernetes: %w", err)
	}
	return nil
}

// Volume returns the directory in which kubelet keeps a pod's volume.
func (n *Node) Volume(pod Pod, volume string) (string, error) {
	found, err := filepath.Glob(filepath.Join(n.dir, "hollow-kubelet.*", "pods", pod.Metadata.UID, "volumes", "*", volume))
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("kubernetes: kubelet has %d volumes %s of pod %s", len(found), volume, pod.Metadata.Name)
	}
	return found[0], nil
}
