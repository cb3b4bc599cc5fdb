package kubernetes_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"time"
)

// appRead is a line of the program app.
type appRead struct {
	At    time.Time
	Error string
}

// examples/deploy/sidecar.yaml is rolled out again while its programs read ten times a
// second. No read fails, neither the first ones of a new pod nor those that an old pod
// makes after SIGTERM, and there is no time without a program that reads.
func (f *fleet) rollingUpdate(t *testing.T) {
	const deployment = "/apis/apps/v1/namespaces/" + home + "/deployments/app"
	f.apply(t, "sidecar.yaml")
	if err := f.API.Patch(t.Context(), deployment, map[string]any{"spec": map[string]any{"replicas": 2}}); err != nil {
		t.Fatal(err)
	}
	before := f.rolledOut(t, deployment)
	f.reading(t, before)
	begin := time.Now()
	// As kubectl rollout restart does.
	restart := map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{
		"annotations": map[string]any{"kubectl.kubernetes.io/restartedAt": begin.Format(time.RFC3339)}}}}}
	if err := f.API.Patch(t.Context(), deployment, restart); err != nil {
		t.Fatal(err)
	}
	after := f.rolledOut(t, deployment)
	t.Logf("rolled out in %v", time.Since(begin).Round(100*time.Millisecond))
	f.reading(t, after)
	for _, old := range before {
		if slices.ContainsFunc(after, func(p fleetPod) bool { return p.Metadata.UID == old.Metadata.UID }) {
			t.Errorf("pod %s was not replaced", old.Metadata.Name)
		}
	}
	end := time.Now()

	var all []time.Time
	programs := 0
	for _, p := range f.Processes() {
		if p.Container != "app" {
			continue
		}
		programs++
		reads, err := readsOf(p.Log)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s on %s: %d reads, exited %v, status %d", p.Pod, p.Node, len(reads), p.Exited, p.Exit)
		if p.Exit != 0 {
			t.Errorf("%s ended with status %d", p.Pod, p.Exit)
		}
		for _, r := range reads {
			if r.Error != "" {
				t.Errorf("%s at %v: %s", p.Pod, r.At.Sub(begin), r.Error)
			}
			all = append(all, r.At)
		}
	}
	if programs != 4 {
		t.Errorf("%d programs were started, want 4", programs)
	}
	slices.SortFunc(all, time.Time.Compare)
	for i, at := range all[1:] {
		if gap := at.Sub(all[i]); gap > 2*time.Second && at.Before(end) {
			t.Errorf("no read for %v, %v after the restart began", gap, all[i].Sub(begin))
		}
	}
	// A sidecar ends after the program, and cleanly.
	for _, p := range f.Processes() {
		if p.Container == "crossrole" && p.Exited && p.Exit != 0 {
			t.Errorf("the sidecar of %s ended with status %d", p.Pod, p.Exit)
		}
	}
	if err := f.API.DeleteWhole(t.Context(), deployment); err != nil {
		t.Error(err)
	}
}

// rolledOut waits until a deployment has the pods that it wants, and no others, and
// returns them.
func (f *fleet) rolledOut(t *testing.T, deployment string) (pods []fleetPod) {
	t.Helper()
	f.until(t, "complete rollout", 90*time.Second, func(ctx context.Context) error {
		var d struct {
			Metadata struct{ Generation int }
			Spec     struct{ Replicas int }
			Status   struct {
				ObservedGeneration, Replicas, UpdatedReplicas, AvailableReplicas int
			}
		}
		if err := f.API.Get(ctx, deployment, &d); err != nil {
			return err
		}
		s := d.Status
		if s.ObservedGeneration != d.Metadata.Generation || s.Replicas != d.Spec.Replicas || s.UpdatedReplicas != d.Spec.Replicas || s.AvailableReplicas != d.Spec.Replicas {
			return fmt.Errorf("the deployment is %+v", d)
		}
		var err error
		pods, err = f.list(ctx, "app.kubernetes.io/name=app")
		if err == nil && len(pods) != d.Spec.Replicas {
			err = fmt.Errorf("there are %d pods", len(pods))
		}
		return err
	})
	return pods
}

// reading waits until the program of each pod has read ten more times.
func (f *fleet) reading(t *testing.T, pods []fleetPod) {
	t.Helper()
	for _, p := range pods {
		least := -1
		f.until(t, "reads of "+p.Metadata.Name, time.Minute, func(context.Context) error {
			process, err := f.process(p.Metadata.UID, "app")
			if err != nil {
				return err
			}
			reads, err := readsOf(process.Log)
			if least < 0 {
				least = len(reads) + 10
			}
			if err == nil && len(reads) < least {
				err = fmt.Errorf("it has read %d times", len(reads))
			}
			return err
		})
	}
}

// readsOf parses the complete lines of a program's log.
func readsOf(file string) (reads []appRead, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text[:bytes.LastIndexByte(text, '\n')+1]))
	for {
		var r appRead
		if err := decoder.Decode(&r); errors.Is(err, io.EOF) {
			return reads, nil
		} else if err != nil {
			return reads, fmt.Errorf("%s: %w", file, err)
		}
		reads = append(reads, r)
	}
}
