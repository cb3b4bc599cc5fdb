package kubernetes

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/crossrole/crossrole/e2e/daemon"
)

// Etcd is the store of the API servers. Several can share it, each with its own prefix.
type Etcd struct {
	URL    string
	server *daemon.Daemon
}

// StartEtcd starts an etcd with its files in dir and waits until it is healthy.
func StartEtcd(ctx context.Context, s Servers, dir string) (*Etcd, error) {
	addrs, err := daemon.Loopback(2)
	if err != nil {
		return nil, err
	}
	client, peer := "http://"+addrs[0], "http://"+addrs[1]
	server, err := daemon.Start(dir, "etcd", s.Etcd, environ(dir),
		"--data-dir", filepath.Join(dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
		"--initial-cluster", "default="+peer)
	if err != nil {
		return nil, err
	}
	err = server.Until(ctx, func(ctx context.Context) error { return healthy(ctx, client+"/health") })
	if err != nil {
		server.Stop()
		return nil, fmt.Errorf("%w\n%s", err, server.Tail(30))
	}
	return &Etcd{client, server}, nil
}

// Stop kills the server.
func (e *Etcd) Stop() { e.server.Stop() }

// environ returns an environment without the user's settings (KUBECONFIG, ETCD_…).
func environ(dir string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir}
}

func healthy(ctx context.Context, url string) error {
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
		return fmt.Errorf("kubernetes: %s answers %s", url, resp.Status)
	}
	return nil
}
