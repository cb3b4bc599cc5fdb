package kubernetes_test

import (
	"testing"
	"time"

	"github.com/crossrole/crossrole/e2e/kubernetes"
	"github.com/crossrole/crossrole/e2e/shortsession"
)

// shortLife makes a reader request a session every second or two, with the token that is
// mounted at that time.
const shortLife = 3 * time.Second

// short is the variable that directs a program to the STS with sessions of shortLife.
func (w *world) short(t *testing.T) string {
	t.Helper()
	p, err := shortsession.Start(w.ceph.URL, shortLife)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return "AWS_ENDPOINT_URL_STS=" + p.URL
}

// Kubelet replaces the tokens twice while readers of both routes are running. No read
// fails, and the new tokens are used.
func TestKubernetesRotation(t *testing.T) {
	w := theWorldFor(t)
	var loops []*looper
	for _, route := range []string{direct, hub} {
		p := start(t, w.blue, route, "rotation-"+route, nil)
		loops = append(loops, w.loop(t, w.blue, p, route, w.short(t)))
	}
	for _, l := range loops {
		l.until(t, "tokens", func(now line) bool { return now.Tokens >= 2 })
		l.more(t, 100)
		last := l.unharmed(t)
		t.Logf("%s: %d reads, %d sessions of the first hop, %d new tokens", l.name, last.Reads, last.Sessions, last.Tokens)
	}
}

// A token of ten minutes, the shortest lifetime possible, is replaced after eight
// minutes, on kubelet's own schedule.
func TestNaturalRotation(t *testing.T) {
	w := theWorldFor(t)
	w.rotation = kubernetes.Natural
	ctx, cancel := within(t, time.Minute)
	defer cancel()
	slow, err := w.cluster(ctx, "slow")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(slow.Stop)
	w.admit(t, slow.Issuer)
	begin := time.Now()
	var loops []*looper
	for _, route := range []string{direct, hub} {
		p := start(t, slow, route, "natural-"+route, func(pod map[string]any) {
			pod["metadata"].(map[string]any)["annotations"] = map[string]any{"eks.amazonaws.com/token-expiration": "600"}
		})
		loops = append(loops, w.loop(t, slow, p, route, w.short(t)))
	}
	for _, l := range loops {
		for {
			waited := time.Since(begin)
			if now, _ := l.now(); now.Tokens > 0 {
				t.Logf("%s: a new token within %v", l.name, waited.Round(time.Second))
				break
			}
			if waited > 10*time.Minute {
				t.Fatalf("%s: kubelet has not replaced the token in %v", l.name, waited)
			}
			l.more(t, 10)
		}
		l.more(t, 100)
		last := l.unharmed(t)
		t.Logf("%s: %d reads, %d sessions of the first hop", l.name, last.Reads, last.Sessions)
	}
	if lived := time.Since(begin); lived < 7*time.Minute {
		t.Errorf("the tokens were replaced within %v: something hurried kubelet", lived)
	}
}
