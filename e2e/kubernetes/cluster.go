package kubernetes

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/crossrole/crossrole/e2e/daemon"
	"github.com/crossrole/crossrole/e2e/issuer"
)

// Cluster is an API server with nodes and an issuer that publishes its keys.
type Cluster struct {
	Name   string
	Issuer *issuer.Issuer
	API    *API  // as a member of system:masters
	Node   *Node // the only one of StartCluster; nil in a fleet
	Fleet  []*Node

	servers     Servers
	dir, addr   string
	etcd        *Etcd
	tokens      map[string]string // of the nodes, and of the scheduler
	server      *daemon.Daemon
	starts      int
	controllers []*daemon.Daemon
}

// StartCluster starts a cluster with its files in dir, and waits until its node is
// ready. Nothing injects tokens into its pods yet. The context limits the start. If
// StartCluster fails, it stops all servers; the error contains the ends of the logs.
func StartCluster(ctx context.Context, s Servers, etcd *Etcd, name, dir string, rotation Rotation) (*Cluster, error) {
	addrs, err := daemon.Loopback(1)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Name: name, servers: s, dir: dir, addr: addrs[0], etcd: etcd}
	return c.started(func() (err error) {
		const node = "node-1"
		if err := c.start(ctx, node); err != nil {
			return err
		}
		c.Node, err = launch(ctx, c, &Node{Name: node}, rotation)
		return err
	})
}

// started calls a function that starts the servers. If it fails, started stops all, and
// adds the ends of their logs to the error.
func (c *Cluster) started(start func() error) (*Cluster, error) {
	if err := start(); err != nil {
		logs := c.Logs()
		c.Stop()
		return nil, fmt.Errorf("cluster %s: %w\n%s", c.Name, err, logs)
	}
	return c, nil
}

// start starts the issuer and the API server, which will know the nodes of these names.
func (c *Cluster) start(ctx context.Context, nodes ...string) (err error) {
	if c.Issuer, err = issuer.Start(); err != nil {
		return err
	}
	c.API = &API{base: "https://" + c.addr, token: rand.Text()}
	c.tokens = map[string]string{scheduler: rand.Text(), controllerManager: rand.Text()}
	var users strings.Builder
	users.WriteString(c.API.token + ",admin,1,system:masters\n")
	for name, token := range c.tokens {
		users.WriteString(fmt.Sprintf("%s,system:%s,%s\n", token, name, name))
	}
	for _, name := range nodes {
		c.tokens[name] = rand.Text()
		users.WriteString(fmt.Sprintf("%s,system:node:%s,%s,system:nodes\n", c.tokens[name], name, name))
	}
	if err := os.WriteFile(filepath.Join(c.dir, "users.csv"), []byte(users.String()), 0o600); err != nil {
		return fmt.Errorf("kubernetes: %w", err)
	}
	return c.StartServer(ctx)
}

// StartServer starts the API server, which signs with the issuer's first key, and waits
// until it is ready.
func (c *Cluster) StartServer(ctx context.Context) error {
	keys, err := c.writeKeys()
	if err != nil {
		return err
	}
	c.starts++
	args := append(keys,
		"--etcd-servers="+c.etcd.URL, "--etcd-prefix=/"+c.Name,
		"--bind-address=127.0.0.1", "--secure-port="+c.addr[strings.LastIndexByte(c.addr, ':')+1:],
		"--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
		"--cert-dir="+c.dir, "--token-auth-file="+filepath.Join(c.dir, "users.csv"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--service-account-issuer="+c.Issuer.URL, "--api-audiences=https://kubernetes.default.svc",
		"--service-cluster-ip-range=10.96.0.0/24", "--anonymous-auth=false")
	c.server, err = daemon.Start(c.dir, fmt.Sprintf("kube-apiserver-%s-%d", c.Name, c.starts), c.servers.APIServer, environ(c.dir), args...)
	if err != nil {
		return err
	}
	return c.server.Until(ctx, func(ctx context.Context) error {
		if err := c.API.trust(filepath.Join(c.dir, "apiserver.crt")); err != nil {
			return err
		}
		return c.API.Ready(ctx)
	})
}

// trust returns a client that trusts the API server's self-signed certificate.
func (a *API) trust(file string) error {
	if a.client != nil {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return fmt.Errorf("kubernetes: %s holds no certificate", file)
	}
	a.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}, Timeout: 30 * time.Second}
	return nil
}

// writeKeys writes the issuer's keys to files and returns the API server's flags for
// them: the first key signs, all keys verify.
func (c *Cluster) writeKeys() ([]string, error) {
	var args []string
	for i, text := range c.Issuer.PrivateKeys() {
		file := filepath.Join(c.dir, fmt.Sprintf("signing-%d.pem", i))
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return nil, fmt.Errorf("kubernetes: %w", err)
		}
		if i == 0 {
			args = append(args, "--service-account-signing-key-file="+file)
		}
		args = append(args, "--service-account-key-file="+file)
	}
	return args, nil
}

// StopServer kills the API server. The node and the issuer keep running.
func (c *Cluster) StopServer() { c.server.Stop() }

// Stop kills all servers of the cluster.
func (c *Cluster) Stop() {
	for _, n := range c.nodes() {
		n.stop()
	}
	for _, d := range c.controllers {
		d.Stop()
	}
	if c.server != nil {
		c.server.Stop()
	}
	if c.Issuer != nil {
		c.Issuer.Close()
	}
}

// Logs returns the ends of the servers' logs, without lines of severity Info: kubelet
// writes hundreds of those per minute.
func (c *Cluster) Logs() string {
	var b strings.Builder
	add := func(server *daemon.Daemon) {
		var kept []string
		for line := range strings.Lines(server.Tail(300)) {
			if !information.MatchString(line) {
				kept = append(kept, line)
			}
		}
		b.WriteString(strings.Join(kept[:1], "") + strings.Join(kept[max(1, len(kept)-25):], ""))
	}
	if c.server != nil {
		add(c.server)
	}
	for _, d := range c.controllers {
		add(d)
	}
	for _, n := range c.nodes() {
		add(n.server)
	}
	return b.String()
}

// nodes returns the nodes that have started.
func (c *Cluster) nodes() []*Node {
	return slices.DeleteFunc(append([]*Node{c.Node}, c.Fleet...), func(n *Node) bool { return n == nil })
}

// information matches the beginning of a klog line of severity Info.
var information = regexp.MustCompile(`^I\d{4} `)

func (c *Cluster) url() *url.URL { return &url.URL{Scheme: "https", Host: c.addr} }
