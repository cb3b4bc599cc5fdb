package kubernetes_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"sigs.k8s.io/yaml"

	"github.com/crossrole/crossrole/e2e/ceph"
	"github.com/crossrole/crossrole/e2e/issuer"
	"github.com/crossrole/crossrole/e2e/kubernetes"
)

// fleetRole is the role S3_Pics of the manifests. It trusts the hub, and on the direct
// route the manifests' service account.
const fleetRole = "arn:aws:iam::" + sharedAccount + ":role/S3-Pics-fleet"

// home is the namespace of the manifests.
const home = "default"

// fleet is a cluster with Kubernetes' own controllers and scheduler, in which the
// manifests of examples/deploy run as they stand. It has a gateway of its own: that of the
// world is killed by another test.
type fleet struct {
	*kubernetes.Cluster
	shared *ceph.Account // at the fleet's gateway
	store  *gate         // what its pods use as S3
}

// TestKubernetesFleet applies the manifests of examples/deploy, without changes, to a
// namespace with a quota that enforces the Pod Security Standard "restricted". The
// controllers and the scheduler are those of Kubernetes. Outside of the manifests, the
// nodes' runtime replaces images by local programs, and the name S3_Pics by one that Ceph
// accepts.
func TestKubernetesFleet(t *testing.T) {
	w := theWorldFor(t)
	f := w.startFleet(t)
	f.restrict(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{{"Sidecar", f.rollingUpdate}, {"IndexedJob", f.indexedJob}, {"Pods", f.pods}} {
		t.Run(part.name, func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(f.describe())
				}
			})
			begin := time.Now()
			part.run(t)
			t.Logf("it took %v", time.Since(begin).Round(time.Second))
		})
	}
	f.admitted(t)
}

func (w *world) startFleet(t *testing.T) *fleet {
	t.Helper()
	ctx, cancel := within(t, 2*time.Minute)
	defer cancel()
	gateway, err := w.ceph.AddGateway(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Stop)
	at := func(a *ceph.Account) *ceph.Account {
		c := *a
		c.Config.BaseEndpoint = aws.String(gateway.URL)
		return &c
	}
	f := &fleet{shared: at(w.shared)}
	if f.store, err = startGate(gateway.URL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.store.close)
	dir := filepath.Join(w.dir, "fleet")
	if err := os.Mkdir(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	endpoints := []string{"AWS_ENDPOINT_URL_STS=" + gateway.URL, "AWS_ENDPOINT_URL_S3=" + f.store.url}
	image := func(name string, c *kubernetes.Container) error {
		switch name {
		case "crossrole:latest":
			c.Image = program("crossrole")
		case "fetch:latest":
			c.Image = program("fetch")
		case "public.ecr.aws/aws-cli/aws-cli:latest":
			c.Image, c.Args = program("app"), []string{"-sum", pictureSum(), url}
		default:
			return fmt.Errorf("no manifest has the image %s", name)
		}
		c.Env = append(c.Env, endpoints...)
		for _, texts := range [][]string{c.Args, c.Env} {
			for i := range texts {
				texts[i] = strings.ReplaceAll(texts[i], "role/S3_Pics", "role/S3-Pics-fleet")
			}
		}
		return nil
	}
	f.Cluster, err = kubernetes.StartFleet(ctx, w.servers, w.etcd, "fleet", dir, 1, 3, image,
		strings.TrimPrefix(gateway.URL, "http://"), strings.TrimPrefix(f.store.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	policy, err := os.ReadFile(manifest(injection))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.API.Apply(ctx, policy); err != nil {
		t.Fatal(err)
	}
	f.trust(t, at(w.dev), w.blue.Issuer)
	return f
}

// trust lets the service accounts of the manifests assume the roles of the manifests.
// hubIssuer is the issuer that the hub trusts already.
func (f *fleet) trust(t *testing.T, dev *ceph.Account, hubIssuer *issuer.Issuer) {
	t.Helper()
	allow := func(owner string, accounts ...string) string {
		subjects, err := json.Marshal(accounts)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"Effect":"Allow","Action":["sts:AssumeRoleWithWebIdentity"],"Principal":{"Federated":[%[1]q]},
			"Condition":{"StringEquals":{"%[2]s:aud":%[3]q,"%[2]s:sub":%[4]s}}}`, providerARN(owner, f.Issuer), f.Issuer.Host(), issuer.Audience, subjects)
	}
	const pods, app = "system:serviceaccount:" + home + ":" + account, "system:serviceaccount:" + home + ":app"
	before := trustsPods(devAccount, hub, hubIssuer)
	with := strings.TrimSuffix(before, "]}") + "," + allow(devAccount, pods, app) + "]}"
	viaHub := fmt.Sprintf(`{"Effect":"Allow","Principal":{"AWS":[%q]},"Action":["sts:AssumeRole"]}`, hubRole)
	mayRead := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::` + bucket + `","arn:aws:s3:::` + bucket + `/*"]}]}`
	err := errors.Join(
		register(t.Context(), dev, f.Issuer),
		register(t.Context(), f.shared, f.Issuer),
		setTrust(t.Context(), dev, hubRole, with),
		createRole(t.Context(), f.shared, fleetRole, `{"Version":"2012-10-17","Statement":[`+viaHub+","+allow(sharedAccount, pods)+`]}`, mayRead),
	)
	t.Cleanup(func() {
		ctx, cancel := afterwards(20 * time.Second)
		defer cancel()
		if err := setTrust(ctx, dev, hubRole, before); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// restrict makes the namespace of the manifests one with rules.
func (f *fleet) restrict(t *testing.T) {
	t.Helper()
	_, err := f.API.Apply(t.Context(), []byte(`apiVersion: v1
kind: Namespace
metadata:
  name: `+home+`
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/enforce-version: latest
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: quota, namespace: `+home+`}
spec:
  hard: {pods: "20", requests.cpu: "8", requests.memory: 2Gi, limits.memory: 4Gi, count/jobs.batch: "2", persistentvolumeclaims: "1", requests.storage: 100Gi}
`))
	if err != nil {
		t.Fatal(err)
	}
	// A namespace has no pods before its service accounts.
	f.until(t, "enforced quota", time.Minute, func(ctx context.Context) error {
		var quota struct {
			Status struct{ Hard map[string]string }
		}
		err := f.API.Get(ctx, "/api/v1/namespaces/"+home+"/resourcequotas/quota", &quota)
		if err == nil && len(quota.Status.Hard) == 0 {
			err = errors.New("the quota has no status")
		}
		return err
	})
	for name, pod := range map[string]string{
		"PodSecurity":  "{containers: [{name: c, image: x, resources: {requests: {cpu: 1m, memory: 1Mi}, limits: {memory: 1Mi}}}]}",
		"must specify": "{securityContext: {runAsNonRoot: true, runAsUser: 1, seccompProfile: {type: RuntimeDefault}}, containers: [{name: c, image: x, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}",
	} {
		f.until(t, "refusal: "+name, time.Minute, func(ctx context.Context) error {
			applied, err := f.API.Apply(ctx, []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: refused, namespace: "+home+"}\nspec: "+pod+"\n"))
			if err == nil {
				err = f.API.Delete(ctx, applied[0].Path)
			}
			if err != nil && strings.Contains(err.Error(), name) {
				return nil
			}
			return fmt.Errorf("the pod is not refused: %w", err)
		})
	}
}

// apply applies a manifest as it stands.
func (f *fleet) apply(t *testing.T, name string) {
	t.Helper()
	if _, err := f.API.Apply(t.Context(), deployed(t, name)); err != nil {
		t.Fatal(err)
	}
}

// until waits until a function returns no error. The failing test prints the last one.
func (f *fleet) until(t *testing.T, what string, patience time.Duration, reached func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := within(t, patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := reached(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("no %s within %v: %v", what, patience, err)
		case <-tick.C:
		}
	}
}

// fleetPod is a pod with what the controllers and kubelet wrote.
type fleetPod struct {
	Metadata struct {
		Name, UID         string
		DeletionTimestamp string
		Labels            map[string]string
		Annotations       map[string]string
	}
	Spec struct {
		NodeName   string
		Containers []struct {
			Env []struct{ Name, Value string }
		}
	}
	Status struct {
		Phase             string
		Conditions        []condition
		ContainerStatuses []struct{ RestartCount int }
	}
}

type condition struct{ Type, Status, Reason, Message string }

// is reports whether a condition of this type is true.
func is(conditions []condition, kind string) (condition, bool) {
	for _, c := range conditions {
		if c.Type == kind {
			return c, c.Status == "True"
		}
	}
	return condition{}, false
}

// list returns the pods with a label.
func (f *fleet) list(ctx context.Context, label string) ([]fleetPod, error) {
	var list struct{ Items []fleetPod }
	err := f.API.Get(ctx, "/api/v1/namespaces/"+home+"/pods?labelSelector="+label, &list)
	return list.Items, err
}

// process returns the running process of a pod's container.
func (f *fleet) process(uid, container string) (kubernetes.Process, error) {
	for _, p := range f.Processes() {
		if p.UID == uid && p.Container == container && !p.Exited {
			return p, nil
		}
	}
	return kubernetes.Process{}, fmt.Errorf("container %s of pod %s does not run", container, uid)
}

// describe returns what happened in the namespace: the warnings, and how each container
// ended.
func (f *fleet) describe() string {
	ctx, cancel := afterwards(10 * time.Second)
	defer cancel()
	var b strings.Builder
	warnings, err := f.warnings(ctx)
	fmt.Fprintln(&b, strings.Join(warnings, "\n"), err)
	if pods, err := f.list(ctx, ""); err == nil {
		for _, p := range pods {
			fmt.Fprintf(&b, "%s on %s: %+v\n", p.Metadata.Name, p.Spec.NodeName, p.Status)
		}
	}
	for _, p := range f.Processes() {
		text, _ := os.ReadFile(p.Log) // it is only a description
		fmt.Fprintf(&b, "%s %s on %s: exited %v, status %d\n%s\n", p.Pod, p.Container, p.Node, p.Exited, p.Exit, text[max(0, len(text)-600):])
	}
	return b.String()
}

// warnings returns the controllers' events of type Warning.
func (f *fleet) warnings(ctx context.Context) (found []string, err error) {
	var list struct {
		Items []struct {
			Type, Reason, Message string
			InvolvedObject        struct{ Kind, Name string }
		}
	}
	err = f.API.Get(ctx, "/api/v1/namespaces/"+home+"/events", &list)
	for _, e := range list.Items {
		if e.Type == "Warning" {
			found = append(found, fmt.Sprintf("%s %s: %s: %s", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message))
		}
	}
	return found, err
}

// pods runs the pods of the two routes. Both fetch the picture.
func (f *fleet) pods(t *testing.T) {
	for _, name := range []string{direct, hub} {
		account, pod, _ := strings.Cut(string(deployed(t, name+".yaml")), "\n---\n")
		if _, err := f.API.Apply(t.Context(), []byte(account)); err != nil {
			t.Fatal(err)
		}
		// The manifests have the same service account with different roles. The admission
		// policy notices a change with a delay.
		role := map[string]string{direct: "role/S3_Pics", hub: "role/crossrole-hub"}[name]
		f.until(t, "injection of "+role, time.Minute, func(ctx context.Context) error {
			return f.injects(ctx, pod, role)
		})
		if _, err := f.API.Apply(t.Context(), []byte(pod)); err != nil {
			t.Fatal(err)
		}
		f.until(t, "pod fetch-"+name+" that has succeeded", time.Minute, func(ctx context.Context) error {
			var p fleetPod
			if err := f.API.Get(ctx, "/api/v1/namespaces/"+home+"/pods/fetch-"+name, &p); err != nil || p.Status.Phase == "Succeeded" {
				return err
			}
			return fmt.Errorf("it is %+v", p.Status)
		})
	}
}

// injects returns nil if a pod that is created now gets the role.
func (f *fleet) injects(ctx context.Context, pod, role string) error {
	var made fleetPod
	var object map[string]any
	if err := yaml.Unmarshal([]byte(pod), &object); err != nil {
		return err
	}
	if err := f.API.Create(ctx, "/api/v1/namespaces/"+home+"/pods?dryRun=All", object, &made); err != nil {
		return err
	}
	for _, e := range made.Spec.Containers[0].Env {
		if e.Name == "AWS_ROLE_ARN" && strings.HasSuffix(e.Value, role) {
			return nil
		}
	}
	return fmt.Errorf("the pod has %+v", made.Spec.Containers[0].Env)
}

// admitted checks that no controller was refused a pod.
func (f *fleet) admitted(t *testing.T) {
	t.Helper()
	warnings, err := f.warnings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		if strings.Contains(w, "FailedCreate") {
			t.Error(w)
		} else {
			t.Log(w)
		}
	}
}
