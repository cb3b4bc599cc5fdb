package kubernetes_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/e2e/kubernetes"
)

// Server-side apply accepts every manifest of examples/deploy, and the manifest that
// crossrole setup prints, without changes.
func TestKubernetesAcceptsTheManifests(t *testing.T) {
	w := theWorldFor(t)
	files, err := filepath.Glob("../../examples/deploy/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	manifests := map[string][]byte{}
	for _, f := range files {
		switch name := filepath.Base(f); name {
		case "alerts.yaml": // for Prometheus
		case injection: // applied to every cluster
		default:
			manifests[name] = deployed(t, name)
		}
	}
	for _, route := range []string{direct, hub} {
		manifests["crossrole setup --route "+route] = setup(t, route)
	}
	if len(manifests) < 5 {
		t.Errorf("%d manifests; where are the others?", len(manifests))
	}
	for name, text := range manifests {
		t.Run(name, func(t *testing.T) {
			applied, err := w.blue.API.Apply(t.Context(), text)
			if err != nil {
				t.Fatal(err)
			}
			if len(applied) < 2 {
				t.Errorf("it holds %d objects", len(applied))
			}
			for _, o := range applied {
				t.Logf("%s %s/%s", o.Kind, o.Metadata.Namespace, o.Metadata.Name)
				if err := w.blue.API.Delete(t.Context(), o.Path); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// setup returns the objects for the cluster that crossrole setup writes.
func setup(t *testing.T, route string) []byte {
	t.Helper()
	dir := t.TempDir()
	args := []string{
		"setup", "--route", route, "--issuer", "https://oidc.eks.us-east-1.amazonaws.com/id/BLUE", "--shared-account", sharedAccount,
		"--bucket", bucket, "--service-account", "default/" + account, "--out", dir,
	}
	if route == hub {
		args = append(args, "--cluster-account", devAccount)
	}
	out, err := exec.CommandContext(t.Context(), program("crossrole"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("crossrole setup: %v\n%s", err, out)
	}
	objects, err := os.ReadFile(filepath.Join(dir, "kubernetes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// The pods of the manifests get the variables and volumes that EKS's webhook injects.
func TestKubernetesInjects(t *testing.T) {
	w := theWorldFor(t)
	for route, role := range map[string]string{direct: directRole, hub: hubRole} {
		p := start(t, w.blue, route, "injected", nil)
		c := p.Spec.Containers[0]
		for name, want := range map[string]string{
			"AWS_ROLE_ARN":                role,
			"AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/secrets/eks.amazonaws.com/serviceaccount/token",
			"AWS_REGION":                  "us-east-1",
			"AWS_DEFAULT_REGION":          "us-east-1",
			"AWS_STS_REGIONAL_ENDPOINTS":  "regional",
		} {
			if got := c.Getenv(name); got != want {
				t.Errorf("%s: %s is %q, want %q", route, name, got, want)
			}
		}
		dir, err := w.blue.Node.Volume(p, "aws-iam-token")
		if err != nil {
			t.Fatal(err)
		}
		if to, err := os.Readlink(filepath.Join(dir, "token")); err != nil || to != "..data/token" {
			t.Errorf("%s: the token is a link to %q, %v", route, to, err)
		}
		if info, err := os.Stat(filepath.Join(dir, "token")); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: the token has %v, %v; want mode 0640", route, info.Mode(), err)
		}
	}
}

// In the pod's container, examples/fetch works and doctor finds no fault.
func TestKubernetesFetches(t *testing.T) {
	w := theWorldFor(t)
	for _, route := range []string{direct, hub} {
		t.Run(route, func(t *testing.T) {
			p := start(t, w.blue, route, "fetch", nil)
			w.fetched(t, w.blue, p)

			doctor := container(t, w.blue, p, "crossrole", w.endpoints())
			doctor.Args = []string{"doctor", "--bucket", bucket, "--key", object}
			if route == hub {
				doctor.Args = append(doctor.Args, "--role", targetRole)
			}
			r := run(t, doctor)
			t.Log(r.stdout)
			if r.exit != 0 || !strings.Contains(r.stdout, "system:serviceaccount:"+route+":"+account) || strings.Contains(r.stdout, "problem") {
				t.Errorf("crossrole doctor: exit status %d\n%s%s", r.exit, r.stdout, r.stderr)
			}
		})
	}
}

// A program with a different user than in the manifest, and outside of the group of the
// volumes, cannot read the token. The error names the file's owner.
func TestKubernetesWrongUser(t *testing.T) {
	w := theWorldFor(t)
	p := start(t, w.blue, direct, "wrong-user", nil)
	asNobody := func(c kubernetes.Container) kubernetes.Container {
		c.UID, c.GID, c.Groups = 1000, 1000, nil
		return c
	}
	want := []string{"token file", "-rw-r-----", "owner 65532:65532", "runs as uid 1000", "fsGroup", "permission denied"}
	fetch := run(t, asNobody(container(t, w.blue, p, "fetch", w.endpoints())))
	doctor := asNobody(container(t, w.blue, p, "crossrole", w.endpoints()))
	doctor.Args = []string{"doctor", "--json"}
	said := run(t, doctor)
	for _, w := range want {
		if !strings.Contains(fetch.stderr, w) {
			t.Errorf("fetch does not say %q:\n%s", w, fetch.stderr)
		}
	}
	if fetch.exit != 1 || said.exit != 1 || !strings.Contains(said.stdout, "TokenUnreadable") {
		t.Errorf("fetch: exit status %d; doctor: exit status %d\n%s%s", fetch.exit, said.exit, said.stdout, said.stderr)
	}
}
