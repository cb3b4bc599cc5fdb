package kubernetes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Pod is a pod of the API server, with the fields that a node needs.
type Pod struct {
	Object
	Spec struct {
		ServiceAccountName string `json:"serviceAccountName"`
		SecurityContext    struct {
			RunAsUser, RunAsGroup, FSGroup *int64
		} `json:"securityContext"`
		Containers     []ContainerSpec `json:"containers"`
		InitContainers []ContainerSpec `json:"initContainers"`
		Volumes        []struct {
			Name      string `json:"name"`
			Projected *struct {
				Sources []struct {
					ServiceAccountToken *struct {
						Audience, Path    string
						ExpirationSeconds int
					}
				}
			} `json:"projected"`
		} `json:"volumes"`
	} `json:"spec"`
}

// ContainerSpec is one container of a pod.
type ContainerSpec struct {
	Name         string   `json:"name"`
	Args         []string `json:"args"`
	Env          []struct{ Name, Value string }
	VolumeMounts []struct {
		Name, MountPath, SubPath string
		ReadOnly                 bool
	} `json:"volumeMounts"`
	SecurityContext struct {
		RunAsUser, RunAsGroup *int64
	} `json:"securityContext"`
}

// Getenv returns a variable of the container, or "" if it is not set.
func (c ContainerSpec) Getenv(name string) string {
	for _, e := range c.Env {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// CreatePod creates a pod on the cluster's node and waits until kubelet has set up its
// volumes, the token's among them. object is the decoded JSON or YAML of the pod.
func (c *Cluster) CreatePod(ctx context.Context, object map[string]any) (Pod, error) {
	var p Pod
	spec, ok := object["spec"].(map[string]any)
	if !ok {
		return p, fmt.Errorf("kubernetes: the pod has no spec")
	}
	spec["nodeName"] = c.Node.Name // there is no scheduler
	if err := c.furnish(ctx, object); err != nil {
		return p, err
	}
	pods := "/api/v1/namespaces/" + namespace(object) + "/pods"
	// The admission plugin watches service accounts and policies, so it notices new ones
	// with a delay.
	err := poll(ctx, func() error {
		p = Pod{}
		if err := c.API.Create(ctx, pods+"?dryRun=All", object, &p); err != nil {
			return err
		}
		if p.token() == "" {
			return fmt.Errorf("kubernetes: pod %s was admitted as it was: no token was injected", p.Metadata.Name)
		}
		return nil
	})
	if err != nil {
		return p, err
	}
	p = Pod{}
	if err := c.API.Create(ctx, pods, object, &p); err != nil {
		return p, err
	}
	p.Path = pods + "/" + p.Metadata.Name
	err = poll(ctx, func() error {
		dir, err := c.Node.Volume(p, "aws-iam-token")
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(dir, "token")); err != nil {
			return err
		}
		for _, v := range p.Spec.Volumes {
			if _, err := c.Node.Volume(p, v.Name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("%w\n%s", err, c.Logs())
	}
	return p, nil
}

func namespace(object map[string]any) string {
	if m, ok := object["metadata"].(map[string]any); ok {
		if ns, ok := m["namespace"].(string); ok {
			return ns
		}
	}
	return "default"
}

// furnish creates the ConfigMap with the API server's certificate, which pods mount.
// In a real cluster the controller manager does this for each namespace.
func (c *Cluster) furnish(ctx context.Context, object map[string]any) error {
	path := "/api/v1/namespaces/" + namespace(object) + "/configmaps"
	err := c.API.Get(ctx, path+"/kube-root-ca.crt", nil)
	if !Missing(err) {
		return err
	}
	text, err := os.ReadFile(filepath.Join(c.dir, "apiserver.crt"))
	if err != nil {
		return err
	}
	return c.API.Create(ctx, path, map[string]any{
		"metadata": map[string]any{"name": "kube-root-ca.crt"},
		"data":     map[string]any{"ca.crt": string(text)},
	}, nil)
}

// token returns the path of the injected token in its volume.
func (p Pod) token() string {
	for _, v := range p.Spec.Volumes {
		if v.Name == "aws-iam-token" && v.Projected != nil && len(v.Projected.Sources) == 1 && v.Projected.Sources[0].ServiceAccountToken != nil {
			return v.Projected.Sources[0].ServiceAccountToken.Path
		}
	}
	return ""
}

// Container returns the pod's first container, with the program in the given file and
// additional variables. root is an empty directory.
func (c *Cluster) Container(p Pod, program, root string, env ...string) (Container, error) {
	spec := p.Spec.Containers[0]
	user := func(of, or *int64) int {
		switch {
		case of != nil:
			return int(*of)
		case or != nil:
			return int(*or)
		}
		return 0
	}
	pod := p.Spec.SecurityContext
	made := Container{
		Image: program, Args: spec.Args, Root: root, Env: env,
		UID: user(spec.SecurityContext.RunAsUser, pod.RunAsUser),
		GID: user(spec.SecurityContext.RunAsGroup, pod.RunAsGroup),
	}
	if pod.FSGroup != nil {
		made.Groups = []int{int(*pod.FSGroup)}
	}
	for _, e := range spec.Env {
		// The given variables come first and take precedence.
		if !slices.ContainsFunc(env, func(s string) bool { return strings.HasPrefix(s, e.Name+"=") }) {
			made.Env = append(made.Env, e.Name+"="+e.Value)
		}
	}
	for _, m := range spec.VolumeMounts {
		dir, err := c.Node.Volume(p, m.Name)
		if err != nil {
			return made, err
		}
		made.Mounts = append(made.Mounts, Mount{filepath.Join(dir, m.SubPath), m.MountPath, m.ReadOnly})
	}
	return made, nil
}

// Token reads the token that kubelet has written, with the node's permissions.
func (c *Cluster) Token(p Pod) (string, error) {
	dir, err := c.Node.Volume(p, "aws-iam-token")
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(dir, p.token()))
	return string(text), err
}

// serviceAccountDir is where a pod finds what it needs to call the API server.
const serviceAccountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// CallsAPI gives the container what kubelet gives to a pod that calls the API server: the
// server's address and certificate, and a token of the pod's service account. dir is an
// empty directory for them.
func (c *Cluster) CallsAPI(ctx context.Context, container *Container, p Pod, dir string) error {
	var issued struct{ Status struct{ Token string } }
	account := "/api/v1/namespaces/" + p.Metadata.Namespace + "/serviceaccounts/" + p.Spec.ServiceAccountName
	if err := c.API.Create(ctx, account+"/token", map[string]any{"spec": map[string]any{"expirationSeconds": 3600}}, &issued); err != nil {
		return err
	}
	certificate, err := os.ReadFile(filepath.Join(c.dir, "apiserver.crt"))
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{"token": []byte(issued.Status.Token), "ca.crt": certificate} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	container.Mounts = append(container.Mounts, Mount{dir, serviceAccountDir, true})
	container.Env = append(container.Env, "KUBERNETES_SERVICE_HOST="+c.url().Hostname(), "KUBERNETES_SERVICE_PORT="+c.url().Port())
	return nil
}

// poll calls a function until it returns no error or the context is done.
func poll(ctx context.Context, f func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}
