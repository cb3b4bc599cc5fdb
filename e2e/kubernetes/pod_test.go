package kubernetes_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/crossrole/crossrole/e2e/kubernetes"
)

// manifest returns the path of a manifest of the repository.
func manifest(name string) string { return filepath.Join("..", "..", "examples", "deploy", name) }

// deployed returns a manifest of the repository.
func deployed(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(manifest(name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// adapted returns the manifest of a route with a separate namespace, and with names of
// roles that Ceph accepts. It changes nothing else.
func adapted(t *testing.T, route string) []byte {
	t.Helper()
	text := string(deployed(t, route+".yaml"))
	text = strings.ReplaceAll(text, "namespace: default", "namespace: "+route)
	name := map[string]string{direct: "S3-Pics-direct", hub: "S3-Pics"}[route]
	if !strings.Contains(text, "S3_Pics") {
		t.Fatalf("the manifest of route %s names no role S3_Pics any more", route)
	}
	return []byte(strings.ReplaceAll(text, "S3_Pics", name))
}

// start applies the route's service account on the cluster, creates the manifest's pod
// and waits until kubelet has mounted its token. change may be nil.
func start(t *testing.T, c *kubernetes.Cluster, route, name string, change func(pod map[string]any)) kubernetes.Pod {
	t.Helper()
	applyNamespace(t, c, route)
	parts := regexp.MustCompile(`(?m)^---$`).Split(string(adapted(t, route)), -1)
	if len(parts) != 2 {
		t.Fatalf("%s.yaml holds %d documents, want a service account and a pod", route, len(parts))
	}
	if _, err := c.API.Apply(t.Context(), []byte(parts[0])); err != nil {
		t.Fatal(err)
	}
	var pod map[string]any
	if err := yaml.Unmarshal([]byte(parts[1]), &pod); err != nil {
		t.Fatal(err)
	}
	pod["metadata"].(map[string]any)["name"] = name
	if change != nil {
		change(pod)
	}
	ctx, cancel := within(t, time.Minute)
	defer cancel()
	p, err := c.CreatePod(ctx, pod)
	if err != nil {
		t.Fatalf("pod %s on %s: %v", name, c.Name, err)
	}
	t.Cleanup(func() {
		ctx, cancel := afterwards(10 * time.Second)
		defer cancel()
		if err := c.API.Delete(ctx, p.Path); err != nil && !kubernetes.Missing(err) {
			t.Logf("delete pod %s: %v", name, err) // a drill may have ended early
		}
	})
	return p
}

func applyNamespace(t *testing.T, c *kubernetes.Cluster, name string) {
	t.Helper()
	text := "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: " + name + "\n"
	if _, err := c.API.Apply(t.Context(), []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// endpoints returns the variables that direct a pod's program to the gateway.
func (w *world) endpoints() []string {
	return []string{"AWS_ENDPOINT_URL_STS=" + w.sts.URL, "AWS_ENDPOINT_URL_S3=" + w.ceph.URL}
}

// container returns the pod's container with one of our programs.
func container(t *testing.T, c *kubernetes.Cluster, p kubernetes.Pod, name string, env []string) kubernetes.Container {
	t.Helper()
	made, err := c.Container(p, program(name), t.TempDir(), env...)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// ran is the result of a program.
type ran struct {
	exit           int
	stdout, stderr string
}

// run runs a container and waits for it.
func run(t *testing.T, c kubernetes.Container) ran {
	t.Helper()
	cmd, err := c.Command()
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(90*time.Second, func() { _ = cmd.Process.Kill() }) // it may have exited
	err = cmd.Wait()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	if !timer.Stop() {
		t.Fatalf("%s %q did not end in time\n%s", c.Image, c.Args, &stderr)
	}
	return ran{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// fetch runs examples/fetch as the pod's container, and returns the file that it wrote
// to the pod's volume, or nil if there is none.
func (w *world) fetch(t *testing.T, c *kubernetes.Cluster, p kubernetes.Pod, env ...string) (ran, []byte) {
	t.Helper()
	r := run(t, container(t, c, p, "fetch", append(env, w.endpoints()...)))
	dir, err := c.Node.Volume(p, "data")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, object)
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = os.Remove(file) // the next one must write it again
	}
	if err != nil {
		t.Fatal(err)
	}
	return r, data
}

// fetched checks that fetch works.
func (w *world) fetched(t *testing.T, c *kubernetes.Cluster, p kubernetes.Pod, env ...string) {
	t.Helper()
	if r, data := w.fetch(t, c, p, env...); r.exit != 0 || !bytes.Equal(data, picture()) {
		t.Fatalf("fetch as %s on %s: exit status %d, %d bytes\n%s", p.Metadata.Name, c.Name, r.exit, len(data), r.stderr)
	}
}
