// Node runs kubemark's hollow kubelet, which is kubelet's own code without cgroups and
// mounts:
//
//	node -name NAME -kubeconfig FILE -dir DIR -port PORT [-ip ADDRESS -runtime SOCKET]
//
// Without a runtime, containers are simulated, and are ready as soon as they exist. With
// one, kubelet calls it over the Container Runtime Interface and probes the containers.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	cadvisorapi "github.com/google/cadvisor/lib/model"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	cri "k8s.io/cri-client/pkg"
	simulated "k8s.io/cri-client/pkg/fake"
	"k8s.io/klog/v2"
	cadvisor "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubelet/container"
	"k8s.io/kubernetes/pkg/kubemark"
	"k8s.io/kubernetes/pkg/volume/util/hostutil"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	name := flag.String("name", "", "of the node")
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	dir := flag.String("dir", "", "directory for the pods' volumes")
	port := flag.Int("port", 0, "of kubelet's own server")
	ip := flag.String("ip", "", "the node's address; needed with -runtime")
	socket := flag.String("runtime", "", "Unix socket of the container runtime")
	flag.Parse()

	settings, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	// A proxy of the tests reads and changes responses.
	settings.ContentType = "application/json"
	settings.QPS, settings.Burst = 50, 100
	client, err := kubernetes.NewForConfig(settings)
	if err != nil {
		return err
	}
	heartbeats, err := kubernetes.NewForConfig(unthrottled(settings))
	if err != nil {
		return err
	}
	fake := simulated.NewFakeRemoteRuntime()
	endpoint := "unix://" + *socket
	if *socket == "" {
		if endpoint, err = simulated.GenerateEndpoint(); err != nil {
			return err
		}
		if err := fake.Start(endpoint); err != nil {
			return err
		}
		defer fake.Stop()
	}
	runtime, err := cri.NewRemoteRuntimeServiceBuilder().WithEndpoint(endpoint).WithConnectionTimeout(15 * time.Second).Build(ctx)
	if err != nil {
		return err
	}

	flags, config := kubemark.GetHollowKubeletConfig(&kubemark.HollowKubeletOptions{
		NodeName: *name, KubeletPort: *port, MaxPods: 110,
	})
	// It has made a directory in /tmp.
	if err := os.RemoveAll(flags.RootDirectory); err != nil {
		return err
	}
	flags.RootDirectory, flags.NodeIP = *dir, *ip
	config.StaticPodPath, config.PodLogsDir = "", *dir+"/logs"
	machine := &machine{cadvisor.Fake{NodeName: *name}}
	hollow := kubemark.NewHollowKubelet(flags, config, client, heartbeats, machine, fake.ImageService, runtime, cm.NewStubContainerManager())
	if *socket != "" {
		images, err := cri.NewRemoteImageServiceBuilder().WithEndpoint(endpoint).WithConnectionTimeout(15 * time.Second).Build(ctx)
		if err != nil {
			return err
		}
		hollow.KubeletDeps.RemoteImageService = images
		hollow.KubeletDeps.ProbeManager = nil // the real one
		hollow.KubeletDeps.OSInterface = container.RealOS{}
		hollow.KubeletDeps.HostUtil = hostutil.NewHostUtil() // finds what a subPath names
	}
	hollow.Run(ctx)
	return nil
}

// unthrottled returns the settings for the node's heartbeats.
func unthrottled(settings *rest.Config) *rest.Config {
	c := rest.CopyConfig(settings)
	c.QPS, c.Timeout = -1, 10*time.Second
	return c
}

// machine is a machine of four cores.
type machine struct{ cadvisor.Fake }

func (m *machine) MachineInfo(logger klog.Logger) (*cadvisorapi.MachineInfo, error) {
	info, err := m.Fake.MachineInfo(logger)
	if err == nil {
		info.NumCores = 4
	}
	return info, err
}
