// Package kubernetes runs a Kubernetes control plane and nodes for tests: etcd,
// kube-apiserver and kubemark's hollow kubelet, which is kubelet's own code. It mounts
// service-account tokens and replaces them as a real node does. A cluster of
// [StartCluster] has one node, which simulates containers. A cluster of [StartFleet] also
// has kube-controller-manager and kube-scheduler, and several nodes that run containers
// as processes.
//
// The servers cannot be reached from outside, and none outlives the test: see [Isolate].
package kubernetes

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Servers are the paths of the programs.
type Servers struct{ Etcd, APIServer, ControllerManager, Scheduler, Node string }

// In returns the paths of the programs in the directory to which go build has written
// them.
func In(dir string) Servers {
	return Servers{
		Etcd:              filepath.Join(dir, "server"),
		APIServer:         filepath.Join(dir, "kube-apiserver"),
		ControllerManager: filepath.Join(dir, "kube-controller-manager"),
		Scheduler:         filepath.Join(dir, "kube-scheduler"),
		Node:              filepath.Join(dir, "node"),
	}
}

// packages lists the packages to build.
var packages = []string{
	"go.etcd.io/etcd/server/v3",
	"k8s.io/kubernetes/cmd/kube-apiserver",
	"k8s.io/kubernetes/cmd/kube-controller-manager",
	"k8s.io/kubernetes/cmd/kube-scheduler",
	"./node",
}

// Build builds the servers in the versions pinned by the module in the given directory
// (tool, next to this file), and returns their directory. That takes six minutes on two
// cores, so Build keeps the result in the user's cache directory and builds again only
// when the versions, the node's program or Go change. It calls before if there is
// something to build.
func Build(ctx context.Context, module string, before func(dir string)) (string, error) {
	kept, err := cacheFor(module)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(kept); errors.Is(err, fs.ErrNotExist) {
		before(kept)
		if err := build(ctx, module, kept); err != nil {
			return "", err
		}
	} else if err != nil {
		return "", fmt.Errorf("kubernetes: %w", err)
	}
	return kept, nil
}

// cacheFor returns a directory whose name depends on everything that affects the
// programs.
func cacheFor(module string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("kubernetes: no place for the servers: %w", err)
	}
	digest := sha256.New()
	fmt.Fprintln(digest, runtime.Version(), runtime.GOARCH)
	for _, name := range []string{"go.mod", "go.sum", "node/main.go"} {
		text, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", fmt.Errorf("kubernetes: %w", err)
		}
		digest.Write(text)
	}
	return filepath.Join(cache, "crossrole-e2e", "kubernetes-"+hex.EncodeToString(digest.Sum(nil))[:16]), nil
}

// build writes to a temporary directory next to the final one and renames it, so that an
// interrupted build leaves nothing that looks complete.
func build(ctx context.Context, module, final string) error {
	version, err := output(ctx, module, "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return fmt.Errorf("kubernetes: %w", err)
	}
	dir, err := os.MkdirTemp(filepath.Dir(final), "building-")
	if err != nil {
		return fmt.Errorf("kubernetes: %w", err)
	}
	defer os.RemoveAll(dir)
	// The control plane reports its version in discovery, and fails without one.
	args := []string{"build", "-o", dir + "/", "-ldflags", "-s -w -X k8s.io/component-base/version.gitVersion=" + version}
	if _, err := output(ctx, module, append(args, packages...)...); err != nil {
		return err
	}
	// The temporary directory is accessible only to this user.
	if err := os.Chmod(dir, 0o755); err != nil {
		return fmt.Errorf("kubernetes: %w", err)
	}
	if err := os.Rename(dir, final); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("kubernetes: %w", err)
	}
	return nil
}

// Program builds one of our programs as a static binary, as in the container image.
func Program(ctx context.Context, module, dir, pkg string) (string, error) {
	out := filepath.Join(dir, filepath.Base(pkg))
	_, err := output(ctx, module, "build", "-o", out, pkg)
	return out, err
}

func output(ctx context.Context, module string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = module, append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kubernetes: go %s in %s: %w\n%s", args[0], module, err, &stderr)
	}
	return strings.TrimSpace(string(out)), nil
}
