package kubernetes_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/crossrole/crossrole/e2e/kubernetes"
)

// line is one line of the reader program's output.
type line struct {
	At               time.Time
	Took             time.Duration
	Reads, Wrong     int
	Failed           int
	Sessions, Tokens int64
	Region           string
	Kind, Error      string
}

// looper is a running reader: a program in a pod that reads the object repeatedly.
type looper struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{}
	err   error // how it ended; read after done

	mu     sync.Mutex
	last   line
	failed []line
}

// loop starts a reader as the pod's container, over the pod's route, and waits for its
// first reads. The reader is stopped at the end of the test.
func (w *world) loop(t *testing.T, c *kubernetes.Cluster, p kubernetes.Pod, route string, env ...string) *looper {
	t.Helper()
	l := w.tryLoop(t, c, p, route, env...)
	l.more(t, 5)
	return l
}

// tryLoop starts a reader whose first reads may fail.
func (w *world) tryLoop(t *testing.T, c *kubernetes.Cluster, p kubernetes.Pod, route string, env ...string) *looper {
	t.Helper()
	made := container(t, c, p, "reader", append(env, w.endpoints()...))
	made.Args = []string{"-sum", pictureSum(), url}
	if route == hub {
		made.Args = append([]string{"-role", targetRole}, made.Args...)
	}
	cmd, err := made.Command()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr, cmd.SysProcAttr = &stderr, &syscall.SysProcAttr{Setpgid: true}
	l := &looper{name: p.Metadata.Name, cmd: cmd, done: make(chan struct{})}
	if l.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(l.done)
		l.err = errors.Join(l.follow(stdout), cmd.Wait())
	}()
	t.Cleanup(func() {
		l.stop(t)
		if t.Failed() {
			t.Logf("%s: %+v\nfailed reads: %+v\n%s", l.name, l.last, l.failed, &stderr)
		}
	})
	return l
}

func (l *looper) follow(stdout io.Reader) error {
	decoder := json.NewDecoder(stdout)
	for {
		var said line
		if err := decoder.Decode(&said); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		l.mu.Lock()
		l.last = said
		if said.Kind != "" {
			l.failed = append(l.failed, said)
		}
		l.mu.Unlock()
	}
}

// now returns the reader's last line and the reads that have failed.
func (l *looper) now() (line, []line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last, append([]line(nil), l.failed...)
}

// more waits until the reader has read the object n more times.
func (l *looper) more(t *testing.T, n int) line {
	t.Helper()
	before, _ := l.now()
	return l.until(t, "reads", func(now line) bool { return now.Reads >= before.Reads+n })
}

// until waits for a line of the reader that meets the condition.
func (l *looper) until(t *testing.T, what string, reached func(line) bool) line {
	t.Helper()
	ctx, cancel := within(t, time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		now, _ := l.now()
		if reached(now) {
			return now
		}
		select {
		case <-l.done:
			t.Fatalf("%s ended: %v", l.name, l.err)
		case <-ctx.Done():
			t.Fatalf("%s: no more %s within a minute; it said %+v", l.name, what, now)
		case <-tick.C:
		}
	}
}

// stop stops the reader and returns its last line and the reads that failed.
func (l *looper) stop(t *testing.T) (line, []line) {
	t.Helper()
	l.stdin.Close() // stop may be called twice
	select {
	case <-l.done:
	case <-time.After(30 * time.Second):
		t.Errorf("%s did not end", l.name)
		if err := l.cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		<-l.done
	}
	if l.err != nil {
		t.Errorf("%s: %v", l.name, l.err)
	}
	return l.now()
}

// unharmed stops the reader and checks that all its reads were exact.
func (l *looper) unharmed(t *testing.T) line {
	t.Helper()
	last, failed := l.stop(t)
	if len(failed) > 0 || last.Failed > 0 || last.Wrong > 0 {
		t.Errorf("%s: %d reads were exact, %d failed, %d gave other bytes; the first:\n%+v", l.name, last.Reads, last.Failed, last.Wrong, failed[:min(3, len(failed))])
	}
	return last
}

func within(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

// afterwards returns a context for cleanup after the test's own context is done.
func afterwards(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}
