// Package soak runs many readers and sidecars for an hour, while servers are killed, a
// region fails, tokens rotate and a role is recreated, and checks that no read fails that
// should not, and that nothing grows.
package soak_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/e2e/served"
	"github.com/crossrole/crossrole/e2e/soak/readers"
	"github.com/crossrole/crossrole/e2e/suite"
	"github.com/crossrole/crossrole/trust"
)

var (
	duration = flag.Duration("soak", 3*time.Minute, "how long the soak lasts; at least three minutes")
	out      = flag.String("out", "", "directory for soak.csv and soak.png; empty: they are not kept")
)

func TestMain(m *testing.M) {
	if plan := os.Getenv("SOAK_PLAN"); plan != "" {
		if err := readers.Run(plan); err != nil {
			fmt.Fprintln(os.Stderr, "readers:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	suite.Main(m)
}

const (
	home, fallback = "us-east-1", "us-west-2"
	bucket, key    = "pics", "indoor-cat.jpg"

	pods     = 20 // each with ten readers and one sidecar
	perPod   = 10
	every    = 4 * time.Second // each reader reads
	life     = time.Minute     // of a session
	cycle    = time.Minute     // in which each fault happens
	killed   = 5 * time.Second
	regional = 10 * time.Second
	deleted  = 10 * time.Second

	// recovery is how long a read may fail after a server is back: the back-off of a
	// failed refresh is not longer after outages this short.
	recovery = 10 * time.Second
	// readmission is the same for a role that is created again: a session of the deleted
	// role is valid for its readers until it expires, and a denied refresh is repeated at
	// least every 20 seconds.
	readmission = life + 20*time.Second
)

// world is the AWS of the soak.
type world struct {
	cloud           *awstest.Cloud
	s3, east, west  *gateway
	hub, role, gone *awstest.Role // gone is deleted and created again
	shared          *awstest.Account
	pods            []*awstest.Pod
	content         []byte
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cloud := awstest.New()
	cloud.KeepCalls(1000)
	cloud.Fault(awstest.Fault{SessionLife: life})
	dev, shared := cloud.Account("111122223333"), cloud.Account("444455556666")
	cluster := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	dev.AddOIDCProvider(cluster)
	const roleARN, goneARN = "arn:aws:iam::444455556666:role/S3_Pics", "arn:aws:iam::444455556666:role/Recreated"
	w := &world{cloud: cloud, shared: shared, content: []byte(strings.Repeat("meow purr\n", 1000))}
	w.hub = dev.CreateRole("hub",
		trust.WebIdentityPolicy(dev.ID(), []string{cluster.Issuer()}, []string{awstest.Subject("default", "app")}).String(),
		trust.AssumePolicy([]string{roleARN, goneARN}).String())
	w.role, w.gone = w.createRole("S3_Pics"), w.createRole("Recreated")
	shared.CreateBucket(bucket).Put(key, w.content)
	for range pods {
		w.pods = append(w.pods, cluster.Pod(t.TempDir(), "default", "app", w.hub.ARN()))
	}
	w.s3, w.east, w.west = newGateway(t, cloud.Handler()), newGateway(t, cloud.Handler()), newGateway(t, cloud.Handler())
	return w
}

func (w *world) createRole(name string) *awstest.Role {
	return w.shared.CreateRole(name, trust.RolePolicy(w.hub.ARN()).String(), trust.ReadBucketPolicy(bucket, "").String())
}

// fault is a time in which reads may fail.
type fault struct {
	name     string
	from, to time.Time
	after    time.Duration // for which they may still fail
	only     string        // prefix of the readers' names; empty: all
}

// faults makes each fault once in a cycle, and returns when the next cycle begins. Tokens
// rotate and a region fails without any failed read. The role is deleted in every third
// cycle only, so that its readers must have recovered before the next time.
func (w *world) faults(n int, note func(fault)) {
	step := time.Now()
	at := func(d time.Duration) { time.Sleep(time.Until(step.Add(d))) }
	outage := func(name string, only string, after, d time.Duration, begin, end func()) {
		f := fault{name: name, from: time.Now(), only: only, after: after}
		begin()
		time.Sleep(d)
		end()
		f.to = time.Now()
		note(f)
	}
	at(cycle / 12)
	outage("gateways killed", "", recovery, killed,
		func() { w.s3.kill(); w.east.kill(); w.west.kill() },
		func() { w.s3.start(); w.east.start(); w.west.start() })
	at(cycle * 5 / 12)
	for _, pod := range w.pods {
		pod.Rotate()
	}
	w.east.kill()
	time.Sleep(regional)
	w.east.start()
	at(cycle * 9 / 12)
	if n%3 == 1 {
		outage("role deleted", "recreated", readmission, deleted,
			func() { w.shared.DeleteRole(w.gone) },
			func() { w.gone = w.createRole("Recreated") })
	}
	at(cycle)
}

// program is the process of the readers.
type program struct {
	cmd    *exec.Cmd
	done   chan struct{}
	mu     sync.Mutex
	last   readers.Line
	failed []readers.Line
}

// start starts the readers of all pods and the clients of the sidecars. One reader in ten
// has the role that is recreated.
func (w *world) start(t *testing.T, sidecars []*served.Serve) *program {
	t.Helper()
	sum := sha256.Sum256(w.content)
	plan := readers.Plan{
		S3: w.s3.url(), STS: map[string]string{home: w.east.url(), fallback: w.west.url()}, Home: home, Fallback: fallback,
		Bucket: bucket, Key: key, Sum: hex.EncodeToString(sum[:]), Every: every,
	}
	for i, pod := range w.pods {
		for j := range perPod {
			name, role := fmt.Sprintf("reader %d.%d", i, j), w.role.ARN()
			if j == 0 {
				name, role = fmt.Sprintf("recreated %d", i), w.gone.ARN()
			}
			plan.Pods = append(plan.Pods, readers.Pod{Name: name, TokenFile: pod.TokenFile(), Hub: w.hub.ARN(), Role: role})
		}
	}
	for i, s := range sidecars {
		plan.Sidecars = append(plan.Sidecars, readers.Sidecar{Name: fmt.Sprintf("sidecar %d", i), URL: s.URL, TokenFile: s.TokenFile})
	}
	data, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &program{cmd: exec.Command(os.Args[0]), done: make(chan struct{})}
	p.cmd.Env, p.cmd.Stderr = []string{"SOAK_PLAN=" + file, "PATH=" + os.Getenv("PATH")}, os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // if the test is killed
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.collect(bufio.NewReader(stdout))
	t.Cleanup(func() {
		_ = stdin.Close() // the program exits
		<-p.done
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("the readers: %v", err)
		}
	})
	return p
}

func (p *program) collect(from *bufio.Reader) {
	defer close(p.done)
	for lines := json.NewDecoder(from); ; {
		var l readers.Line
		if lines.Decode(&l) != nil {
			return // the program has ended; Wait has the error
		}
		p.mu.Lock()
		if p.last = l; l.Kind != "" {
			p.failed = append(p.failed, l)
		}
		p.mu.Unlock()
	}
}

func (p *program) state() (readers.Line, []readers.Line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last, slices.Clone(p.failed)
}

// judge reports every failed read that no fault explains, and logs the others.
func judge(t *testing.T, failed []readers.Line, faults []fault) {
	t.Helper()
	explained, slowest, unexplained := map[string]int{}, map[string]time.Duration{}, 0
	for _, l := range failed {
		end := l.At.Add(l.Took)
		i := slices.IndexFunc(faults, func(f fault) bool {
			return end.After(f.from) && l.At.Before(f.to.Add(f.after)) && strings.HasPrefix(l.Reader, f.only)
		})
		if i >= 0 && l.Kind != "wrong bytes" {
			explained[faults[i].name+": "+l.Kind]++
			slowest[faults[i].name] = max(slowest[faults[i].name], end.Sub(faults[i].to))
			continue
		}
		if unexplained++; unexplained <= 5 {
			t.Errorf("a read failed without a reason: %+v", l)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(explained)) {
		t.Logf("%d × %s", explained[what], what)
	}
	for _, name := range slices.Sorted(maps.Keys(slowest)) {
		t.Logf("%s: the last read failed %v after the end", name, slowest[name].Round(100*time.Millisecond))
	}
	if unexplained > 5 {
		t.Errorf("%d reads failed without a reason", unexplained)
	}
}

// TestSoak is by hand: make e2e-soak.
func TestSoak(t *testing.T) {
	w := newWorld(t)
	var sidecars []*served.Serve
	for _, pod := range w.pods {
		sidecars = append(sidecars, served.Start(t, served.Scene{Pod: append(pod.Env(), "AWS_ENDPOINT_URL_STS="+w.east.url()), Role: w.role.ARN()}))
	}
	p := w.start(t, sidecars)

	begin := time.Now()
	var faults []fault
	cycles := 0
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ; time.Since(begin)+cycle/2 < *duration || cycles < 3; cycles++ {
			w.faults(cycles, func(f fault) { faults = append(faults, f) })
		}
	}()
	all := newSeries()
	var at []time.Duration
	tick := time.NewTicker(max(2*time.Second, *duration/500))
	defer tick.Stop()
	for sampling := true; sampling; {
		select {
		case <-tick.C:
		case <-ended:
			sampling = false
		case <-p.done:
			t.Fatal("the readers ended")
		}
		last, _ := p.state()
		at = append(at, time.Since(begin))
		figures := make([]float64, len(all))
		figures[readersMemory], figures[readersHeap] = memoryOf(t, p.cmd.Process.Pid), float64(last.Heap)/(1<<20)
		figures[readersGoroutines] = float64(last.Goroutines)
		for _, s := range sidecars {
			m := metrics(t, s)
			figures[sidecarsMemory] += m["process_resident_memory_bytes"] / (1 << 20)
			figures[sidecarsGoroutines] += m["go_goroutines"]
		}
		for i, s := range all {
			s.values = append(s.values, figures[i])
		}
	}

	last, failed := p.state()
	sidecarSeconds := 0.0
	for _, s := range sidecars {
		sidecarSeconds += metrics(t, s)["process_cpu_seconds_total"]
	}
	d := time.Since(begin)
	t.Logf("%v: %d exact reads, %d failed, %d sessions, %d new tokens found, %d faults; %.2f cores: readers %.2f, sidecars %.2f, the test with its AWS %.2f",
		d.Round(time.Second), last.Reads, len(failed), last.Sessions, last.Tokens, len(faults),
		(cpuOf(t, p.cmd.Process.Pid)+sidecarSeconds+cpuOf(t, os.Getpid()))/d.Seconds(),
		cpuOf(t, p.cmd.Process.Pid)/d.Seconds(), sidecarSeconds/d.Seconds(), cpuOf(t, os.Getpid())/d.Seconds())
	judge(t, failed, faults)
	readersAll := float64(pods * (perPod + 1))
	if want := d.Seconds() / every.Seconds() * readersAll / 2; float64(last.Reads) < want {
		t.Errorf("%d reads, want at least %.0f", last.Reads, want)
	}
	if want := d.Seconds() / life.Seconds() * pods * perPod / 2; float64(last.Sessions) < want {
		t.Errorf("%d sessions, want at least %.0f", last.Sessions, want)
	}
	for _, s := range all {
		report, err := s.flat(at, cycles)
		t.Log(report)
		if err != nil {
			t.Error(err)
		}
	}
	if *out != "" {
		write(t, *out, at, all)
	}
}
