package kubernetes_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/crossrole/crossrole/e2e/issuer"
	"github.com/crossrole/crossrole/e2e/kubernetes"
)

// tenantRole is the role of the tenant in the manifest of examples/controller.
const tenantRole = "arn:aws:iam::" + sharedAccount + ":role/tenant-a"

// examples/controller acts for service accounts with the rights that its manifest grants,
// as it stands: it reads as tenant-a/reader over a single session, may not request tokens
// for other service accounts (the error names the RBAC rule, and with that rule it works),
// and drops a service account that is deleted.
func TestKubernetesController(t *testing.T) {
	w := theWorldFor(t)
	manifest, err := os.ReadFile("../../examples/controller/deploy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	applied, err := w.blue.API.Apply(t.Context(), manifest)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.discard(t, applied) })
	trusts := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRoleWithWebIdentity"],
		"Principal":{"Federated":[%[1]q]},
		"Condition":{"StringEquals":{"%[2]s:aud":%[3]q,"%[2]s:sub":["system:serviceaccount:tenant-a:reader","system:serviceaccount:tenant-b:reader"]}}}]}`,
		providerARN(sharedAccount, w.blue.Issuer), w.blue.Issuer.Host(), issuer.Audience)
	mayRead := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::` + bucket + `/*"]}]}`
	if err := createRole(t.Context(), w.shared, tenantRole, trusts, mayRead); err != nil {
		t.Fatal(err)
	}
	// A service account in the same namespace that the Role does not name, and one in a
	// namespace without a Role.
	more := []string{tenantAccount("tenant-a", "other"), "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: tenant-b\n", tenantAccount("tenant-b", "reader")}
	if applied, err = w.blue.API.Apply(t.Context(), []byte(strings.Join(more, "---\n"))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.discard(t, applied) })
	c := w.startController(t, manifest)

	read := c.until(t, "tenant-a/reader", "read")
	if read.SHA256 != pictureSum() || read.UID == "" {
		t.Errorf("it read %+v", read)
	}
	for range 5 {
		c.until(t, "tenant-a/reader", "read")
	}
	if n := c.count("tenant-a/reader", renewed); n != 1 {
		t.Errorf("%d sessions for six reads, want one", n)
	}

	for _, account := range []string{"tenant-a/other", "tenant-b/reader"} {
		namespace, name, _ := strings.Cut(account, "/")
		refusal := c.until(t, account, "not read").Err
		t.Log(refusal)
		for _, want := range []string{
			"TokenUnreadable", `User "system:serviceaccount:crossrole-system:controller" cannot create resource "serviceaccounts/token"`,
			"Role in namespace " + namespace, "resourceNames: [" + name + "]",
		} {
			if !strings.Contains(refusal, want) {
				t.Errorf("%s: the error does not say %q", account, want)
			}
		}
	}
	// The rule that the error names is all that is missing.
	rule := regexp.MustCompile(`\{apiGroups: .*?\}`).FindString(c.until(t, "tenant-b/reader", "not read").Err)
	granted, err := w.blue.API.Apply(t.Context(), fmt.Appendf(nil, `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tokens, namespace: tenant-b}
rules: [%s]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tokens, namespace: tenant-b}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: tokens}
subjects: [{kind: ServiceAccount, name: controller, namespace: crossrole-system}]
`, rule))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.discard(t, granted) })
	c.until(t, "tenant-b/reader", "read")

	reader := "/api/v1/namespaces/tenant-a/serviceaccounts/reader"
	if err := w.blue.API.Delete(t.Context(), reader); err != nil {
		t.Fatal(err)
	}
	c.until(t, "tenant-a/reader", "dropped")
	reads := c.skip("tenant-a/reader", "read")
	c.until(t, "tenant-b/reader", "read")
	c.until(t, "tenant-b/reader", "read")
	if n := c.count("tenant-a/reader", "read"); n != reads {
		t.Errorf("%d reads for an account that is deleted", n-reads)
	}
	if _, err := w.blue.API.Apply(t.Context(), []byte(tenantAccount("tenant-a", "reader"))); err != nil {
		t.Fatal(err)
	}
	again := c.until(t, "tenant-a/reader", "read")
	if n := c.count("tenant-a/reader", renewed); n != 2 || again.UID == read.UID {
		t.Errorf("the account was created again: %d sessions, uid %q, before %q; want a new session for the new account", n, again.UID, read.UID)
	}
}

// tenantAccount returns a service account that the controller reads for.
func tenantAccount(namespace, name string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: ServiceAccount
metadata:
  name: %s
  namespace: %s
  annotations: {eks.amazonaws.com/role-arn: %q, crossrole.example/object: %q}
`, name, namespace, tenantRole, url)
}

// discard deletes objects in reverse order.
func (w *world) discard(t *testing.T, objects []kubernetes.Object) {
	ctx, cancel := afterwards(20 * time.Second)
	defer cancel()
	for i := range objects {
		if err := w.blue.API.Delete(ctx, objects[len(objects)-1-i].Path); err != nil && !kubernetes.Missing(err) {
			t.Error(err)
		}
	}
}

// controller is a running examples/controller.
type controller struct {
	done chan struct{}

	seen map[controllerKey]int // lines that until has seen

	mu    sync.Mutex
	lines []controllerLine
}

// controllerLine is a line of the controller's log.
type controllerLine struct {
	controllerKey
	UID, SHA256, Err string
}

type controllerKey struct{ ServiceAccount, Msg string }

// renewed is the message of a chain that has a new session.
const renewed = "crossrole: session renewed"

// startController runs the container of the manifest's Deployment, with a token of its
// service account, and stops it at the end of the test.
func (w *world) startController(t *testing.T, manifest []byte) *controller {
	t.Helper()
	_, text, ok := strings.Cut(string(manifest), "\nkind: Deployment\n")
	text, _, _ = strings.Cut(text, "\n---\n")
	var deployment struct {
		Metadata struct{ Namespace string }
		Spec     struct{ Template kubernetes.Pod }
	}
	if err := yaml.Unmarshal([]byte(text), &deployment); err != nil || !ok {
		t.Fatalf("the manifest has no Deployment: %v", err)
	}
	pod := deployment.Spec.Template
	pod.Metadata.Namespace = deployment.Metadata.Namespace
	made := container(t, w.blue, pod, "controller", w.endpoints())
	made.Args = append(made.Args, "-every=200ms") // the last one counts
	if err := w.blue.CallsAPI(t.Context(), &made, pod, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	cmd, err := made.Command()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &controller{done: make(chan struct{}), seen: map[controllerKey]int{}}
	var followErr, waitErr error
	go func() {
		defer close(c.done)
		followErr = c.follow(stdout)
		waitErr = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have exited
		select {
		case <-c.done:
		case <-time.After(20 * time.Second):
			t.Error("the controller does not stop on SIGTERM")
			_ = cmd.Process.Kill()
			<-c.done
		}
		if followErr != nil || waitErr != nil {
			t.Errorf("the controller: %v, %v", followErr, waitErr)
		}
		if t.Failed() {
			t.Logf("%+v\n%s", c.lines[max(0, len(c.lines)-40):], &stderr)
		}
	})
	return c
}

func (c *controller) follow(stdout io.Reader) error {
	decoder := json.NewDecoder(stdout)
	for {
		var said controllerLine
		if err := decoder.Decode(&said); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		c.mu.Lock()
		c.lines = append(c.lines, said)
		c.mu.Unlock()
	}
}

// skip makes until ignore the lines that there are, and returns their number.
func (c *controller) skip(account, msg string) int {
	n := c.count(account, msg)
	c.seen[controllerKey{account, msg}] = n
	return n
}

// count returns how many lines the service account has with this message.
func (c *controller) count(account, msg string) int {
	return len(c.all(controllerKey{account, msg}))
}

func (c *controller) all(key controllerKey) (found []controllerLine) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.lines {
		if l.controllerKey == key {
			found = append(found, l)
		}
	}
	return found
}

// until waits for a line with this message that earlier calls have not seen, and returns
// the last one. Only the test's goroutine may call it.
func (c *controller) until(t *testing.T, account, msg string) controllerLine {
	t.Helper()
	ctx, cancel := within(t, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	key := controllerKey{account, msg}
	for {
		if found := c.all(key); len(found) > c.seen[key] {
			c.seen[key] = len(found)
			return found[len(found)-1]
		}
		select {
		case <-c.done:
			t.Fatalf("the controller ended; want %q about %s", msg, account)
		case <-ctx.Done():
			t.Fatalf("no line %q about %s within a minute", msg, account)
		case <-tick.C:
		}
	}
}
