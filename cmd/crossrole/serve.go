package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/credentials/metrics"
)

// serving is what serve is asked for.
type serving struct {
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
	var s serving
	c := &cobra.Command{
		Use:   "serve --role NAME=ARN... --token-dir DIR",
		Short: "Hand the credentials of roles to the other containers of the pod",
		Long: `serve is a container credential endpoint: every AWS SDK and the AWS CLI ask one,
if these variables are set, in the containers that use it:

  AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:9911/v1/NAME
  AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=DIR/NAME

Each --role names a role that is assumed from the pod's own; a NAME without an
ARN returns the pod's own role (the direct route). Settings, of which optional is
one, follow after commas: see crossrole help roles.

In DIR each role has a file with an authorization token, made at the first start
and kept over restarts, with mode 0640 and the group of DIR. Who can read the
file can have the role: mount DIR read-only in the containers, and give each the
path of its own role. DIR must be a volume that ends with the pod (emptyDir).

Sessions are renewed while at least 20 minutes are left (half of their life, if
they last less than 30): clients that renew 15 minutes ahead never get a short
one. A valid session is handed out whatever STS does.

With --admin ADDRESS, which may be the pod's, it answers there /healthz, /readyz
(every role that is not optional has a session), /metrics and /status, and hands
nothing out.

It prints a line for each role, with its name, URL and token file, then one for
the admin address; its log goes to standard error. It ends on SIGTERM.`,
		Example: `  crossrole serve --role pics=arn:aws:iam::444455556666:role/S3_Pics --token-dir /var/run/crossrole --admin :9912`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s.out = c.OutOrStdout()
			s.logger = slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
			return s.run(c.Context())
		},
	}
	f := c.Flags()
	f.StringArrayVar(&s.roles, "role", nil, "`NAME=ARN[,setting]...` to serve; may be given several times; see crossrole help roles")
	f.StringVar(&s.tokenDir, "token-dir", "", "`DIR` for the authorization tokens")
	f.StringVar(&s.listen, "listen", "127.0.0.1:9911", "`ADDRESS` that hands credentials out; port 0: any")
	f.StringVar(&s.admin, "admin", "", "`ADDRESS` for probes and metrics; none if not given")
	f.BoolVar(&s.beyondPod, "beyond-pod", false, "let programs outside of this pod ask too: allows --listen an address that is not loopback, over which credentials travel unencrypted, and a pod on the node's network, where every program on the node can ask")
	s.pod.addSource(c)
	require(c, "role", "token-dir")
	return c
}

func (s *serving) run(ctx context.Context) error {
	named, err := parseNamedRoles(s.roles)
	if err != nil {
		return err
	}
	if err := s.checkReach(); err != nil {
		return err
	}
	collector := metrics.New()
	base, source, err := s.pod.start(ctx)
	if err != nil {
		return err
	}
	open, err := s.opener(base, source, collector)
	if err != nil {
		return err
	}
	roles, err := s.open(named, open)
	if err != nil {
		return err
	}
	listener, err := listen(ctx, "--listen", s.listen)
	if err != nil {
		return err
	}
	var admin net.Listener
	if s.admin != "" {
		if admin, err = listen(ctx, "--admin", s.admin); err != nil {
			return errors.Join(err, listener.Close())
		}
	}
	return s.serve(ctx, roles, collector, listener, admin)
}

// serve answers on the listeners, of which admin may be nil, until ctx ends.
func (s *serving) serve(ctx context.Context, roles []*served, collector *metrics.Collector, listener, admin net.Listener) error {
	counted := newRequests(roles)
	e := newEndpoint(roles, s.beyondPod)
	e.observe, e.refused = counted.observe, newRefusals(s.logger).tell
	sites := []site{{listener, e}}
	if admin != nil {
		sites = append(sites, site{admin, newAdmin(roles, collector, counted)})
	}
	for _, r := range roles {
		collector.Watch(r.chain)
		fmt.Fprintf(s.out, "%s http://%s%s %s\n", r.name, listener.Addr(), r.path(), filepath.Join(s.tokenDir, r.name))
	}
	if admin != nil {
		fmt.Fprintf(s.out, "admin http://%s\n", admin.Addr())
	}
	ctx, cancel := context.WithCancel(ctx)
	var keeping sync.WaitGroup
	for _, r := range roles {
		keeping.Go(func() { r.keep(ctx) })
	}
	err := serveSites(ctx, s.logger, sites...)
	cancel()
	keeping.Wait()
	s.logger.Info("ended")
	return err
}

// checkReach refuses, unless asked for, what lets others than the pod's own
// containers ask.
func (s *serving) checkReach() error {
	host, _, err := net.SplitHostPort(s.listen)
	if err != nil {
		return usagef("--listen %q; want an address like 127.0.0.1:9911: %w", s.listen, err)
	}
	if s.beyondPod {
		return nil
	}
	if ip := net.ParseIP(host); !ip.IsLoopback() {
		return usagef("--listen %q is not a loopback address: everybody who reaches it could ask for credentials, and read along; use 127.0.0.1, or say --beyond-pod if that is meant", s.listen)
	}
	// The manifest fills these from status.podIP and status.hostIP.
	pod, host := os.Getenv("CROSSROLE_POD_IP"), os.Getenv("CROSSROLE_HOST_IP")
	if pod != "" && pod == host {
		return usagef("the pod has the node's network (its address %s is the node's): every program on the node could ask; unset hostNetwork, or say --beyond-pod if that is meant", pod)
	}
	return nil
}

// opener makes the chains of roles. All that are assumed start from one session
// of the pod's own.
func (s *serving) opener(base aws.Config, source credentials.Source, collector *metrics.Collector) (func(namedRole) (*credentials.Chain, error), error) {
	options := func(o *credentials.Options) {
		o.Source, o.Logger = source, s.logger
		collector.Observe(o)
	}
	pool, err := credentials.NewPool(base, func(o *credentials.PoolOptions) { options(&o.Options) })
	if err != nil {
		return nil, err
	}
	return func(n namedRole) (*credentials.Chain, error) {
		if n.own {
			own, err := sourceOf(source, n.role)
			if err != nil {
				return nil, err
			}
			return credentials.New(base, options, func(o *credentials.Options) { o.Source = own })
		}
		return pool.Chain(n.role)
	}, nil
}

// open makes the chains, then the tokens: wrong settings leave no files.
func (s *serving) open(named []namedRole, open func(namedRole) (*credentials.Chain, error)) ([]*served, error) {
	chains := make([]*credentials.Chain, len(named))
	for i, n := range named {
		c, err := open(n)
		if err != nil {
			return nil, fmt.Errorf("role %s: %w", n.name, err)
		}
		chains[i] = c
	}
	dir, err := openTokenDir(s.tokenDir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	var roles []*served
	for i, n := range named {
		token, err := dir.token(n.name)
		if err != nil {
			return nil, err
		}
		roles = append(roles, newServed(n.name, token, chains[i], !n.optional))
	}
	return roles, nil
}
