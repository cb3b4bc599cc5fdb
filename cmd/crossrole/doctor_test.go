package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// On a fresh node doctor waits for a few seconds and says what for. What does not pass by
// itself ends it immediately, and without a word.
func TestDoctorWaitsForWhatIsLate(t *testing.T) {
	const forever = time.Hour
	unavailable := awstest.Fault{Status: 503, Code: "ServiceUnavailable"}
	for _, tt := range []struct {
		name    string
		fault   awstest.Fault
		late    time.Duration // how long the fault lasts
		verdict string
		from    time.Duration
		to      time.Duration
		says    string // empty: nothing
	}{
		{"healthy", awstest.Fault{}, 0, "healthy", 0, 0, ""},
		{"STS is late", unavailable, 4 * time.Second, "healthy", 4 * time.Second, 10 * time.Second, "hop 1 of 2: AssumeRoleWithWebIdentity"},
		{"STS is down", unavailable, forever, "hop 1 of 2 fails: STSUnreachable", 9 * time.Second, 11 * time.Second, "ServiceUnavailable"},
		{"hop 2 is throttled", awstest.Fault{Operation: "AssumeRole", Status: 400, Code: "Throttling"}, 3 * time.Second, "healthy", 3 * time.Second, 10 * time.Second, "hop 2"},
		{"STS hangs", awstest.Fault{Hang: true}, forever, "hop 1 of 2 fails: RefreshTimeout", 10 * time.Second, 11 * time.Second, "hop 1 has not responded yet"},
		{"denied", awstest.Fault{Status: 403, Code: "AccessDenied"}, forever, "hop 1 of 2 fails: TrustDenied", 0, 0, ""},
		{"denied when STS is back", unavailable, 2 * time.Second, "hop 2 of 2 fails: AssumeDenied", 2 * time.Second, 10 * time.Second, "waiting for up to 10s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pod := newQuietPod(t.TempDir())
				if strings.Contains(tt.verdict, "AssumeDenied") {
					pod.target.SetTrust(pod.trusts("other"))
				}
				if tt.late > 0 {
					time.AfterFunc(tt.late, pod.cloud.Fault(tt.fault))
				}
				chain := pod.chain(t, pod.pod.TokenFile())
				var progress bytes.Buffer
				start := time.Now()
				report := checkPatiently(t.Context(), chain, &progress)
				if took := time.Since(start); took < tt.from || took > tt.to {
					t.Errorf("took %v, want %v to %v", took, tt.from, tt.to)
				}
				if got := report.Verdict(); got != tt.verdict {
					t.Errorf("verdict %q, want %q", got, tt.verdict)
				}
				if got := progress.String(); !strings.Contains(got, tt.says) || (got == "") != (tt.says == "") || strings.Count(got, "\n") > 1 {
					t.Errorf("says %q, want one line with %q", got, tt.says)
				}
				time.Sleep(time.Minute) // a refresh in flight ends by itself
			})
		})
	}
}

// kubelet may write the token a little late.
func TestDoctorWaitsForTheTokenFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := newQuietPod(t.TempDir())
		token, err := os.ReadFile(pod.pod.TokenFile())
		if err != nil {
			t.Fatal(err)
		}
		file := t.TempDir() + "/token"
		time.AfterFunc(3*time.Second, func() {
			if err := os.WriteFile(file, token, 0o600); err != nil {
				t.Error(err)
			}
		})
		var progress bytes.Buffer
		if report := checkPatiently(t.Context(), pod.chain(t, file), &progress); !report.Healthy() || !strings.Contains(progress.String(), "read token file") {
			t.Errorf("%s\nsays %q", report, progress.String())
		}
	})
}

// Each hop may wait for each region. doctor says so before each wait, with the limit, and
// ends in any case.
func TestDoctorWaitsForEachRegion(t *testing.T) {
	fallbacks := []string{"us-west-1", "us-west-2", "us-east-2", "eu-west-1", "eu-west-2", "eu-central-1"}
	for _, tt := range []struct {
		name    string
		regions []string // fallback regions
		hang    []string // regions whose STS never responds
		took    time.Duration
		verdict string
		says    []string // one line each
	}{
		{"only the own region", fallbacks[:1], []string{"us-east-1"}, 20 * time.Second, "healthy",
			[]string{"hop 1 has not responded yet: waiting for at most 10s for each request, 58s altogether", "hop 2 has not responded yet: waiting for at most 10s for each request, 48s altogether"}},
		{"all of many", fallbacks, append([]string{"us-east-1"}, fallbacks...), time.Minute, "none: the check was canceled at hop 1 of 2",
			[]string{"hop 1 has not responded yet", "stopped after 1m0s"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pod := newQuietPod(t.TempDir())
				for _, region := range tt.hang {
					pod.cloud.Fault(awstest.Fault{Region: region, Hang: true})
				}
				var progress bytes.Buffer
				start := time.Now()
				report := checkPatiently(t.Context(), pod.chain(t, pod.pod.TokenFile(), tt.regions...), &progress)
				if took := time.Since(start).Round(time.Second); took != tt.took || report.Verdict() != tt.verdict {
					t.Errorf("%q after %v, want %q after %v", report.Verdict(), took, tt.verdict, tt.took)
				}
				lines := strings.Split(strings.TrimSpace(progress.String()), "\n")
				if len(lines) != len(tt.says) {
					t.Fatalf("says %q, want %d lines", lines, len(tt.says))
				}
				for i, want := range tt.says {
					if !strings.Contains(lines[i], want) {
						t.Errorf("says %q, want %q", lines[i], want)
					}
				}
				time.Sleep(time.Minute) // a request in flight ends by itself
			})
		})
	}
}

// The report is of the moment when the wait ends: by then another hop may fail.
func TestDoctorReportsWhatFailsAfterTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := newQuietPod(t.TempDir())
		pod.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Status: 503, Code: "ServiceUnavailable"})
		time.AfterFunc(4*time.Second, pod.cloud.Fault(awstest.Fault{Operation: "AssumeRoleWithWebIdentity", Status: 503, Code: "ServiceUnavailable"}))
		report := checkPatiently(t.Context(), pod.chain(t, pod.pod.TokenFile()), io.Discard)
		if got, want := report.Verdict(), "hop 2 of 2 fails: STSUnreachable"; got != want {
			t.Errorf("verdict %q, want %q", got, want)
		}
		time.Sleep(time.Minute)
	})
}

// A terminal may be slow. The lines about a hop that does not respond and about its failure
// do not mix.
func TestDoctorWritesOneLineAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := newQuietPod(t.TempDir())
		pod.cloud.Fault(awstest.Fault{Delay: silence + time.Second, Status: 503, Code: "ServiceUnavailable"})
		terminal := &slowTerminal{t: t}
		checkPatiently(t.Context(), pod.chain(t, pod.pod.TokenFile()), terminal)
		if terminal.lines < 2 {
			t.Errorf("%d lines, want at least 2", terminal.lines)
		}
		time.Sleep(time.Minute)
	})
}

// slowTerminal takes three seconds for a line, in the virtual time of synctest.
type slowTerminal struct {
	t     *testing.T
	busy  atomic.Bool
	lines int
}

// Write sleeps, so call it in a bubble of synctest.
func (s *slowTerminal) Write(p []byte) (int, error) {
	if s.busy.Swap(true) {
		s.t.Errorf("%q is written during another line", p)
	}
	time.Sleep(3 * time.Second)
	s.lines++
	s.busy.Store(false)
	return len(p), nil
}

// chain returns the pod's hub chain, with another token file and fallback regions.
func (p *fakePod) chain(t *testing.T, tokenFile string, regions ...string) *credentials.Chain {
	t.Helper()
	chain, err := credentials.New(p.cloud.Config(), func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: p.hub.ARN(), TokenFile: tokenFile}
		o.Roles, o.FallbackRegions = []credentials.Role{{ARN: target}}, regions
	})
	if err != nil {
		t.Fatal(err)
	}
	return chain
}
