package kubernetes_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// defaultSoak is how long the soak lasts in CI. By hand: -soak=15m.
const defaultSoak = 2 * time.Minute

const (
	restartEvery = 30 * time.Second
	away         = 2 * shortLife
)

// outage is a time without the gateway.
type outage struct{ from, to time.Time }

// recovery is how long a program may take to recover when the gateway responds again. The
// pauses between attempts double from one second up to 20: the last is a second longer than
// all before it, so at most a second longer than the outage. The second second is for the
// attempt.
func (o outage) recovery() time.Duration {
	return min(o.to.Sub(o.from), 20*time.Second) + 2*time.Second
}

// restart kills the gateway and starts it again, after a time in which sessions of
// shortLife expire. It returns when the gateway responds.
func (w *world) restart(t *testing.T) outage {
	t.Helper()
	ctx, cancel := within(t, time.Minute)
	defer cancel()
	o := outage{from: time.Now()}
	w.ceph.StopGateway()
	time.Sleep(away)
	if err := w.ceph.StartGateway(ctx); err != nil {
		t.Fatal(err)
	}
	o.to = time.Now()
	return o
}

// verdict summarizes what a reader saw of some outages.
type verdict struct {
	last     line
	kinds    map[string]int // of errors inside an outage
	slowest  time.Duration  // from the gateway's first response to the end of the last failed read
	outside  []line         // errors elsewhere
	untyped  []line
	failures int
}

func judge(last line, failed []line, outages []outage) verdict {
	v := verdict{last: last, kinds: map[string]int{}, failures: len(failed)}
	for _, f := range failed {
		end := f.At.Add(f.Took)
		i := slices.IndexFunc(outages, func(o outage) bool { return end.After(o.from) && f.At.Before(o.to.Add(o.recovery())) })
		switch {
		case i < 0:
			v.outside = append(v.outside, f)
			continue
		case f.Kind == "untyped":
			v.untyped = append(v.untyped, f)
		}
		v.kinds[f.Kind]++
		v.slowest = max(v.slowest, end.Sub(outages[i].to))
	}
	return v
}

// holds reports violations of the guarantees.
func (v verdict) holds(t *testing.T, name string) {
	t.Helper()
	if v.last.Wrong > 0 {
		t.Errorf("%s: %d reads gave other bytes than the object's", name, v.last.Wrong)
	}
	if len(v.outside) > 0 {
		t.Errorf("%s: %d errors while the gateway was there; the first: %+v", name, len(v.outside), v.outside[0])
	}
	if len(v.untyped) > 0 {
		t.Errorf("%s: %d errors without a type; the first: %+v", name, len(v.untyped), v.untyped[0])
	}
}

func (v verdict) errors() string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(v.kinds)) {
		parts = append(parts, fmt.Sprintf("%d × %s", v.kinds[kind], kind))
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// The gateway is both S3 and STS. While it is down, a reader waits or gets a typed
// error; none needs a restart.
func (w *world) gatewayRestart(t *testing.T) string {
	long, short := w.both(t, "gateway", false), w.both(t, "gateway-short", true)
	loops := append(long, short...)
	o := w.restart(t)
	for _, l := range loops {
		l.more(t, 50)
	}
	reads, all := 0, verdict{kinds: map[string]int{}}
	for _, l := range loops {
		last, failed := l.stop(t)
		v := judge(last, failed, []outage{o})
		v.holds(t, l.name)
		reads += last.Reads
		for kind, n := range v.kinds {
			all.kinds[kind] += n
		}
		t.Logf("%s: %s; again well %v after the gateway", l.name, v.errors(), v.slowest)
	}
	return fmt.Sprintf("down for %v: typed errors (%s), then all four readers recover without help (%d exact reads)",
		o.to.Sub(o.from).Round(100*time.Millisecond), all.errors(), reads)
}

// In TestKubernetesSoak, sessions last three seconds, kubelet replaces tokens every ten
// to fifteen, and the gateway is killed every thirty. Each read is exact, or fails with a
// typed error during an outage.
func TestKubernetesSoak(t *testing.T) {
	w := theWorldFor(t)
	loops := w.both(t, "soak", true)
	var outages []outage
	begin := time.Now()
	tick := time.NewTicker(restartEvery)
	defer tick.Stop()
	for range tick.C {
		if time.Since(begin) > *soak-restartEvery/2 {
			break
		}
		outages = append(outages, w.restart(t))
		for _, l := range loops {
			l.more(t, 10)
		}
	}
	for i, route := range []string{direct, hub} {
		last, failed := loops[i].stop(t)
		v := judge(last, failed, outages)
		v.holds(t, route)
		if want := int64(soak.Seconds() / shortLife.Seconds() / 2); last.Sessions < want || last.Tokens < int64(soak.Seconds()/30) {
			t.Errorf("%s: %d sessions and %d new tokens in %v: too few for it to show anything", route, last.Sessions, last.Tokens, *soak)
		}
		row := fmt.Sprintf("| %s | %v | %d | %d | %d | %d | %s | %v | 0 |", route, *soak, len(outages), last.Sessions, last.Tokens, last.Reads,
			v.errors(), v.slowest.Round(10*time.Millisecond))
		t.Log(row)
		if !t.Failed() {
			results.soak(row)
		}
	}
}
