package credserver_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/cmd/crossrole/internal/credserver"
	"github.com/crossrole/crossrole/cmd/crossrole/internal/rolesetting"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/credentials/metrics"
	"github.com/crossrole/crossrole/trust"
)

const target = "arn:aws:iam::444455556666:role/S3_Pics"

// fakePod is a pod of awstest that a hub role is annotated in, and a role of another account
// that the hub may assume and that may read a bucket.
type fakePod struct {
	cloud       *awstest.Cloud
	hub, target *awstest.Role
	pod         *awstest.Pod
}

func newPod(dir string) *fakePod {
	p := &fakePod{cloud: awstest.New()}
	dev, shared := p.cloud.Account("111122223333"), p.cloud.Account("444455556666")
	cluster := p.cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	dev.AddOIDCProvider(cluster)
	trusts := trust.WebIdentityPolicy(dev.ID(), []string{cluster.Issuer()}, []string{awstest.Subject("default", "app")})
	p.hub = dev.CreateRole("hub", trusts.String(), trust.AssumePolicy([]string{target}).String())
	p.target = shared.CreateRole("S3_Pics", trust.RolePolicy(p.hub.ARN()).String(), trust.ReadBucketPolicy("pics", "").String())
	shared.CreateBucket("pics").Put("indoor-cat.jpg", []byte("meow"))
	p.pod = cluster.Pod(filepath.Join(dir, "volume"), "default", "app", p.hub.ARN())
	return p
}

func (p *fakePod) source() credentials.WebIdentity {
	return credentials.WebIdentity{RoleARN: p.pod.RoleARN(), TokenFile: p.pod.TokenFile()}
}

// open returns what makes the chains of the roles, as the command does.
func (p *fakePod) open(roles []rolesetting.Named, options func(*credentials.Options)) (credserver.OpenChain, error) {
	pool, err := credentials.NewPool(p.cloud.Config(), func(o *credentials.PoolOptions) { options(&o.Options) })
	if err != nil {
		return nil, err
	}
	return func(name string) (*credentials.Chain, error) {
		for _, r := range roles {
			switch {
			case r.Name != name:
			case r.Own:
				return credentials.New(p.cloud.Config(), options)
			default:
				return pool.Chain(r.Role)
			}
		}
		return nil, fmt.Errorf("no role %s", name)
	}, nil
}

// sidecar is a server running in a pod, on listeners in memory.
type sidecar struct {
	*fakePod
	t        *testing.T
	server   credserver.Server
	tokenDir string
	endpoint *pipes
	admin    *pipes
	log      *record
	stop     func() // and wait
}

// record is a writer for several goroutines.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

// newSidecar starts a server of these roles, written as for serve; called in a synctest
// bubble. edit changes the pod and the server before that.
func newSidecar(t *testing.T, edit func(*sidecar), roles ...string) *sidecar {
	t.Helper()
	s := &sidecar{
		fakePod: newPod(t.TempDir()), t: t, tokenDir: t.TempDir(),
		endpoint: newPipes(9911), admin: newPipes(9912), log: &record{},
	}
	if edit != nil {
		edit(s)
	}
	named, err := rolesetting.ParseAllNamed(roles)
	if err != nil {
		t.Fatal(err)
	}
	s.start(named)
	return s
}

// start starts the server with the tokens of the directory and new chains.
func (s *sidecar) start(roles []rolesetting.Named) {
	s.t.Helper()
	logger := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.server.Logger, s.server.RefusalLog, s.server.Metrics = logger, logger, metrics.New()
	s.server.Open = func() (credserver.OpenChain, error) {
		return s.open(roles, func(o *credentials.Options) {
			o.Source, o.Logger = s.source(), logger
			s.server.Metrics.Observe(o)
		})
	}
	open, err := s.server.Open()
	if err != nil {
		s.t.Fatal(err)
	}
	s.server.Roles = nil
	for _, r := range roles {
		chain, err := open(r.Name)
		if err != nil {
			s.t.Fatal(err)
		}
		token, err := tokenIn(s.t, s.tokenDir, r.Name)
		if err != nil {
			s.t.Fatal(err)
		}
		s.server.Roles = append(s.server.Roles, credserver.NewRole(r.Name, token, chain, r.Optional))
	}
	s.run()
}

// run runs the server until stop or the end of the test.
func (s *sidecar) run() {
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	server := s.server
	go func() { ended <- server.Run(ctx, s.endpoint, s.admin) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("the server ended with %v", err)
		}
		time.Sleep(time.Minute) // of the synctest bubble: a refresh in flight ends by itself
	})
	s.t.Cleanup(func() { s.stop() })
}

// tokenOf is the content of a role's token file.
func (s *sidecar) tokenOf(name string) string {
	s.t.Helper()
	token, err := os.ReadFile(filepath.Join(s.tokenDir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(token)
}

func (s *sidecar) url(name string) string {
	return fmt.Sprintf("http://%s/v1/%s", s.endpoint.Addr(), name)
}

// look reads a page of the admin address.
func (s *sidecar) look(path string) (int, string) {
	s.t.Helper()
	resp, err := s.admin.client(s.t).Get("http://" + s.admin.Addr().String() + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// ask is one request with a token.
func (s *sidecar) ask(name, token string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url(name), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", token)
	resp, err := s.endpoint.client(s.t).Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(body)
}

// sessions counts the calls of an operation of STS that gave one.
func (p *fakePod) sessions(operation string) int {
	n := 0
	for _, c := range p.cloud.Calls() {
		if c.Operation == operation && c.Status == http.StatusOK {
			n++
		}
	}
	return n
}

// keepsSilent looks for secrets in the log.
func (s *sidecar) keepsSilent(secrets ...string) {
	s.t.Helper()
	token, err := os.ReadFile(s.pod.TokenFile())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, secret := range append(secrets, string(token)) {
		if strings.Contains(s.log.String(), secret) {
			s.t.Error("a secret is in the log")
		}
	}
}
