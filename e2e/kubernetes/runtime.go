package kubernetes

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Image turns a container of a manifest into one that runs here: it sets the file of the
// program, and may change arguments and variables. The arguments are the manifest's
// command and args.
type Image func(name string, c *Container) error

// Process is a container that a node has started.
type Process struct {
	Node, Namespace, Pod, UID, Container string

	PID    int
	Log    string // file with what it wrote
	Exited bool
	Exit   int // exit status; 128 and the signal's number if a signal ended it
}

// containerRuntime runs the containers of one node as processes. Kubelet calls it over the
// Container Runtime Interface. Each pod has a network namespace.
type containerRuntime struct {
	cri.UnimplementedRuntimeServiceServer
	cri.UnimplementedImageServiceServer

	node   string
	dir    string // for roots and logs
	image  Image
	subnet net.IP   // of the pods' addresses; the last byte is free
	reach  []string // addresses that pods reach

	server *grpc.Server

	mu         sync.Mutex
	lastIP     byte
	sandboxes  map[string]*sandbox
	containers map[string]*container
	processes  []*container // also those that kubelet has removed
}

type sandbox struct {
	config  *cri.PodSandboxConfig
	created time.Time
	stopped bool
	ip      string
	network *podNetwork
}

type container struct {
	id, sandbox, image, log    string
	config                     *cri.ContainerConfig
	pod                        *cri.PodSandboxMetadata
	created, started, finished time.Time
	cmd                        *exec.Cmd
	done                       chan struct{} // closed when it has exited
	exit                       int
}

// startRuntime serves on a Unix socket in dir.
func startRuntime(node, dir string, image Image, subnet net.IP, reach []string) (*containerRuntime, string, error) {
	r := &containerRuntime{
		node: node, dir: dir, image: image, subnet: subnet, reach: reach,
		sandboxes: map[string]*sandbox{}, containers: map[string]*container{},
	}
	socket := filepath.Join(dir, "runtime.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, "", fmt.Errorf("kubernetes: container runtime: %w", err)
	}
	r.server = grpc.NewServer()
	cri.RegisterRuntimeServiceServer(r.server, r)
	cri.RegisterImageServiceServer(r.server, r)
	go r.server.Serve(l) // ends at stop
	return r, socket, nil
}

// stop kills all containers.
func (r *containerRuntime) stop() {
	r.server.Stop()
	r.mu.Lock()
	all, boxes := slices.Collect(maps.Values(r.containers)), slices.Collect(maps.Values(r.sandboxes))
	r.mu.Unlock()
	for _, c := range all {
		r.end(c, 0)
	}
	for _, s := range boxes {
		s.network.close()
	}
}

// list returns the containers that were started, in that order.
func (r *containerRuntime) list() (all []Process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.processes {
		all = append(all, Process{
			Node: r.node, Namespace: c.pod.Namespace, Pod: c.pod.Name, UID: c.pod.Uid, Container: c.config.Metadata.Name,
			PID: c.cmd.Process.Pid, Log: c.log, Exited: !c.finished.IsZero(), Exit: c.exit,
		})
	}
	return all
}

func (r *containerRuntime) RunPodSandbox(_ context.Context, req *cri.RunPodSandboxRequest) (*cri.RunPodSandboxResponse, error) {
	network, err := newPodNetwork(r.reach)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastIP++
	ip := slices.Clone(r.subnet.To4())
	ip[3] = r.lastIP
	id := rand.Text()
	r.sandboxes[id] = &sandbox{config: req.Config, created: time.Now(), ip: ip.String(), network: network}
	return &cri.RunPodSandboxResponse{PodSandboxId: id}, nil
}

func (r *containerRuntime) StopPodSandbox(_ context.Context, req *cri.StopPodSandboxRequest) (*cri.StopPodSandboxResponse, error) {
	r.mu.Lock()
	s, own := r.sandboxes[req.PodSandboxId], r.inside(req.PodSandboxId)
	if s != nil {
		s.stopped = true
	}
	r.mu.Unlock()
	for _, c := range own {
		r.end(c, 0)
	}
	if s != nil {
		s.network.close()
	}
	return &cri.StopPodSandboxResponse{}, nil
}

func (r *containerRuntime) RemovePodSandbox(ctx context.Context, req *cri.RemovePodSandboxRequest) (*cri.RemovePodSandboxResponse, error) {
	if _, err := r.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: req.PodSandboxId}); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.inside(req.PodSandboxId) {
		delete(r.containers, c.id)
	}
	delete(r.sandboxes, req.PodSandboxId)
	return &cri.RemovePodSandboxResponse{}, nil
}

// inside returns the containers of a sandbox. The caller holds the lock.
func (r *containerRuntime) inside(id string) (own []*container) {
	for _, c := range r.containers {
		if c.sandbox == id {
			own = append(own, c)
		}
	}
	return own
}

func (s *sandbox) state() cri.PodSandboxState {
	if s.stopped {
		return cri.PodSandboxState_SANDBOX_NOTREADY
	}
	return cri.PodSandboxState_SANDBOX_READY
}

func (r *containerRuntime) PodSandboxStatus(_ context.Context, req *cri.PodSandboxStatusRequest) (*cri.PodSandboxStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sandboxes[req.PodSandboxId]
	if s == nil {
		return nil, missing("sandbox", req.PodSandboxId)
	}
	return &cri.PodSandboxStatusResponse{Status: &cri.PodSandboxStatus{
		Id: req.PodSandboxId, Metadata: s.config.Metadata, State: s.state(), CreatedAt: s.created.UnixNano(),
		Network: &cri.PodSandboxNetworkStatus{Ip: s.ip}, Labels: s.config.Labels, Annotations: s.config.Annotations,
	}}, nil
}

func missing(kind, id string) error { return status.Errorf(codes.NotFound, "no %s %s", kind, id) }

// selected reports whether an object has the labels.
func selected(labels, selector map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}

func (r *containerRuntime) ListPodSandbox(_ context.Context, req *cri.ListPodSandboxRequest) (*cri.ListPodSandboxResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list, f := &cri.ListPodSandboxResponse{}, req.GetFilter()
	for id, s := range r.sandboxes {
		if f.GetId() != "" && f.GetId() != id || f.GetState() != nil && f.GetState().State != s.state() || !selected(s.config.Labels, f.GetLabelSelector()) {
			continue
		}
		list.Items = append(list.Items, &cri.PodSandbox{
			Id: id, Metadata: s.config.Metadata, State: s.state(), CreatedAt: s.created.UnixNano(),
			Labels: s.config.Labels, Annotations: s.config.Annotations,
		})
	}
	return list, nil
}

func (r *containerRuntime) CreateContainer(_ context.Context, req *cri.CreateContainerRequest) (*cri.CreateContainerResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sandboxes[req.PodSandboxId]
	if s == nil || s.stopped {
		return nil, missing("sandbox", req.PodSandboxId)
	}
	config, pod := req.Config, s.config.Metadata
	c := &container{
		id: rand.Text(), sandbox: req.PodSandboxId, image: config.Image.Image, config: config, pod: pod,
		log:     filepath.Join(r.dir, fmt.Sprintf("%s_%s_%s_%d.log", pod.Namespace, pod.Name, config.Metadata.Name, config.Metadata.Attempt)),
		created: time.Now(), done: make(chan struct{}),
	}
	made, err := r.container(c)
	if err != nil {
		return nil, err
	}
	made.Network = 3 // the first of ExtraFiles
	if c.cmd, err = made.Command(); err != nil {
		return nil, err
	}
	c.cmd.ExtraFiles = []*os.File{s.network.namespace}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	// Kubelet passes the ports on as an annotation.
	var ports []struct{ ContainerPort int }
	if text := config.Annotations["io.kubernetes.container.ports"]; text != "" {
		if err := json.Unmarshal([]byte(text), &ports); err != nil {
			return nil, fmt.Errorf("kubernetes: ports of %s: %w", config.Metadata.Name, err)
		}
	}
	if config.Metadata.Attempt == 0 {
		for _, p := range ports {
			if err := s.network.publish(s.ip, p.ContainerPort); err != nil {
				return nil, err
			}
		}
	}
	r.containers[c.id] = c
	return &cri.CreateContainerResponse{ContainerId: c.id}, nil
}

// container translates what kubelet wants.
func (r *containerRuntime) container(c *container) (Container, error) {
	security := c.config.GetLinux().GetSecurityContext()
	made := Container{
		Args: slices.Concat(c.config.Command, c.config.Args),
		UID:  int(security.GetRunAsUser().GetValue()), GID: int(security.GetRunAsGroup().GetValue()),
		Root: filepath.Join(r.dir, "root-"+c.id),
	}
	for _, g := range security.GetSupplementalGroups() {
		made.Groups = append(made.Groups, int(g))
	}
	for _, e := range c.config.Envs {
		made.Env = append(made.Env, e.Key+"="+string(e.Value))
	}
	for _, m := range c.config.Mounts {
		made.Mounts = append(made.Mounts, Mount{m.HostPath, m.ContainerPath, m.Readonly})
	}
	if err := os.Mkdir(made.Root, 0o755); err != nil {
		return made, err
	}
	return made, r.image(c.image, &made)
}

func (r *containerRuntime) StartContainer(_ context.Context, req *cri.StartContainerRequest) (*cri.StartContainerResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[req.ContainerId]
	if c == nil {
		return nil, missing("container", req.ContainerId)
	}
	out, err := os.Create(c.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	c.cmd.Stdout, c.cmd.Stderr = out, out
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	c.started = time.Now()
	r.processes = append(r.processes, c)
	go func() {
		_ = c.cmd.Wait() // the state says how it ended
		r.mu.Lock()
		defer r.mu.Unlock()
		c.finished, c.exit = time.Now(), c.cmd.ProcessState.ExitCode()
		if by, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && by.Signaled() {
			c.exit = 128 + int(by.Signal())
		}
		close(c.done)
	}()
	return &cri.StartContainerResponse{}, nil
}

func (r *containerRuntime) StopContainer(_ context.Context, req *cri.StopContainerRequest) (*cri.StopContainerResponse, error) {
	r.mu.Lock()
	c := r.containers[req.ContainerId]
	r.mu.Unlock()
	if c != nil {
		r.end(c, time.Duration(req.Timeout)*time.Second)
	}
	return &cri.StopContainerResponse{}, nil
}

// end stops a container's processes and waits until it has ended.
func (r *containerRuntime) end(c *container, patience time.Duration) {
	r.mu.Lock()
	running := !c.started.IsZero() && c.finished.IsZero()
	r.mu.Unlock()
	if !running {
		return
	}
	if patience > 0 {
		_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have exited
		select {
		case <-c.done:
		case <-time.After(patience):
		}
	}
	if err := syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		fmt.Fprintf(os.Stderr, "kubernetes: kill container %s: %v\n", c.config.Metadata.Name, err)
	}
	<-c.done
}

func (r *containerRuntime) RemoveContainer(_ context.Context, req *cri.RemoveContainerRequest) (*cri.RemoveContainerResponse, error) {
	r.mu.Lock()
	c := r.containers[req.ContainerId]
	delete(r.containers, req.ContainerId)
	r.mu.Unlock()
	if c != nil {
		r.end(c, 0)
	}
	return &cri.RemoveContainerResponse{}, nil
}

func (c *container) state() cri.ContainerState {
	switch {
	case !c.finished.IsZero():
		return cri.ContainerState_CONTAINER_EXITED
	case !c.started.IsZero():
		return cri.ContainerState_CONTAINER_RUNNING
	}
	return cri.ContainerState_CONTAINER_CREATED
}

func (r *containerRuntime) ListContainers(_ context.Context, req *cri.ListContainersRequest) (*cri.ListContainersResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list, f := &cri.ListContainersResponse{}, req.GetFilter()
	for id, c := range r.containers {
		if f.GetId() != "" && f.GetId() != id || f.GetPodSandboxId() != "" && f.GetPodSandboxId() != c.sandbox ||
			f.GetState() != nil && f.GetState().State != c.state() || !selected(c.config.Labels, f.GetLabelSelector()) {
			continue
		}
		list.Containers = append(list.Containers, &cri.Container{
			Id: id, PodSandboxId: c.sandbox, Metadata: c.config.Metadata, Image: c.config.Image, ImageRef: c.image, ImageId: c.image,
			State: c.state(), CreatedAt: c.created.UnixNano(), Labels: c.config.Labels, Annotations: c.config.Annotations,
		})
	}
	return list, nil
}

func (r *containerRuntime) ContainerStatus(_ context.Context, req *cri.ContainerStatusRequest) (*cri.ContainerStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[req.ContainerId]
	if c == nil {
		return nil, missing("container", req.ContainerId)
	}
	s := &cri.ContainerStatus{
		Id: c.id, Metadata: c.config.Metadata, State: c.state(), CreatedAt: c.created.UnixNano(),
		Image: c.config.Image, ImageRef: c.image, ImageId: c.image, Labels: c.config.Labels, Annotations: c.config.Annotations,
		Mounts: c.config.Mounts, // no LogPath: kubelet would remove the log with the container
	}
	if !c.started.IsZero() {
		s.StartedAt = c.started.UnixNano()
	}
	if !c.finished.IsZero() {
		s.FinishedAt, s.ExitCode, s.Reason = c.finished.UnixNano(), int32(c.exit), "Completed"
		if c.exit != 0 {
			s.Reason = "Error"
		}
	}
	return &cri.ContainerStatusResponse{Status: s}, nil
}

func (r *containerRuntime) Version(context.Context, *cri.VersionRequest) (*cri.VersionResponse, error) {
	return &cri.VersionResponse{Version: "0.1.0", RuntimeName: "processes", RuntimeVersion: "1.0.0", RuntimeApiVersion: "v1"}, nil
}

func (r *containerRuntime) Status(context.Context, *cri.StatusRequest) (*cri.StatusResponse, error) {
	return &cri.StatusResponse{Status: &cri.RuntimeStatus{Conditions: []*cri.RuntimeCondition{
		{Type: cri.RuntimeReady, Status: true}, {Type: cri.NetworkReady, Status: true},
	}}}, nil
}

func (r *containerRuntime) UpdateRuntimeConfig(context.Context, *cri.UpdateRuntimeConfigRequest) (*cri.UpdateRuntimeConfigResponse, error) {
	return &cri.UpdateRuntimeConfigResponse{}, nil
}

func (r *containerRuntime) UpdateContainerResources(context.Context, *cri.UpdateContainerResourcesRequest) (*cri.UpdateContainerResourcesResponse, error) {
	return &cri.UpdateContainerResourcesResponse{}, nil
}

// Every image is there.

func (r *containerRuntime) ImageStatus(_ context.Context, req *cri.ImageStatusRequest) (*cri.ImageStatusResponse, error) {
	name := req.Image.Image
	return &cri.ImageStatusResponse{Image: &cri.Image{Id: name, RepoTags: []string{name}, Size: 1, Spec: &cri.ImageSpec{Image: name}}}, nil
}

func (r *containerRuntime) ListImages(context.Context, *cri.ListImagesRequest) (*cri.ListImagesResponse, error) {
	return &cri.ListImagesResponse{}, nil
}

func (r *containerRuntime) PullImage(_ context.Context, req *cri.PullImageRequest) (*cri.PullImageResponse, error) {
	return &cri.PullImageResponse{ImageRef: req.Image.Image}, nil
}

func (r *containerRuntime) ImageFsInfo(context.Context, *cri.ImageFsInfoRequest) (*cri.ImageFsInfoResponse, error) {
	return &cri.ImageFsInfoResponse{}, nil
}
