package e2e_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/crossrole/crossrole/e2e/issuer"
)

const url = "s3://" + bucket + "/" + object

func TestCephFetch(t *testing.T) {
	s := cephScene(t)
	t.Parallel()
	for _, test := range []struct {
		name, role string
		args       []string
	}{
		{"direct", directRole, []string{url}},
		{"hub", hubRole, []string{"-role", targetRole, url}},
		{"hub, flag after the URL", hubRole, []string{url, "-role", targetRole}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s.fetch(t, test.role, pod, test.args...).succeeded(t)
		})
	}
}

// TestCephFetchRefused also checks that the gateway enforces the trust policies. When
// it refuses an identity, it responds AccessDenied without a message.
func TestCephFetchRefused(t *testing.T) {
	s := cephScene(t)
	t.Parallel()
	other := issuer.Claims{Namespace: "default", ServiceAccount: "other"}
	audience := pod
	audience.Audience = "vault"
	expired := pod
	expired.IssuedAt = time.Now().Add(-2 * time.Hour)
	hub := []string{"-role", targetRole, url}
	for _, test := range []struct {
		name, role string
		claims     issuer.Claims
		args       []string
		want       []string // in the message
	}{
		{"direct, wrong sub", directRole, other, []string{url}, []string{"hop 1 of 1", directRole, "AccessDenied", other.Subject()}},
		{"direct, wrong aud", directRole, audience, []string{url}, []string{"hop 1 of 1", directRole, "AccessDenied", "vault"}},
		{"direct, expired token", directRole, expired, []string{url}, []string{"hop 1 of 1", directRole, "AccessDenied", "expired"}},
		{"hub, wrong sub", hubRole, other, hub, []string{"hop 1 of 2", hubRole, "AccessDenied", other.Subject()}},
		{"hub, wrong aud", hubRole, audience, hub, []string{"hop 1 of 2", hubRole, "AccessDenied", "vault"}},
		{"hub, expired token", hubRole, expired, hub, []string{"hop 1 of 2", hubRole, "AccessDenied", "expired"}},
		{"untrusted hub", hubRole, pod, []string{"-role", closedRole, url}, []string{"hop 2 of 2", closedRole, "AccessDenied", ":assumed-role/hub/"}},
		{"no such role", hubRole, pod, []string{"-role", closedRole + "x", url}, []string{"hop 2 of 2", closedRole + "x", "NoSuchEntity"}},
		{"no such object", directRole, pod, []string{url + "x"}, []string{object + "x", "NoSuchKey"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s.fetch(t, test.role, test.claims, test.args...).failed(t, test.want...)
		})
	}
}

// TestCephFetchFromNewCluster shows why to use a hub: one change in the developer
// account is enough to admit the new cluster.
func TestCephFetchFromNewCluster(t *testing.T) {
	s := cephScene(t)
	t.Parallel()
	green, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { green.Close() })
	direct := func() run { return fetch(t, s.cluster.URL, green, directRole, pod, url) }
	hub := func() run { return fetch(t, s.cluster.URL, green, hubRole, pod, "-role", targetRole, url) }

	direct().failed(t, "hop 1 of 1", directRole, "AccessDenied", green.Host())
	hub().failed(t, "hop 1 of 2", hubRole, "AccessDenied", green.Host())

	if err := createProvider(t.Context(), s.dev, green); err != nil {
		t.Fatal(err)
	}
	_, err = iam.NewFromConfig(s.dev.Config).UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{
		RoleName: aws.String("hub"), PolicyDocument: aws.String(trustsPod(devAccount, s.issuer, green)),
	})
	if err != nil {
		t.Fatal(err)
	}
	hub().succeeded(t)
	direct().failed(t, "hop 1 of 1", directRole, "AccessDenied", green.Host())
	s.fetch(t, hubRole, pod, "-role", targetRole, url).succeeded(t) // from the old cluster
}

func (r run) succeeded(t *testing.T) {
	t.Helper()
	if r.exit != 0 {
		t.Errorf("fetch %q as %s: exit status %d\n%s", r.args, r.role, r.exit, r.stderr)
		return
	}
	if !bytes.Equal(r.output, picture()) {
		t.Errorf("fetch %q as %s: wrote %d bytes that are not the picture", r.args, r.role, len(r.output))
	}
	if len(r.litter) > 0 {
		t.Errorf("fetch %q as %s: left %q next to the output", r.args, r.role, r.litter)
	}
}

// failed checks that the run failed as it should: with an error of one paragraph that
// contains the given words but not the token, and without a file.
func (r run) failed(t *testing.T, want ...string) {
	t.Helper()
	if r.exit != 1 {
		t.Errorf("fetch %q as %s: exit status %d, want 1", r.args, r.role, r.exit)
	}
	for _, w := range want {
		if !strings.Contains(r.stderr, w) {
			t.Errorf("fetch %q as %s: the message does not say %q", r.args, r.role, w)
		}
	}
	if text := strings.TrimSpace(r.stderr); text == "" || strings.Contains(text, "\n\n") {
		t.Errorf("fetch %q as %s: the message is not one paragraph", r.args, r.role)
	}
	if signature := r.token[strings.LastIndexByte(r.token, '.')+1:]; strings.Contains(r.stderr, signature) {
		t.Errorf("fetch %q as %s: the message holds the token", r.args, r.role)
	}
	if r.output != nil || len(r.litter) > 0 {
		t.Errorf("fetch %q as %s: left an output of %d bytes and %q", r.args, r.role, len(r.output), r.litter)
	}
	if t.Failed() {
		t.Logf("it said:\n%s", r.stderr)
	}
}
