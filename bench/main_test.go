package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestMain makes the test binary act as the program when it starts itself.
func TestMain(m *testing.M) {
	calledByItself(os.Args[1:])
	os.Exit(m.Run())
}

func bench(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestList(t *testing.T) {
	code, out, _ := bench(t, "-list")
	want := []string{
		"refresh/waiting-callers", "refresh/max-wait-ms", "refresh/noise-ms",
		"outage/failed-calls", "outage/sts-calls",
		"hang/longest-block-s", "hang/recovery-s",
		"hot/ns", "hot/allocs",
		"coldstart/ms", "coldstart/round-trips",
		"expired/recovered", "expired/refreshes",
		"region/failed-calls", "region/switch-ms", "region/home-again",
		"region/first-s-refused", "region/first-s-hangs",
		"first/started",
		"fanout/sts-calls", "fanout/bytes-per-target", "fanout/hot-ns", "fanout/warm-ratio", "fanout/warm-failed",
		"fleet/peak-over-mean", "fleet/failed-calls", "fleet/recovery-ratio", "fleet/throttled",
		"fleet/recovery-s", "fleet/outage-calls-per-pod",
		"s3/discard-mbps", "s3/random-requests", "s3/random-bytes-ratio", "s3/list-keys-per-s",
		"s3/file-plain-mbps", "s3/file-tls-mbps", "s3/capped-mbps-256", "s3/capped-mbps-300", "s3/capped-mbps-1024",
		"s3/rss-mib", "s3/rss-mib-8gib", "s3/cpu-s-per-gib", "s3/cpu-s-per-gib-tls", "s3/small-files-per-s",
		"weight/binary-mib", "weight/modules", "weight/chain-binary-mib", "weight/chain-modules",
		"growth/list-time", "growth/list-rss",
		"growth/dir-time", "growth/dir-rss", "growth/dir-again-time", "growth/dir-again-rss",
		"growth/object-rss", "growth/pool-bytes", "growth/pool-hot", "growth/callers", "growth/handles",
	}
	if got := strings.Fields(out); code != 0 || !slices.Equal(got, want) {
		t.Errorf("exit code %d, rows %q, want %q", code, got, want)
	}
}

func TestJSON(t *testing.T) {
	code, out, errs := bench(t, "-json", "-quick", "-run", "^hang/")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines, want one for each of 2 rows:\n%s", len(lines), out)
	}
	for n, name := range []string{"hang/longest-block-s", "hang/recovery-s"} {
		decoder := json.NewDecoder(strings.NewReader(lines[n]))
		decoder.DisallowUnknownFields()
		var got Row
		if err := decoder.Decode(&got); err != nil {
			t.Fatalf("%s: %v", lines[n], err)
		}
		if got.Name != name || got.Unit != "s" || got.Better != "lower" || got.Ours <= 0 {
			t.Errorf("%s: want %s in s, lower is better, and a time", lines[n], name)
		}
		for _, peer := range []string{sdk, sdkWindow, minioGo} {
			if got.Peers[peer] <= 0 {
				t.Errorf("%s: no figure of %s", lines[n], peer)
			}
		}
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	got := figures{}
	for _, sample := range []float64{3, 100, 1, 2} {
		got.add("a/b", ours, sample)
		got.add("a/b", sdk, 2*sample)
		got.add("a/b", minioGo, 0)
	}
	if err := got.print([]Row{lower("a/b", "ms")}, &table{w: &out}); err != nil {
		t.Fatal(err)
	}
	if want := "a/b                             2.5  ms           minio 0  sdk 5 (0.5)\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("got\n%swant a last line\n%s", out.String(), want)
	}
}

// A row that could not be measured is an error and has no figure.
func TestFailures(t *testing.T) {
	if err := (figures{}).print([]Row{lower("a/b", "ms")}, jsonLines{&bytes.Buffer{}}); err == nil {
		t.Error("a row without figures was printed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	if code := run(ctx, []string{"-json", "-run", "^hang/"}, &out, &errs); code != 1 || out.Len() > 0 || !strings.Contains(errs.String(), "hang/longest-block-s") {
		t.Errorf("cancelled: exit code %d, output %q, errors %q", code, out.String(), errs.String())
	}
	for _, args := range [][]string{{"-run", "^nothing/"}, {"-run", "("}, {"-nosuch"}, {"hot/ns"}} {
		if code, out, errs := bench(t, args...); code != 2 || out != "" || errs == "" {
			t.Errorf("%q: exit code %d, output %q, errors %q; want 2, none, some", args, code, out, errs)
		}
	}
}

func TestPeakOverMean(t *testing.T) {
	if got := peakOverMean([]float64{1, 2, 3, 10}); got != 2.5 {
		t.Errorf("got %v, want 10 over 4", got)
	}
}

// The quota admits a burst, and then its rate per second.
func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuota(10)
		passed := 0
		for range 300 {
			if q.take() {
				passed++
			}
			time.Sleep(time.Second / 100) // in synctest's time
		}
		if passed < 39 || passed > 40 || q.refused() != int64(300-passed) {
			t.Errorf("%d passed, %d were refused", passed, q.refused())
		}
	})
}
