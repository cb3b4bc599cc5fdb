// Package versity starts versitygw, an S3 gateway with its own IAM and STS, whose
// responses are much like AWS's. It runs unmodified: its STS refuses to fetch keys from
// loopback or private addresses, so it covers the case of an unreachable issuer.
package versity

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/crossrole/crossrole/e2e/daemon"
)

// The region that requests to the gateway are signed for, and the owner of everything.
const (
	Region  = "us-east-1"
	Account = "000000000000" // the only one
)

// Gateway is a running gateway.
type Gateway struct {
	S3  aws.Config // signs as the owner of everything; the endpoint is the object store
	IAM aws.Config // the same for IAM and STS, which listen elsewhere

	daemons []*daemon.Daemon // in order of start
}

// Program builds versitygw in the version pinned by the module in the given directory
// (tool, next to this file) and returns where go keeps the binary. The first build on a
// machine takes minutes.
func Program(ctx context.Context, module string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", "-n", "versitygw")
	cmd.Dir, cmd.Env = module, append(os.Environ(), "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("versity: build versitygw: %w\n%s", err, &stderr)
	}
	return strings.TrimSpace(string(out)), nil
}

// Start runs the program with all its files in dir and waits until it responds. The
// context limits the start, not the lifetime of the gateway. If Start fails, it stops
// all servers; the error contains the ends of the logs.
func Start(ctx context.Context, program, dir string) (*Gateway, error) {
	addrs, err := daemon.Loopback(2)
	if err != nil {
		return nil, err
	}
	owner := credentials.NewStaticCredentialsProvider(rand.Text(), rand.Text(), "")
	g := &Gateway{
		S3:  aws.Config{Region: Region, BaseEndpoint: aws.String("http://" + addrs[0]), Credentials: owner},
		IAM: aws.Config{Region: Region, BaseEndpoint: aws.String("http://" + addrs[1]), Credentials: owner},
	}
	if err := g.start(ctx, program, dir, addrs[0], addrs[1], owner.Value); err != nil {
		g.Stop()
		return nil, fmt.Errorf("%w\n%s", err, g.Logs())
	}
	return g, nil
}

func (g *Gateway) start(ctx context.Context, program, dir, s3Addr, iamAddr string, owner aws.Credentials) error {
	for _, d := range []string{"iam", "objects", "metadata"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return fmt.Errorf("versity: %w", err)
		}
	}
	// In the environment, because every user of the machine can read arguments.
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir,
		"ROOT_ACCESS_KEY_ID=" + owner.AccessKeyID, "ROOT_SECRET_ACCESS_KEY=" + owner.SecretAccessKey,
	}
	serve := func(name, addr string, args ...string) error {
		d, err := daemon.Start(dir, name, program, env, append([]string{"--port", addr, "--health", healthPath}, args...)...)
		if err != nil {
			return err
		}
		g.daemons = append(g.daemons, d)
		return d.Until(ctx, func(ctx context.Context) error { return healthy(ctx, "http://"+addr) })
	}
	// The object store queries the IAM server for keys and policies over a socket that
	// only the owner of this directory can access.
	private := filepath.Join(dir, "iam.sock")
	if err := serve("versitygw-iam", iamAddr, "iam", "--dir", filepath.Join(dir, "iam"), "--private-ports", private, "--private-socket-perm", "0600"); err != nil {
		return err
	}
	// Keep metadata in files, because not every temp directory supports extended
	// attributes.
	return serve("versitygw-s3", s3Addr, "--iam-standalone-endpoint", private,
		"posix", "--sidecar", filepath.Join(dir, "metadata"), filepath.Join(dir, "objects"))
}

// Stop kills the servers. It keeps their files.
func (g *Gateway) Stop() {
	for _, d := range slices.Backward(g.daemons) {
		d.Stop()
	}
}

// Logs returns the end of every server's log.
func (g *Gateway) Logs() string {
	var b strings.Builder
	for _, d := range g.daemons {
		b.WriteString(d.Tail(30))
	}
	return b.String()
}

const healthPath = "/healthz"

func healthy(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+healthPath, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("versity: health check answers %s", resp.Status)
	}
	return nil
}
