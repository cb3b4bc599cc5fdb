package kubernetes_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/e2e/kubernetes"
)

const (
	indexes = 8
	perPod  = 4 // objects of each index
	jobPath = "/apis/batch/v1/namespaces/" + home + "/jobs/copy-pics"
)

// jobStatus is the status of a Job.
type jobStatus struct {
	Status struct {
		Active, Ready, Terminating, Succeeded, Failed int
		CompletedIndexes, FailedIndexes               string
		Conditions                                    []condition
	}
}

// examples/deploy/indexed-job.yaml copies a prefix with eight pods on three nodes. One
// process is killed, one node is drained, and one index fails for good. Every object is
// copied and has its bytes, no file that is complete is fetched again, and the status of
// the Job says what failed. When the cause is removed and the Job is created again, it
// completes and fetches nothing.
func (f *fleet) indexedJob(t *testing.T) {
	volume := f.volume(t)
	keys, wrong := f.cats(t)
	// The requests for the later half of each index's objects wait, so that no pod ends
	// before the test has done what it does.
	var held []string
	for _, own := range keys {
		held = append(held, own[perPod/2:]...)
	}
	release := f.store.hold(held)
	defer release()
	f.apply(t, "indexed-job.yaml")
	var pods []fleetPod
	f.until(t, "eight pods that have copied the first half", time.Minute, func(ctx context.Context) (err error) {
		if pods, err = f.indexPods(ctx); err != nil {
			return err
		}
		requested := f.store.requests()
		for _, own := range keys {
			for _, key := range own[:perPod/2] {
				if _, err := os.Stat(filepath.Join(volume, key)); err != nil {
					return err
				}
			}
			for _, key := range own[perPod/2:] {
				if requested[key] == 0 {
					return fmt.Errorf("%s is not requested", key)
				}
			}
		}
		return nil
	})
	spread := map[string][]fleetPod{}
	for _, p := range pods {
		spread[p.Spec.NodeName] = append(spread[p.Spec.NodeName], p)
	}
	t.Logf("pods per node: %d, %d and %d", len(spread["node-1"]), len(spread["node-2"]), len(spread["node-3"]))
	for name, own := range spread {
		if len(own) > 3 || len(spread) != 3 {
			t.Errorf("%d pods on %s, and pods on %d nodes", len(own), name, len(spread))
		}
	}

	// A process is killed. It belongs neither to the index that will fail nor to the node
	// that will be drained.
	killed := pods[slices.IndexFunc(pods, func(p fleetPod) bool { return p.index() != wrong })]
	process, err := f.process(killed.Metadata.UID, "copy")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(process.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	drained := slices.Sorted(maps.Keys(spread))[0]
	if drained == killed.Spec.NodeName {
		drained = slices.Sorted(maps.Keys(spread))[1]
	}
	f.drain(t, drained, spread[drained])
	release()

	var job jobStatus
	f.until(t, "end of the job", 2*time.Minute, func(ctx context.Context) error {
		job = jobStatus{}
		if err := f.API.Get(ctx, jobPath, &job); err != nil {
			return err
		}
		if _, failed := is(job.Status.Conditions, "Failed"); !failed {
			return fmt.Errorf("the job is %+v", job.Status)
		}
		return nil
	})
	t.Logf("%+v", job.Status)
	// Pods of the drained node do not count as failed.
	s := job.Status
	why, _ := is(s.Conditions, "Failed")
	if s.Succeeded != indexes-1 || s.Failed != 2 || s.Active+s.Ready+s.Terminating != 0 || why.Reason != "FailedIndexes" ||
		s.CompletedIndexes != allBut(wrong) || s.FailedIndexes != strconv.Itoa(wrong) {
		t.Errorf("the job is %+v; want index %d failed, the others completed, and two failed pods", s, wrong)
	}
	f.copied(t, volume, keys)
	requested := f.store.requests()
	interrupted := map[int]bool{killed.index(): true}
	for _, p := range spread[drained] {
		interrupted[p.index()] = true
	}
	for index, own := range keys {
		for i, key := range own {
			want := 1
			if i >= perPod/2 && interrupted[index] {
				want = 2 // the first was cut off
			}
			if requested[key] != want {
				t.Errorf("index %d: %s was requested %d times, want %d", index, key, requested[key], want)
			}
		}
	}

	// What the manifest says about doing it again.
	if err := f.API.DeleteWhole(t.Context(), jobPath); err != nil {
		t.Fatal(err)
	}
	if _, err := s3.NewFromConfig(f.shared.Config).DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String(oddKey)}); err != nil {
		t.Fatal(err)
	}
	f.until(t, "deletion of the job's pods", time.Minute, func(ctx context.Context) error {
		left, err := f.list(ctx, "app.kubernetes.io/name=copy-pics")
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%d pods are left", len(left))
		}
		return err
	})
	f.apply(t, "indexed-job.yaml")
	f.until(t, "complete job", time.Minute, func(ctx context.Context) error {
		job = jobStatus{}
		if err := f.API.Get(ctx, jobPath, &job); err != nil {
			return err
		}
		if _, complete := is(job.Status.Conditions, "Complete"); !complete {
			return fmt.Errorf("the job is %+v", job.Status)
		}
		return nil
	})
	if s := job.Status; s.Succeeded != indexes || s.Failed != 0 || s.CompletedIndexes != "0-7" || s.FailedIndexes != "" {
		t.Errorf("the second job is %+v", s)
	}
	f.copied(t, volume, keys)
	if again := f.store.requests(); !maps.Equal(again, requested) {
		t.Errorf("the second job has fetched objects: requests %v, before %v", again, requested)
	}
	if err := f.API.DeleteWhole(t.Context(), jobPath); err != nil {
		t.Error(err)
	}
}

// volume creates the volume that the manifest claims: a directory that all nodes share,
// which belongs to the group of the pods.
func (f *fleet) volume(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != filepath.Dir(d); d = filepath.Dir(d) {
		if info, err := os.Stat(d); err != nil || info.Mode().Perm()&0o001 != 0 {
			break
		}
		if err := os.Chmod(d, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chown(dir, 0, 65532), os.Chmod(dir, 0o2770)); err != nil {
		t.Fatal(err)
	}
	_, err := f.API.Apply(t.Context(), fmt.Appendf(nil, `apiVersion: v1
kind: PersistentVolume
metadata: {name: pics}
spec:
  capacity: {storage: 100Gi}
  accessModes: [ReadWriteMany]
  storageClassName: ""
  hostPath: {path: %q}
`, dir))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// oddKey cannot be the name of a file.
const oddKey = "cats/black//white.jpg"

// cats uploads objects below the prefix of the manifest. It returns the keys of each
// index and the index with oddKey.
func (f *fleet) cats(t *testing.T) (keys [indexes][]string, wrong int) {
	t.Helper()
	c := s3.NewFromConfig(f.shared.Config)
	put := func(key string) {
		if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(key), Body: bytes.NewReader(cat(key))}); err != nil {
			t.Fatal(err)
		}
	}
	for i, missing := 0, indexes*perPod; missing > 0; i++ {
		key := fmt.Sprintf("cats/%02d/%d.jpg", i%10, i)
		if own := indexOf(key); len(keys[own]) < perPod {
			put(key)
			keys[own] = append(keys[own], key)
			missing--
		}
	}
	put(oddKey)
	return keys, indexOf(oddKey)
}

// cat returns the content of an object: up to 1 MiB, different for each key.
func cat(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return bytes.Repeat(sum[:], 1+int(binary.BigEndian.Uint16(sum[8:]))/2)
}

// indexOf returns the index that copies a key, as "crossrole cp --help" documents it.
func indexOf(key string) int {
	sum := sha256.Sum256([]byte(key))
	return int(binary.BigEndian.Uint64(sum[:8]) % indexes)
}

// copied checks that the volume has each object, with its bytes, and nothing else.
func (f *fleet) copied(t *testing.T, volume string, keys [indexes][]string) {
	t.Helper()
	want := map[string]bool{}
	for _, own := range keys {
		for _, key := range own {
			want[key] = true
		}
	}
	err := filepath.WalkDir(volume, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		key, err := filepath.Rel(volume, path)
		if err != nil {
			return err
		}
		if !want[key] {
			t.Errorf("%s is not an object's file", key)
			return nil
		}
		delete(want, key)
		text, err := os.ReadFile(path)
		if err == nil && !bytes.Equal(text, cat(key)) {
			t.Errorf("%s has other bytes than the object", key)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for key := range want {
		t.Errorf("%s was not copied", key)
	}
}

// indexPods returns the running pods of the job, by index; there must be eight.
func (f *fleet) indexPods(ctx context.Context) ([]fleetPod, error) {
	pods, err := f.list(ctx, "app.kubernetes.io/name=copy-pics")
	if err != nil {
		return nil, err
	}
	pods = slices.DeleteFunc(pods, func(p fleetPod) bool { return p.Status.Phase != "Running" })
	slices.SortFunc(pods, func(a, b fleetPod) int { return a.index() - b.index() })
	if len(pods) != indexes {
		return nil, fmt.Errorf("%d pods are running", len(pods))
	}
	return pods, nil
}

// index returns the index of a pod of the job.
func (p fleetPod) index() int {
	i, err := strconv.Atoi(p.Metadata.Annotations["batch.kubernetes.io/job-completion-index"])
	if err != nil {
		return -1
	}
	return i
}

// allBut returns all indexes but one, as the status of a Job has them.
func allBut(index int) string {
	var ranges []string
	for _, r := range [][2]int{{0, index - 1}, {index + 1, indexes - 1}} {
		switch {
		case r[0] == r[1]:
			ranges = append(ranges, strconv.Itoa(r[0]))
		case r[0]+1 == r[1]:
			ranges = append(ranges, fmt.Sprintf("%d,%d", r[0], r[1]))
		case r[0] < r[1]:
			ranges = append(ranges, fmt.Sprintf("%d-%d", r[0], r[1]))
		}
	}
	return strings.Join(ranges, ",")
}

// drain does what kubectl drain does: it cordons the node and evicts its pods. It returns
// when they are gone, and uncordons the node at the end of the test.
func (f *fleet) drain(t *testing.T, node string, pods []fleetPod) {
	t.Helper()
	cordon := func(ctx context.Context, yes bool) error {
		return f.API.Patch(ctx, "/api/v1/nodes/"+node, map[string]any{"spec": map[string]any{"unschedulable": yes}})
	}
	if err := cordon(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := afterwards(10 * time.Second)
		defer cancel()
		if err := cordon(ctx, false); err != nil {
			t.Error(err)
		}
	})
	for _, p := range pods {
		if err := f.API.Evict(t.Context(), home, p.Metadata.Name); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range pods {
		var now fleetPod
		if err := f.API.Get(t.Context(), "/api/v1/namespaces/"+home+"/pods/"+p.Metadata.Name, &now); err != nil && !kubernetes.Missing(err) {
			t.Fatal(err)
		}
		t.Logf("evicted: %s: %s, %+v", p.Metadata.Name, now.Status.Phase, now.Status.Conditions)
	}
	f.until(t, "end of the pods on "+node, time.Minute, func(ctx context.Context) error {
		for _, p := range pods {
			if _, err := f.process(p.Metadata.UID, "copy"); err == nil {
				return fmt.Errorf("%s still runs", p.Metadata.Name)
			}
		}
		return nil
	})
	for _, p := range f.Processes() {
		if slices.ContainsFunc(pods, func(own fleetPod) bool { return own.Metadata.UID == p.UID }) {
			t.Logf("evicted: %s on %s: exit status %d", p.Pod, p.Node, p.Exit)
		}
	}
}
