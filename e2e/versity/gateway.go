// Package versity starts versitygw, an S3 gateway with an IAM and STS of its
// own that answers much like AWS's. It is run as published: its STS refuses to
// fetch keys from loopback or private addresses, which makes it the case of an
// issuer that cannot be reached.
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

// What the gateway's requests are signed for, and whose everything is.
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

// Program builds versitygw by its pinned version in the module in the given
// directory (tool, beside this file) and returns where go keeps the binary.
// The first build on a machine takes minutes.
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

// Start runs the program with all of its files in dir and waits until it
// answers. The context bounds the start, not the gateway's life. After an error
// nothing runs any more; the error holds the ends of the logs.
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
	// By the environment, because anybody on the machine may read arguments.
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
	// The object store asks the IAM server about keys and policies over a socket
	// that only this directory's owner reaches.
	private := filepath.Join(dir, "iam.sock")
	if err := serve("versitygw-iam", iamAddr, "iam", "--dir", filepath.Join(dir, "iam"), "--private-ports", private, "--private-socket-perm", "0600"); err != nil {
		return err
	}
	// Metadata in files: not every temp directory has extended attributes.
	return serve("versitygw-s3", s3Addr, "--iam-standalone-endpoint", private,
		"posix", "--sidecar", filepath.Join(dir, "metadata"), filepath.Join(dir, "objects"))
}

// Stop kills the servers. Their files stay.
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
