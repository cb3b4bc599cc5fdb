package awstest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/crossrole/crossrole/trust"
)

// Pod is a running pod with its mounted token. Create one with [Cluster.Pod].
type Pod struct {
	dir                             string
	name, namespace, serviceAccount string
	roleARN                         string

	mu      sync.Mutex
	cluster *Cluster
}

// Pod creates a pod of a service account that is annotated with roleARN. It writes a
// projected token volume below dir, with kubelet's layout (token → ..data/token,
// ..data → ..<timestamp>), with a token like those of [Cluster.Token]; [Pod.Rotate]
// replaces it. Pod panics if it cannot write to dir, or if dir contains a token
// already: each pod needs its own directory.
func (c *Cluster) Pod(dir, namespace, serviceAccount, roleARN string) *Pod {
	suffix := make([]byte, 3)
	rand.Read(suffix)
	p := &Pod{
		dir: dir, namespace: namespace, serviceAccount: serviceAccount, roleARN: roleARN,
		name: fmt.Sprintf("%s-%x", serviceAccount, suffix), cluster: c,
	}
	if _, err := os.Lstat(p.TokenFile()); err == nil {
		panic(fmt.Sprintf("awstest: Pod: %s exists already; give every pod a directory of its own, such as t.TempDir()", p.TokenFile()))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		panic(fmt.Sprintf("awstest: Pod: %v", err))
	}
	p.Rotate()
	return p
}

// Env returns the variables that the webhook injects, as KEY=value: AWS_ROLE_ARN,
// AWS_WEB_IDENTITY_TOKEN_FILE, AWS_REGION, AWS_DEFAULT_REGION and
// AWS_STS_REGIONAL_ENDPOINTS.
func (p *Pod) Env() []string {
	p.mu.Lock()
	region := p.cluster.cloud.partition.region
	p.mu.Unlock()
	return []string{
		"AWS_STS_REGIONAL_ENDPOINTS=regional",
		"AWS_DEFAULT_REGION=" + region,
		"AWS_REGION=" + region,
		"AWS_ROLE_ARN=" + p.roleARN,
		"AWS_WEB_IDENTITY_TOKEN_FILE=" + p.TokenFile(),
	}
}

// RoleARN returns the role in the service account's annotation.
func (p *Pod) RoleARN() string { return p.roleARN }

// TokenFile returns the path of the mounted token.
func (p *Pod) TokenFile() string { return filepath.Join(p.dir, "token") }

// Rotate writes a new token by replacing the ..data symlink, as kubelet does. The
// edits change the token's claims before it is signed.
func (p *Pod) Rotate(edits ...func(*trust.Token)) {
	bound := func(t *trust.Token) { t.Pod = p.name }
	edits = append([]func(*trust.Token){bound}, edits...)
	for !p.rotate(edits) {
	}
}

// rotate returns false if the pod has moved to another cluster in the meantime. It
// calls the edits without holding a lock, so that they may use the pod.
func (p *Pod) rotate(edits []func(*trust.Token)) bool {
	p.mu.Lock()
	cluster := p.cluster
	p.mu.Unlock()
	token := cluster.Token(p.namespace, p.serviceAccount, edits...)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cluster != cluster {
		return false
	}
	p.mount([]byte(token))
	return true
}

// Mount writes these bytes as the token, in the same way as Rotate. Use it to test with
// an empty, foreign or damaged token.
func (p *Pod) Mount(token []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mount(token)
}

// Move moves the pod to another cluster, from which it gets its tokens from now on, as
// after a restart on the green cluster.
func (p *Pod) Move(to *Cluster) {
	p.mu.Lock()
	p.cluster = to
	p.mu.Unlock()
	p.Rotate()
}

// mount replaces the volume's content as kubelet's atomic writer does: a reader sees
// either the old token or the new one, never part of one.
func (p *Pod) mount(token []byte) {
	if err := p.swap(token); err != nil {
		panic(fmt.Sprintf("awstest: Pod: cannot mount a token in %s: %v; use a writable directory", p.dir, err))
	}
}

func (p *Pod) swap(token []byte) error {
	data := filepath.Join(p.dir, "..data")
	old, err := os.Readlink(data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	stamped, err := os.MkdirTemp(p.dir, time.Now().UTC().Format("..2006_01_02_15_04_05."))
	if err != nil {
		return err
	}
	if err := os.Chmod(stamped, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(stamped, "token"), token, 0o640); err != nil {
		return err
	}
	next := filepath.Join(p.dir, "..data_tmp")
	if err := os.Symlink(filepath.Base(stamped), next); err != nil {
		return err
	}
	if err := os.Rename(next, data); err != nil {
		return err
	}
	if err := os.Symlink(filepath.Join("..data", "token"), p.TokenFile()); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if strings.HasPrefix(old, "..2") {
		return os.RemoveAll(filepath.Join(p.dir, old))
	}
	return nil
}
