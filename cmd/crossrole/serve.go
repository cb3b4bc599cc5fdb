package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/spf13/cobra"

	"github.com/crossrole/crossrole/cmd/crossrole/internal/credserver"
	"github.com/crossrole/crossrole/cmd/crossrole/internal/rolesetting"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/credentials/metrics"
)

// serveCmd is the command serve with its flags.
type serveCmd struct {
	pod       podFlags
	roles     []string
	tokenDir  string
	listen    string
	admin     string
	beyondPod bool

	logger *slog.Logger
	out    io.Writer
}

func newServe() *cobra.Command {
	var s serveCmd
	c := &cobra.Command{
		Use:   "serve --role NAME=ARN... --token-dir DIR",
		Short: "Serve the credentials of roles to the other containers of the pod",
		Long: `serve is a container credential endpoint. Every AWS SDK and the AWS CLI get their
credentials from it, if their container has these variables:

  AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:9911/v1/NAME
  AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=DIR/NAME

Each --role names a role that is assumed from the pod's own role; a NAME without
an ARN is the pod's own role (the direct route). Settings, such as optional, follow
after commas: see crossrole help roles.

In DIR each role has a file with an authorization token. It is created at the first
start and kept across restarts, with mode 0640 and the group of DIR. Anyone who can
read the file can use the role: mount DIR read-only in the containers, and give each
container the path of its own role. DIR must be a volume that is deleted with the
pod (emptyDir).

Sessions are renewed at least 20 minutes before they expire, so that clients that
renew 15 minutes early get a newer one; sessions of less than 30 minutes are renewed
after half of their life. A valid session is served even while STS is down.

With --admin ADDRESS, which may be the pod's address, serve also offers /healthz,
/readyz (every role that is not optional has a session), /metrics and /status
there, and no credentials.

After you revoke sessions (the console's "Revoke active sessions"), send SIGHUP or
POST /renew to the admin address to renew the sessions of every hop; POST
/renew?role=NAME renews those of one role. A session is replaced only by a new one,
and a role is renewed at most once per minute.

serve prints a line for each role, with its name, URL and token file, then a line
for the admin address; it logs to standard error. It stops on SIGTERM.`,
		Example: `  crossrole serve --role pics=arn:aws:iam::444455556666:role/S3_Pics --token-dir /var/run/crossrole --admin :9912`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s.out = c.OutOrStdout()
			s.logger = slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
			return s.run(c.Context())
		},
	}
	f := c.Flags()
	f.StringArrayVar(&s.roles, "role", nil, "`NAME=ARN[,setting]...` to serve; repeat it for further roles; see crossrole help roles")
	f.StringVar(&s.tokenDir, "token-dir", "", "`DIR` for the authorization tokens")
	f.StringVar(&s.listen, "listen", "127.0.0.1:9911", "`ADDRESS` that serves credentials; port 0: any free port")
	f.StringVar(&s.admin, "admin", "", "`ADDRESS` for probes and metrics; empty: none")
	f.BoolVar(&s.beyondPod, "beyond-pod", false, "serve programs outside of this pod, too: --listen may be an address that is not loopback, over which credentials travel unencrypted, and the pod may use the node's network, where every program on the node can request credentials")
	s.pod.addSource(c)
	require(c, "role", "token-dir")
	return c
}

func (s *serveCmd) run(ctx context.Context) error {
	named, err := rolesetting.ParseAllNamed(s.roles)
	if err != nil {
		return usageError{err}
	}
	if err := s.checkReach(ctx); err != nil {
		return err
	}
	source, err := s.pod.parseSource()
	if err != nil {
		return err
	}
	base, err := loadBase(ctx, source)
	if err != nil {
		return err
	}
	server, err := s.server(base, source, named)
	if err != nil {
		return err
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	server.Signals = hangups
	listener, err := listen(ctx, "--listen", s.listen)
	if err != nil {
		return err
	}
	if at, ok := listener.Addr().(*net.TCPAddr); !s.beyondPod && (!ok || !at.IP.IsLoopback()) { // the name resolves to something else now
		return errors.Join(s.checkLoopback(ctx, ""), listener.Close())
	}
	var admin net.Listener
	if s.admin != "" {
		if admin, err = listen(ctx, "--admin", s.admin); err != nil {
			return errors.Join(err, listener.Close())
		}
	}
	return s.serve(ctx, server, listener, admin)
}

// loadBase returns the configuration that a pool starts from, where crossrole.LoadConfig
// would make a single chain of it: without a search for credentials, except for
// credentials.FromBase.
func loadBase(ctx context.Context, source credentials.Source) (aws.Config, error) {
	load := []func(*config.LoadOptions) error{config.WithCredentialsProvider(aws.AnonymousCredentials{})}
	if _, ok := source.(credentials.FromBase); ok {
		load = nil
	}
	return config.LoadDefaultConfig(ctx, load...)
}

// serve prints where the roles are served, and serves them until ctx ends.
func (s *serveCmd) serve(ctx context.Context, server *credserver.Server, listener, admin net.Listener) error {
	for _, r := range server.Roles {
		fmt.Fprintf(s.out, "%s %s%s %s\n", r.Name(), urlOf(listener.Addr()), r.Path(), quote(filepath.Join(s.tokenDir, r.Name())))
	}
	if admin != nil {
		fmt.Fprintf(s.out, "admin %s\n", urlOf(admin.Addr()))
	}
	err := server.Run(ctx, listener, admin)
	s.logger.Info("ended")
	return err
}

// listen opens an address that a flag names.
func listen(ctx context.Context, flag, address string) (net.Listener, error) {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", flag, address, err)
	}
	return l, nil
}

// urlOf returns a URL at which this host reaches a listener.
func urlOf(address net.Addr) string {
	at, err := netip.ParseAddrPort(address.String())
	if err != nil {
		return "http://" + address.String()
	}
	ip := at.Addr().Unmap()
	switch {
	case ip == netip.IPv4Unspecified():
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case ip == netip.IPv6Unspecified(): // on most systems IPv4 comes there too
		ip = netip.IPv6Loopback()
	}
	u := url.URL{Scheme: "http", Host: netip.AddrPortFrom(ip, at.Port()).String()}
	return u.String()
}

// checkReach refuses two listeners at one address and, without --beyond-pod, addresses
// that other programs than the pod's own can reach. A host name is resolved here, once,
// and must be loopback.
func (s *serveCmd) checkReach(ctx context.Context) error {
	host, port, err := splitListen("--listen", s.listen, "127.0.0.1:9911")
	if err != nil {
		return err
	}
	if s.admin != "" {
		adminHost, adminPort, err := splitListen("--admin", s.admin, ":9912")
		if err != nil {
			return err
		}
		wide := func(h string) bool { ip := net.ParseIP(h); return h == "" || ip != nil && ip.IsUnspecified() }
		if port == adminPort && port != 0 && (strings.EqualFold(host, adminHost) || wide(host) || wide(adminHost)) {
			return usagef("--admin %q is the port of --listen %q; choose another", s.admin, s.listen)
		}
	}
	if s.beyondPod {
		return nil
	}
	if err := s.checkLoopback(ctx, host); err != nil {
		return err
	}
	// The manifest fills these from status.podIP and status.hostIP.
	pod, node := os.Getenv("CROSSROLE_POD_IP"), os.Getenv("CROSSROLE_HOST_IP")
	if pod != "" && pod == node {
		return usagef("the pod has the node's network (its address %s is the node's): every program on the node could request credentials; unset hostNetwork, or add --beyond-pod if that is intended", pod)
	}
	return nil
}

func (s *serveCmd) checkLoopback(ctx context.Context, host string) error {
	refused := usagef("--listen %q is not a loopback address: anyone who can reach it could request credentials, or read them in transit; use 127.0.0.1, or add --beyond-pod if that is intended", s.listen)
	if host == "" {
		return refused
	}
	if net.ParseIP(host) != nil {
		if !net.ParseIP(host).IsLoopback() {
			return refused
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return usagef("--listen %q: %w", s.listen, err)
	}
	for _, a := range addresses {
		if !a.Unmap().IsLoopback() {
			return refused
		}
	}
	return nil
}

// splitListen parses an address to listen on.
func splitListen(flag, address, example string) (host string, port int, err error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, usagef("%s %q; want an address like %s: %w", flag, address, example, err)
	}
	port, err = strconv.Atoi(service)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, usagef("%s %q; want an address like %s, with a port up to 65535", flag, address, example)
	}
	return host, port, nil
}

// server makes the chains of the roles, then their tokens, so that wrong settings leave
// no files behind.
func (s *serveCmd) server(base aws.Config, source credentials.Source, named []rolesetting.Named) (*credserver.Server, error) {
	server := &credserver.Server{BeyondPod: s.beyondPod, Logger: s.logger, RefusalLog: s.logger, Metrics: metrics.New()}
	server.Host, _, _ = net.SplitHostPort(s.listen)
	server.Open = func() (credserver.OpenChain, error) { return s.opener(base, source, named, server.Metrics) }
	open, err := server.Open()
	if err != nil {
		return nil, err
	}
	chains := make([]*credentials.Chain, len(named))
	for i, n := range named {
		if chains[i], err = open(n.Name); err != nil {
			return nil, fmt.Errorf("role %s: %w", n.Name, err)
		}
	}
	dir, err := credserver.OpenTokenDir(s.tokenDir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	for i, n := range named {
		token, err := dir.Token(n.Name)
		if err != nil {
			return nil, err
		}
		server.Roles = append(server.Roles, credserver.NewRole(n.Name, token, chains[i], n.Optional))
	}
	return server, nil
}

// opener returns what makes the chains of the roles. All roles that are assumed start
// from one session of the pod's own role.
func (s *serveCmd) opener(base aws.Config, source credentials.Source, named []rolesetting.Named, collector *metrics.Collector) (credserver.OpenChain, error) {
	options := func(o *credentials.Options) {
		o.Source, o.FallbackRegions, o.Logger = source, s.pod.fallbacks, s.logger
		collector.Observe(o)
	}
	pool, err := credentials.NewPool(base, func(o *credentials.PoolOptions) { options(&o.Options) })
	if err != nil {
		return nil, err
	}
	return func(name string) (*credentials.Chain, error) {
		n := named[slices.IndexFunc(named, func(n rolesetting.Named) bool { return n.Name == name })]
		if n.Own {
			own, err := rolesetting.Source(source, n.Role)
			if err != nil {
				return nil, usageError{err}
			}
			return credentials.New(base, options, func(o *credentials.Options) { o.Source = own })
		}
		return pool.Chain(n.Role)
	}, nil
}
