package main

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

	"github.com/crossrole/crossrole/cmd/crossrole/internal/rolesetting"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/credentials/metrics"
)

// sidecar is serve running in a pod of awstest, on listeners in memory.
type sidecar struct {
	*fakePod
	t        *testing.T
	serving  serving
	endpoint *pipes
	admin    *pipes
	out      *record // what it printed
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

// newSidecar starts serve with these roles; called in a synctest bubble.
func newSidecar(t *testing.T, edit func(*sidecar), roles ...string) *sidecar {
	t.Helper()
	s := &sidecar{
		fakePod: newQuietPod(t.TempDir()), t: t,
		endpoint: newPipes(9911), admin: newPipes(9912), out: &record{}, log: &record{},
	}
	s.serving = serving{
		roles: roles, tokenDir: t.TempDir(), out: s.out,
		logger: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if edit != nil {
		edit(s)
	}
	s.start()
	return s
}

// start is the part of serving.run that depends on the environment, for the pod
// in memory; called in a synctest bubble.
func (s *sidecar) start() {
	s.t.Helper()
	renew, collector := prepare(s.t, &s.serving, s.fakePod)
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.serving.serve(ctx, renew, collector, s.endpoint, s.admin) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("serve ended with %v", err)
		}
		time.Sleep(time.Minute) // a refresh under way ends by itself
	})
	s.t.Cleanup(func() { s.stop() })
}

// prepare makes what serving.run makes from the environment.
func prepare(t *testing.T, s *serving, pod *fakePod) (*renewals, *metrics.Collector) {
	t.Helper()
	named, err := rolesetting.ParseAllNamed(s.roles)
	if err != nil {
		t.Fatal(err)
	}
	collector := metrics.New()
	source := credentials.WebIdentity{RoleARN: pod.pod.RoleARN(), TokenFile: pod.pod.TokenFile()}
	opener := func() (func(rolesetting.Named) (*credentials.Chain, error), error) {
		return s.opener(pod.cloud.Config(), source, collector)
	}
	open, err := opener()
	if err != nil {
		t.Fatal(err)
	}
	roles, err := s.open(named, open)
	if err != nil {
		t.Fatal(err)
	}
	return &renewals{roles: roles, named: named, opener: opener, watch: collector.Watch, logger: s.logger, last: map[string]time.Time{}}, collector
}

// tokenOf is the content of a role's token file.
func (s *sidecar) tokenOf(name string) string {
	s.t.Helper()
	token, err := os.ReadFile(filepath.Join(s.serving.tokenDir, name))
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

// keepsSilent looks for secrets in what serve wrote.
func (s *sidecar) keepsSilent(secrets ...string) {
	s.t.Helper()
	token, err := os.ReadFile(s.pod.TokenFile())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, secret := range append(secrets, string(token)) {
		if strings.Contains(s.log.String(), secret) || strings.Contains(s.out.String(), secret) {
			s.t.Error("a secret is in the log or the output")
		}
	}
}
