package main

import (
	"bytes"
	"os"
	"strings"
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

// chain returns the pod's hub chain, with another token file.
func (p *fakePod) chain(t *testing.T, tokenFile string) *credentials.Chain {
	t.Helper()
	chain, err := credentials.New(p.cloud.Config(), func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: p.hub.ARN(), TokenFile: tokenFile}
		o.Roles = []credentials.Role{{ARN: target}}
	})
	if err != nil {
		t.Fatal(err)
	}
	return chain
}
